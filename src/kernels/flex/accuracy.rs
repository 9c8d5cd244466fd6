//! The fused kernels in f32 against the composed ones in f64: no more than three times the error of the composed
//! ones in f32, and in f64 the same to rounding. Sizes cross every block and lane boundary.
//!
//! Longer than most because it is one list: every kernel beside its composed form.

use burn::backend::Flex;
use burn::tensor::{DType, TensorData};
use burn_flex::FlexTensor as F;
use rand_distr::{Distribution, StandardNormal};

use crate::architecture::Activation;
use crate::base::random;
use crate::kernels::composed::{
    attention, cross_entropy as head, embedding, gelu, layer_norm, linear, moments, residual,
};
use crate::kernels::heads::Heads;
use crate::kernels::{Kernels, Optional};

/// Tensors with the same numbers, those of f32, in either precision.
struct Inputs(DType);

impl Inputs {
    fn normal<const D: usize>(&self, seed: u64, shape: [usize; D]) -> F {
        let random = &mut random::stream(seed, 0, "kernel accuracy");
        let draw = |_| -> f32 {
            let x: f64 = StandardNormal.sample(random);
            x as f32
        };
        let numbers: Vec<f32> = (0..shape.iter().product()).map(draw).collect();
        match self.0 {
            DType::F32 => F::from_data(TensorData::new(numbers, shape)),
            _ => F::from_data(TensorData::new(numbers.into_iter().map(f64::from).collect(), shape)),
        }
    }
}

fn ids(n: usize, below: usize) -> F {
    F::from_data(TensorData::new((0..n).map(|i| (i * 7 % below) as i32).collect(), [n]))
}

fn numbers(tensor: &F) -> Vec<f64> {
    let tensor = tensor.to_contiguous();
    match tensor.dtype() {
        DType::F32 => tensor.as_slice::<f32>().expect("f32").iter().map(|&x| f64::from(x)).collect(),
        _ => tensor.as_slice::<f64>().expect("f64").to_vec(),
    }
}

/// ‖a − b‖/‖b‖.
fn error(a: &F, b: &F) -> f64 {
    let (a, b) = (numbers(a), numbers(b));
    assert_eq!(a.len(), b.len());
    let difference: f64 = a.iter().zip(&b).map(|(a, b)| (a - b).powi(2)).sum();
    (difference / b.iter().map(|b| b * b).sum::<f64>().max(f64::MIN_POSITIVE)).sqrt()
}

fn compare(name: &str, fused: impl Fn(&Inputs) -> Vec<F>, composed: impl Fn(&Inputs) -> Vec<F>) {
    let (single, double) = (Inputs(DType::F32), Inputs(DType::F64));
    let truth = composed(&double);
    let (fused_single, fused_double, composed_single) = (fused(&single), fused(&double), composed(&single));
    assert_eq!(truth.len(), fused_single.len());
    for (i, truth) in truth.iter().enumerate() {
        let (ours, theirs) = (error(&fused_single[i], truth), error(&composed_single[i], truth));
        // where the composed form happens to be exact, half a unit in the last place is allowed
        let allowed = 3.0 * theirs.max(f64::from(f32::EPSILON) / 2.0);
        assert!(ours <= allowed, "{name}, output {i}: error {ours:.1e} against {theirs:.1e} composed");
        let same = error(&fused_double[i], truth);
        assert!(same < 1e-13, "{name}, output {i}: {same:.1e} from the composed form in f64");
    }
}

fn all<T>((a, b, c): (T, T, Option<T>)) -> Vec<T> {
    [a, b].into_iter().chain(c).collect()
}

const N: usize = 77;
const C: usize = 72;
const O: usize = 104;
const K: usize = 3;
const HEADS: Heads = Heads { batch: 2, seq: 37, n_head: 3 };
const TOKENS: usize = 74;

#[test]
fn linear_layers() {
    let operands =
        |i: &Inputs| (i.normal(1, [N, C]), i.normal(2, [O, C]), i.normal(3, [O]), i.normal(4, [N, O]));
    let dots = |i: &Inputs| (i.normal(5, [N, K, C]), i.normal(6, [K, O, C]), i.normal(7, [N, K, O]));
    compare(
        "linear",
        |i| {
            let (x, w, b, add) = operands(i);
            vec![Flex::linear(x, w, Optional::Some(b), Optional::Some(add))]
        },
        |i| {
            let (x, w, b, add) = operands(i);
            vec![linear::linear::<Flex>(x, w, Some(b), Some(add))]
        },
    );
    compare(
        "linear tangent",
        |i| {
            let ((x, w, ..), (x_dot, w_dot, add)) = (operands(i), dots(i));
            vec![Flex::linear_tangent(x, x_dot, w, w_dot, Optional::None, Optional::Some(add))]
        },
        |i| {
            let ((x, w, ..), (x_dot, w_dot, add)) = (operands(i), dots(i));
            vec![linear::tangent::<Flex>(x, x_dot, w, w_dot, None, Some(add))]
        },
    );
    compare(
        "linear backward",
        |i| all(Flex::linear_backward(operands(i).0, operands(i).1, dots(i).2, true)),
        |i| all(linear::backward::<Flex>(operands(i).0, operands(i).1, dots(i).2, true)),
    );
    compare(
        "linear backward tangent",
        |i| {
            let ((x, w, _, g), (x_dot, w_dot, g_dot)) = (operands(i), dots(i));
            all(Flex::linear_backward_tangent(x, x_dot, w, w_dot, g, g_dot, true))
        },
        |i| {
            let ((x, w, _, g), (x_dot, w_dot, g_dot)) = (operands(i), dots(i));
            all(linear::backward_tangent::<Flex>(x, x_dot, w, w_dot, g, g_dot, true))
        },
    );
}

#[test]
fn layer_norms() {
    let operands = |i: &Inputs| (i.normal(1, [N, C]), i.normal(2, [C]), i.normal(3, [C]));
    // what the other passes take, from the composed form in the same precision
    let kept = |i: &Inputs| {
        let (x, w, b) = operands(i);
        let (_, x_hat, rstd) = layer_norm::layer_norm::<Flex>(x, w, Some(b), 1e-5);
        (x_hat, rstd)
    };
    let dots = |i: &Inputs| (i.normal(4, [N, K, C]), i.normal(5, [K, C]), i.normal(6, [N, K, C]));
    compare(
        "layer norm",
        |i| {
            let (x, w, b) = operands(i);
            let (y, x_hat, rstd) = Flex::layer_norm(x, w, Optional::Some(b), 1e-5);
            vec![y, x_hat, rstd]
        },
        |i| {
            let (x, w, b) = operands(i);
            let (y, x_hat, rstd) = layer_norm::layer_norm::<Flex>(x, w, Some(b), 1e-5);
            vec![y, x_hat, rstd]
        },
    );
    compare(
        "layer norm tangent",
        |i| {
            let ((_, w, _), (x_hat, rstd), (x_dot, w_dot, _)) = (operands(i), kept(i), dots(i));
            let (y, x_hat, slope) = Flex::layer_norm_tangent(x_hat, rstd, w, x_dot, w_dot, Optional::None);
            vec![y, x_hat, slope]
        },
        |i| {
            let ((_, w, _), (x_hat, rstd), (x_dot, w_dot, _)) = (operands(i), kept(i), dots(i));
            let (y, x_hat, slope) = layer_norm::tangent::<Flex>(x_hat, rstd, w, x_dot, w_dot, None);
            vec![y, x_hat, slope]
        },
    );
    compare(
        "layer norm backward",
        |i| {
            let ((_, w, _), (x_hat, rstd), (_, _, g)) = (operands(i), kept(i), dots(i));
            all(Flex::layer_norm_backward(x_hat, rstd, w, g, true, Optional::None))
        },
        |i| {
            let ((_, w, _), (x_hat, rstd), (_, _, g)) = (operands(i), kept(i), dots(i));
            all(layer_norm::backward::<Flex>(x_hat, rstd, w, g, true, None))
        },
    );
    let backward_tangent = |i: &Inputs, fused: bool| {
        let ((_, w, _), (x_hat, rstd), (x_dot, w_dot, g_dot)) = (operands(i), kept(i), dots(i));
        let (_, x_hat_dot, slope) =
            layer_norm::tangent::<Flex>(x_hat.clone(), rstd.clone(), w.clone(), x_dot, w_dot.clone(), None);
        let g = i.normal(9, [N, C]);
        all(if fused {
            Flex::layer_norm_backward_tangent(
                x_hat,
                rstd,
                w,
                x_hat_dot,
                slope,
                w_dot,
                g,
                g_dot,
                true,
                Optional::None,
            )
        } else {
            layer_norm::backward_tangent::<Flex>(
                x_hat, rstd, w, x_hat_dot, slope, w_dot, g, g_dot, true, None,
            )
        })
    };
    compare("layer norm backward tangent", |i| backward_tangent(i, true), |i| backward_tangent(i, false));
}

#[test]
fn both_gelus() {
    for activation in [Activation::Gelu, Activation::GeluTanh] {
        compare(
            "gelu",
            |i| all(Flex::gelu(i.normal(1, [N, O]), activation, true)),
            |i| all(gelu::gelu::<Flex>(i.normal(1, [N, O]), activation, true)),
        );
    }
    let [first, second_g] = [1, 2].map(|seed| move |i: &Inputs| i.normal(seed, [N, O]));
    let [x_dot, g_dot] = [3, 4].map(|seed| move |i: &Inputs| i.normal(seed, [N, K, O]));
    compare(
        "gelu backward tangent",
        |i| vec![Flex::gelu_backward_tangent(first(i), second_g(i), x_dot(i), g_dot(i))],
        |i| vec![gelu::backward_tangent::<Flex>(first(i), second_g(i), x_dot(i), g_dot(i))],
    );
    compare(
        "gelu scale",
        |i| vec![Flex::gelu_scale(first(i), x_dot(i))],
        |i| vec![gelu::scale::<Flex>(first(i), x_dot(i))],
    );
}

#[test]
fn attentions() {
    let qkv = |i: &Inputs| i.normal(1, [TOKENS, 3 * C]);
    let qkv_dot = |i: &Inputs| i.normal(2, [TOKENS, K, 3 * C]);
    let g = |i: &Inputs| i.normal(3, [TOKENS, 1, C]);
    let p = |i: &Inputs| attention::attention::<Flex>(qkv(i), HEADS).1;
    let pair = |(a, b): (F, F)| vec![a, b];
    let three = |(out, p, statistics): (F, F, F)| {
        // entropies, largest logits and norms differ in size, so each is compared on its own
        let each = (0..3).map(|i| statistics.narrow(3, i, 1));
        [out, p].into_iter().chain(each).collect()
    };
    compare(
        "attention",
        |i| three(Flex::attention(qkv(i), HEADS)),
        |i| three(attention::attention::<Flex>(qkv(i), HEADS)),
    );
    compare(
        "attention tangent",
        |i| pair(Flex::attention_tangent(qkv(i), p(i), qkv_dot(i), HEADS)),
        |i| pair(attention::tangent::<Flex>(qkv(i), p(i), qkv_dot(i), HEADS)),
    );
    compare(
        "attention backward",
        |i| vec![Flex::attention_backward(qkv(i), p(i), g(i), HEADS).0],
        |i| vec![attention::backward::<Flex>(qkv(i), p(i), g(i), HEADS).0],
    );
    let backward_tangent = |i: &Inputs, fused: bool| {
        let (_, centred) = if fused {
            Flex::attention_backward(qkv(i), p(i), g(i), HEADS)
        } else {
            attention::backward::<Flex>(qkv(i), p(i), g(i), HEADS)
        };
        let (_, p_dot) = attention::tangent::<Flex>(qkv(i), p(i), qkv_dot(i), HEADS);
        let (g, g_dot) = (i.normal(3, [TOKENS, C]), i.normal(4, [TOKENS, K, C]));
        vec![if fused {
            Flex::attention_backward_tangent(qkv(i), p(i), centred, g, qkv_dot(i), p_dot, g_dot, HEADS)
        } else {
            attention::backward_tangent::<Flex>(qkv(i), p(i), centred, g, qkv_dot(i), p_dot, g_dot, HEADS)
        }]
    };
    compare("attention backward tangent", |i| backward_tangent(i, true), |i| backward_tangent(i, false));
}

#[test]
fn residual_streams() {
    let streams = |i: &Inputs| (i.normal(1, [N, C]), i.normal(2, [N, C]), i.normal(3, [N, C]));
    compare(
        "residual",
        |i| {
            let (x, middle, y) = streams(i);
            vec![Flex::residual(x, middle, y)]
        },
        |i| {
            let (x, middle, y) = streams(i);
            vec![residual::residual::<Flex>(x, middle, y)]
        },
    );
}

#[test]
fn heads_and_embeddings() {
    let (h, w) = (|i: &Inputs| i.normal(1, [N, C]), |i: &Inputs| i.normal(2, [O, C]));
    let (h_dot, w_dot) = (|i: &Inputs| i.normal(3, [N, K, C]), |i: &Inputs| i.normal(4, [K, O, C]));
    let targets = || ids(N, O);
    let kept = |i: &Inputs| {
        let (_, lse, p) = head::cross_entropy::<Flex>(h(i), w(i), targets());
        (lse, p)
    };
    let pair = |(a, b): (F, F)| vec![a, b];
    compare(
        "cross entropy",
        |i| {
            let (nll, lse, p) = Flex::cross_entropy(h(i), w(i), targets());
            vec![nll, lse, p]
        },
        |i| {
            let (nll, lse, p) = head::cross_entropy::<Flex>(h(i), w(i), targets());
            vec![nll, lse, p]
        },
    );
    compare(
        "cross entropy backward",
        |i| pair(Flex::cross_entropy_backward(h(i), w(i), targets(), kept(i).0, kept(i).1, 0.5)),
        |i| pair(head::backward::<Flex>(h(i), w(i), targets(), kept(i).0, kept(i).1, 0.5)),
    );
    compare(
        "cross entropy backward tangent",
        |i| {
            let (lse, p) = kept(i);
            pair(Flex::cross_entropy_backward_tangent(h(i), h_dot(i), w(i), w_dot(i), targets(), lse, p, 0.5))
        },
        |i| {
            let (lse, p) = kept(i);
            pair(head::backward_tangent::<Flex>(h(i), h_dot(i), w(i), w_dot(i), targets(), lse, p, 0.5))
        },
    );
    compare(
        "cross entropy Gauss-Newton",
        |i| pair(Flex::cross_entropy_gauss_newton(h(i), h_dot(i), w(i), w_dot(i), kept(i).0, kept(i).1, 0.5)),
        |i| pair(head::gauss_newton::<Flex>(h(i), h_dot(i), w(i), w_dot(i), kept(i).0, kept(i).1, 0.5)),
    );
    let g = |i: &Inputs| i.normal(5, [TOKENS, K, C]);
    compare(
        "embedding backward",
        |i| pair(Flex::embedding_backward(ids(TOKENS, O), g(i), HEADS.seq, O, 40)),
        |i| pair(embedding::backward::<Flex>(ids(TOKENS, O), g(i), HEADS.seq, O, 40)),
    );
}

#[test]
fn moments_of_parts() {
    // few tokens to a part and many, on both sides of where the form changes
    for rows in [4, 37, 74] {
        let (x, g) = (|i: &Inputs| i.normal(1, [TOKENS * 2, C]), |i: &Inputs| i.normal(2, [TOKENS * 2, O]));
        let (w, m, row) = (
            |i: &Inputs| i.normal(3, [O, C]),
            |i: &Inputs| i.normal(4, [O, C]),
            |i: &Inputs| i.normal(5, [C]),
        );
        let targets = || ids(TOKENS * 2, O);
        let tokens = || ids(TOKENS * 2, 9);
        let kept = |i: &Inputs| {
            let (_, lse, p) = head::cross_entropy::<Flex>(x(i), w(i), targets());
            (lse, p)
        };
        compare(
            "moments of products",
            |i| vec![Flex::product_moments(x(i), g(i), m(i), rows)],
            |i| vec![moments::product::<Flex>(x(i), g(i), m(i), rows)],
        );
        compare(
            "moments of sums",
            |i| {
                vec![
                    Flex::sum_moments(x(i), Optional::None, row(i), rows),
                    Flex::sum_moments(x(i), Optional::Some(x(i)), row(i), rows),
                    Flex::scatter_moments(tokens(), x(i), m(i), rows),
                ]
            },
            |i| {
                vec![
                    moments::sum::<Flex>(x(i), None, row(i), rows),
                    moments::sum::<Flex>(x(i), Some(x(i)), row(i), rows),
                    moments::scatter::<Flex>(tokens(), x(i), m(i), rows),
                ]
            },
        );
        compare(
            "moments of the head",
            |i| {
                let (lse, p) = kept(i);
                let of = |g_x, lse, p| {
                    Flex::head_moments(x(i), w(i), targets(), lse, p, 0.5, tokens(), g_x, m(i), rows)
                };
                vec![
                    of(Optional::None, lse.clone(), p.clone()),
                    of(Optional::Some(i.normal(6, [TOKENS * 2, C])), lse, p),
                ]
            },
            |i| {
                let (lse, p) = kept(i);
                let of = |g_x, lse, p| {
                    moments::head::<Flex>(x(i), w(i), targets(), lse, p, 0.5, tokens(), g_x, m(i), rows)
                };
                vec![of(None, lse.clone(), p.clone()), of(Some(i.normal(6, [TOKENS * 2, C])), lse, p)]
            },
        );
    }
}
