//! Each operation's derivatives against central differences of the operation itself, over random shapes.
//! Differences with step ε are off by ε² times a third derivative and by rounding/ε: about 1e-9 here.

use burn::tensor::{Device, Int, Tensor, TensorData};
use proptest::prelude::*;
use warmlab::architecture::Activation;
use warmlab::base::random::{Random, stream};
use warmlab::kernels::attention::{self, Heads};
use warmlab::kernels::{cross_entropy, embedding, gelu, layer_norm, linear};

use crate::support::{numbers, relative};

const STEP: f64 = 1e-5;
const CLOSE: f64 = 1e-7;

fn tensor<const D: usize>(random: &mut Random, shape: [usize; D]) -> Tensor<D> {
    from(numbers(random, shape.iter().product()), shape)
}

fn from<const D: usize>(values: Vec<f64>, shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), (&Device::flex(), burn::tensor::DType::F64))
}

fn list<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    tensor.to_data().iter::<f64>().collect()
}

/// Direction k of tangents (N, K, C).
fn direction(t: &Tensor<3>, k: usize) -> Tensor<2> {
    let [n, _, c] = t.dims();
    t.clone().slice([0..n, k..k + 1, 0..c]).reshape([n, c])
}

/// Direction k of parameter tangents (K, O, I).
fn parameter(t: &Tensor<3>, k: usize) -> Tensor<2> {
    let [_, o, i] = t.dims();
    t.clone().slice([k..k + 1, 0..o, 0..i]).reshape([o, i])
}

/// Direction k of parameter tangents (K, C).
fn vector(t: &Tensor<2>, k: usize) -> Tensor<1> {
    let [_, c] = t.dims();
    t.clone().slice([k..k + 1, 0..c]).reshape([c])
}

fn assert_close(name: &str, found: &[f64], expected: &[f64]) {
    let size = expected.iter().map(|x| x * x).sum::<f64>().sqrt();
    let error = relative(found, expected) * size / size.max(1e-3);
    assert!(error < CLOSE, "{name}: relative error {error:.1e}");
}

/// (f(+) − f(−))/2ε for lists of outputs.
fn difference(f: impl Fn(f64) -> Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let (plus, minus) = (f(STEP), f(-STEP));
    let one = |(p, m): (&Vec<f64>, &Vec<f64>)| p.iter().zip(m).map(|(p, m)| (p - m) / (2.0 * STEP)).collect();
    plus.iter().zip(&minus).map(one).collect()
}

fn moved<const D: usize>(x: &Tensor<D>, dot: Tensor<D>, by: f64) -> Tensor<D> {
    x.clone() + dot * by
}

/// Output gradient g as K = 1.
fn lifted(g: &Tensor<2>) -> Tensor<3> {
    g.clone().unsqueeze_dim(1)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn linear_layers(n in 1usize..9, i in 1usize..8, o in 1usize..8, k in 1usize..4, seed in 0u64..1000) {
        let r = &mut stream(seed, 0, "linear");
        let (x, w, b, g) = (tensor(r, [n, i]), tensor(r, [o, i]), tensor(r, [o]), tensor(r, [n, o]));
        let (x_dot, w_dot, b_dot) = (tensor(r, [n, k, i]), tensor(r, [k, o, i]), tensor(r, [k, o]));
        let (g_dot, add) = (tensor(r, [n, k, o]), tensor(r, [n, k, o]));
        let y_dot = linear::linear_tangent(&x, &x_dot, &w, &w_dot, Some(&b_dot), Some(&add));
        let (g_x, g_w, g_b) = linear::linear_backward_tangent(&x, &x_dot, &w, &w_dot, &g, &g_dot, true);
        for k in 0..k {
            let expected = difference(|s| {
                let x = moved(&x, direction(&x_dot, k), s);
                let w = moved(&w, parameter(&w_dot, k), s);
                let b = moved(&b, vector(&b_dot, k), s);
                let g = moved(&g, direction(&g_dot, k), s);
                let y = linear::linear(&x, &w, Some(&b), Some(&(direction(&add, k) * s)));
                let (g_x, g_w, g_b) = linear::linear_backward(&x, &w, &lifted(&g), true);
                vec![list(&y), list(&g_x), list(&g_w), list(&g_b.unwrap())]
            });
            assert_close("y", &list(&direction(&y_dot, k)), &expected[0]);
            assert_close("g_x", &list(&direction(&g_x, k)), &expected[1]);
            assert_close("g_w", &list(&parameter(&g_w, k)), &expected[2]);
            assert_close("g_b", &list(&vector(g_b.as_ref().unwrap(), k)), &expected[3]);
        }
        // backward is the transpose of the tangent: ⟨g, ẏ⟩ = ⟨g_x, ẋ⟩ + ⟨g_w, ẇ⟩ + ⟨g_b, ḃ⟩
        let (g_x, g_w, g_b) = linear::linear_backward(&x, &w, &lifted(&g), true);
        let y_dot = linear::linear_tangent(&x, &x_dot, &w, &w_dot, Some(&b_dot), None);
        let inner = |a: Vec<f64>, b: Vec<f64>| a.iter().zip(&b).map(|(a, b)| a * b).sum::<f64>();
        let left = inner(list(&g), list(&direction(&y_dot, 0)));
        let right = inner(list(&g_x), list(&direction(&x_dot, 0)))
            + inner(list(&g_w), list(&parameter(&w_dot, 0)))
            + inner(list(&g_b.unwrap()), list(&vector(&b_dot, 0)));
        prop_assert!((left - right).abs() < 1e-12);
    }

    #[test]
    fn layer_norms(n in 1usize..7, c in 2usize..9, k in 1usize..4, bias in any::<bool>(), seed in 0u64..1000) {
        let r = &mut stream(seed, 0, "layer norm");
        let (x, w, b, g) = (tensor(r, [n, c]), tensor(r, [c]), tensor(r, [c]), tensor(r, [n, c]));
        let (x_dot, w_dot, b_dot) = (tensor(r, [n, k, c]), tensor(r, [k, c]), tensor(r, [k, c]));
        let (g_dot, add) = (tensor(r, [n, k, c]), tensor(r, [n, k, c]));
        // an ε that matters, so that a formula without it fails
        let eps = 0.05;
        let (_, x_hat, rstd) = layer_norm::layer_norm(&x, &w, bias.then_some(&b), eps);
        let (y_dot, x_hat_dot, slope) =
            layer_norm::layer_norm_tangent(&x_hat, &rstd, &w, &x_dot, &w_dot, bias.then_some(&b_dot));
        let (g_x, g_w, g_b) = layer_norm::layer_norm_backward_tangent(
            &x_hat, &rstd, &w, &x_hat_dot, &slope, &w_dot, &g, &g_dot, bias, Some(&add),
        );
        for k in 0..k {
            let expected = difference(|s| {
                let x = moved(&x, direction(&x_dot, k), s);
                let w = moved(&w, vector(&w_dot, k), s);
                let b = moved(&b, vector(&b_dot, k), s);
                let g = moved(&g, direction(&g_dot, k), s);
                let (y, x_hat, rstd) = layer_norm::layer_norm(&x, &w, bias.then_some(&b), eps);
                let add = lifted(&(direction(&add, k) * s));
                let (g_x, g_w, g_b) =
                    layer_norm::layer_norm_backward(&x_hat, &rstd, &w, &lifted(&g), bias, Some(&add));
                vec![list(&y), list(&g_x), list(&g_w), g_b.map_or(vec![], |g_b| list(&g_b))]
            });
            assert_close("y", &list(&direction(&y_dot, k)), &expected[0]);
            assert_close("g_x", &list(&direction(&g_x, k)), &expected[1]);
            assert_close("g_w", &list(&vector(&g_w, k)), &expected[2]);
            if bias {
                assert_close("g_b", &list(&vector(g_b.as_ref().unwrap(), k)), &expected[3]);
            }
        }
        // the first-order backward against the forward
        let (g_x, ..) = layer_norm::layer_norm_backward(&x_hat, &rstd, &w, &lifted(&g), bias, None);
        let expected = difference(|s| {
            let (y, ..) = layer_norm::layer_norm(&moved(&x, direction(&x_dot, 0), s), &w, bias.then_some(&b), eps);
            vec![vec![list(&y).iter().zip(list(&g)).map(|(y, g)| y * g).sum()]]
        });
        let found: f64 = list(&g_x).iter().zip(list(&direction(&x_dot, 0))).map(|(a, b)| a * b).sum();
        prop_assert!((found - expected[0][0]).abs() < CLOSE);
    }

    #[test]
    fn both_gelus(n in 1usize..6, f in 1usize..20, k in 1usize..4, exact in any::<bool>(), seed in 0u64..1000) {
        let activation = if exact { Activation::Gelu } else { Activation::GeluTanh };
        let r = &mut stream(seed, 0, "gelu");
        // from deep in one tail to deep in the other
        let (x, g) = (tensor(r, [n, f]) * 5.0, tensor(r, [n, f]));
        let (x_dot, g_dot) = (tensor(r, [n, k, f]), tensor(r, [n, k, f]));
        let (_, first, second) = gelu::gelu(&x, activation, true);
        let y_dot = gelu::gelu_scale(&first, &x_dot);
        let g_x = gelu::gelu_backward_tangent(&first, &(second.unwrap() * g.clone()), &x_dot, &g_dot);
        for k in 0..k {
            let expected = difference(|s| {
                let (y, first, _) = gelu::gelu(&moved(&x, direction(&x_dot, k), s), activation, false);
                let g = moved(&g, direction(&g_dot, k), s);
                vec![list(&y), list(&gelu::gelu_scale(&first, &lifted(&g)))]
            });
            assert_close("y", &list(&direction(&y_dot, k)), &expected[0]);
            assert_close("g_x", &list(&direction(&g_x, k)), &expected[1]);
        }
    }

    #[test]
    fn attentions(
        batch in 1usize..3, seq in 1usize..7, n_head in 1usize..4, d in 1usize..4, k in 1usize..3, seed in 0u64..1000,
    ) {
        let heads = Heads { batch, seq, n_head };
        let (n, c) = (batch * seq, n_head * d);
        let r = &mut stream(seed, 0, "attention");
        let (qkv, g) = (tensor(r, [n, 3 * c]) * 2.0, tensor(r, [n, c]));
        let (qkv_dot, g_dot) = (tensor(r, [n, k, 3 * c]), tensor(r, [n, k, c]));
        let (_, p, _) = attention::attention(&qkv, heads);
        let (out_dot, p_dot) = attention::attention_tangent(&qkv, &p, &qkv_dot, heads);
        let (g_qkv, centred) = attention::attention_backward(&qkv, &p, &lifted(&g), heads);
        let g_qkv_dot =
            attention::attention_backward_tangent(&qkv, &p, &centred, &g, &qkv_dot, &p_dot, &g_dot, heads);
        for k in 0..k {
            let expected = difference(|s| {
                let qkv = moved(&qkv, direction(&qkv_dot, k), s);
                let (out, p, _) = attention::attention(&qkv, heads);
                let g = moved(&g, direction(&g_dot, k), s);
                vec![list(&out), list(&attention::attention_backward(&qkv, &p, &lifted(&g), heads).0)]
            });
            assert_close("out", &list(&direction(&out_dot, k)), &expected[0]);
            assert_close("g_qkv", &list(&direction(&g_qkv_dot, k)), &expected[1]);
        }
        let inner = |a: Vec<f64>, b: Vec<f64>| a.iter().zip(&b).map(|(a, b)| a * b).sum::<f64>();
        let left = inner(list(&g), list(&direction(&out_dot, 0)));
        let right = inner(list(&g_qkv), list(&direction(&qkv_dot, 0)));
        prop_assert!((left - right).abs() < 1e-12);
    }

    #[test]
    fn heads_and_losses(n in 1usize..7, c in 1usize..6, v in 2usize..9, k in 1usize..4, seed in 0u64..1000) {
        let r = &mut stream(seed, 0, "cross entropy");
        let (h, w) = (tensor(r, [n, c]) * 2.0, tensor(r, [v, c]) * 2.0);
        let (h_dot, w_dot) = (tensor(r, [n, k, c]), tensor(r, [k, v, c]));
        let ids: Vec<i32> = numbers(r, n).iter().map(|x| (x.abs() * v as f64) as i32).collect();
        let targets: Tensor<1, Int> = Tensor::from_data(TensorData::new(ids, [n]), &Device::flex());
        let weight = 0.3;
        let (_, kept) = cross_entropy::cross_entropy(&h, &w, &targets);
        let (g_h, g_w) = cross_entropy::cross_entropy_backward(&h, &w, &targets, &kept, weight);
        let (g_h_dot, g_w_dot) =
            cross_entropy::cross_entropy_backward_tangent(&h, &h_dot, &w, &w_dot, &targets, &kept, weight);
        for k in 0..k {
            let expected = difference(|s| {
                let (h, w) = (moved(&h, direction(&h_dot, k), s), moved(&w, parameter(&w_dot, k), s));
                let (nll, kept) = cross_entropy::cross_entropy(&h, &w, &targets);
                let (g_h, g_w) = cross_entropy::cross_entropy_backward(&h, &w, &targets, &kept, weight);
                vec![vec![weight * list(&nll).iter().sum::<f64>()], list(&g_h), list(&g_w)]
            });
            let inner = |a: Vec<f64>, b: Vec<f64>| a.iter().zip(&b).map(|(a, b)| a * b).sum::<f64>();
            let slope = inner(list(&g_h), list(&direction(&h_dot, k))) + inner(list(&g_w), list(&parameter(&w_dot, k)));
            prop_assert!((slope - expected[0][0]).abs() < CLOSE);
            assert_close("g_h", &list(&direction(&g_h_dot, k)), &expected[1]);
            assert_close("g_w", &list(&parameter(&g_w_dot, k)), &expected[2]);
        }
    }

    #[test]
    fn embeddings(batch in 1usize..4, seq in 1usize..5, c in 1usize..5, k in 1usize..4, seed in 0u64..1000) {
        let (n, v, block) = (batch * seq, 6, seq + 2);
        let r = &mut stream(seed, 0, "embedding");
        let (wte_dot, wpe_dot, g) = (tensor(r, [k, v, c]), tensor(r, [k, block, c]), tensor(r, [n, k, c]));
        let ids: Vec<i32> = numbers(r, n).iter().map(|x| (x.abs() * v as f64) as i32).collect();
        let tokens: Tensor<1, Int> = Tensor::from_data(TensorData::new(ids.clone(), [n]), &Device::flex());
        let x_dot = embedding::embedding_tangent(&tokens, &wte_dot, &wpe_dot, seq);
        let (g_wte, g_wpe) = embedding::embedding_backward(&tokens, &g, seq, v, block);
        for k in 0..k {
            // the definition, number by number
            let (wte, wpe) = (list(&parameter(&wte_dot, k)), list(&parameter(&wpe_dot, k)));
            let x: Vec<f64> = (0..n * c)
                .map(|i| wte[ids[i / c] as usize * c + i % c] + wpe[i / c % seq * c + i % c])
                .collect();
            prop_assert_eq!(list(&direction(&x_dot, k)), x.clone());
            let one = embedding::embedding(&tokens, &from(wte, [v, c]), &from(wpe, [block, c]), seq);
            prop_assert_eq!(list(&one), x);
            let (mut by_token, mut by_position) = (vec![0.0; v * c], vec![0.0; block * c]);
            for (i, g) in list(&direction(&g, k)).into_iter().enumerate() {
                by_token[ids[i / c] as usize * c + i % c] += g;
                by_position[i / c % seq * c + i % c] += g;
            }
            let close = |a: Vec<f64>, b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-13);
            prop_assert!(close(list(&parameter(&g_wte, k)), &by_token));
            prop_assert!(close(list(&parameter(&g_wpe, k)), &by_position));
        }
    }
}
