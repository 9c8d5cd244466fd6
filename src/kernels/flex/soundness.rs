//! Every kernel once, small, with every number of its outputs looked at: for Miri, which knows memory that nothing
//! wrote, pointers out of place and writes that race. `make miri` runs it.

use burn::backend::Flex;
use burn::tensor::TensorData;
use burn_flex::FlexTensor as F;

use crate::architecture::Activation;
use crate::kernels::attention::{BLOCK, Heads};
use crate::kernels::{Kernels, Optional};

/// Numbers that differ, none of them large.
fn tensor<const D: usize>(shape: [usize; D]) -> F {
    let len = shape.iter().product();
    let numbers: Vec<f32> = (0..len).map(|i: usize| (i * 7 % 11) as f32 / 11.0 - 0.4).collect();
    F::from_data(TensorData::new(numbers, shape))
}

fn ids(n: usize, below: usize) -> F {
    F::from_data(TensorData::new((0..n).map(|i| (i * 3 % below) as i32).collect::<Vec<i32>>(), [n]))
}

/// Reads all numbers of some outputs.
fn look(outputs: impl IntoIterator<Item = F>) {
    for output in outputs {
        let output = output.to_contiguous();
        let finite = match output.as_slice::<f32>() {
            Some(numbers) => numbers.iter().all(|x| x.is_finite()),
            None => output.as_slice::<f64>().expect("f32 or f64").iter().all(|x| x.is_finite()),
        };
        assert!(finite);
    }
}

fn all<T>((a, b, c): (T, T, Option<T>)) -> impl Iterator<Item = T> {
    [a, b].into_iter().chain(c)
}

const N: usize = 5;
const K: usize = 2;
const C: usize = 6;

#[test]
fn linear_layers_and_norms() {
    let o = 9;
    let (x, w, b) = (tensor([N, C]), tensor([o, C]), tensor([o]));
    let (x_dot, w_dot) = (tensor([N, K, C]), tensor([K, o, C]));
    let some = |t: F| Optional::Some(t);
    look([Flex::linear(x.clone(), w.clone(), some(b), some(tensor([N, o])))]);
    look([Flex::linear(x.clone(), w.clone(), Optional::None, Optional::None)]);
    let b_dot = some(tensor([K, o]));
    look([Flex::linear_tangent(x.clone(), x_dot.clone(), w.clone(), w_dot.clone(), b_dot, Optional::None)]);
    look(all(Flex::linear_backward(x.clone(), w.clone(), tensor([N, K, o]), true)));
    look(all(Flex::linear_backward_tangent(x, x_dot, w, w_dot, tensor([N, o]), tensor([N, K, o]), true)));

    let (x, w, b) = (tensor([N, C]), tensor([C]), tensor([C]));
    let (y, x_hat, rstd) = Flex::layer_norm(x, w.clone(), some(b), 1e-5);
    look([y, x_hat.clone(), rstd.clone()]);
    let (x_dot, w_dot) = (tensor([N, K, C]), tensor([K, C]));
    let (y_dot, x_hat_dot, slope) = Flex::layer_norm_tangent(
        x_hat.clone(),
        rstd.clone(),
        w.clone(),
        x_dot.clone(),
        w_dot.clone(),
        some(w_dot.clone()),
    );
    look([y_dot, x_hat_dot.clone(), slope.clone()]);
    let add = || some(tensor([N, K, C]));
    look(all(Flex::layer_norm_backward(x_hat.clone(), rstd.clone(), w.clone(), x_dot.clone(), true, add())));
    look(all(Flex::layer_norm_backward_tangent(
        x_hat,
        rstd,
        w,
        x_hat_dot,
        slope,
        w_dot,
        tensor([N, C]),
        x_dot,
        true,
        add(),
    )));
}

#[test]
fn nonlinearities_streams_and_embeddings() {
    for activation in [Activation::Gelu, Activation::GeluTanh] {
        look(all(Flex::gelu(tensor([N, C]), activation, false)));
        let (y, first, second_g) = Flex::gelu(tensor([N, C]), activation, true);
        let (second_g, dots) = (second_g.expect("asked for"), tensor([N, K, C]));
        look([y, Flex::gelu_scale(first.clone(), dots.clone())]);
        look([Flex::gelu_backward_tangent(first, second_g, dots.clone(), dots)]);
    }
    look([Flex::residual(tensor([N, C]), tensor([N, C]), tensor([N, C]))]);
    let (v, block, seq) = (7, 4, 3);
    let tokens = ids(2 * seq, v);
    look([Flex::embedding(tokens.clone(), tensor([v, C]), tensor([block, C]), seq)]);
    look([Flex::embedding_tangent(tokens.clone(), tensor([K, v, C]), tensor([K, block, C]), seq)]);
    let (g_wte, g_wpe) = Flex::embedding_backward(tokens, tensor([2 * seq, K, C]), seq, v, block);
    look([g_wte, g_wpe]);
}

#[test]
fn attention_within_and_beyond_a_block() {
    for seq in [3, BLOCK + 2] {
        let heads = Heads { batch: 1, seq, n_head: 2 };
        let (qkv, qkv_dot) = (tensor([seq, 6]), tensor([seq, K, 6]));
        let (out, p, statistics) = Flex::attention(qkv.clone(), heads);
        let (out_dot, p_dot) = Flex::attention_tangent(qkv.clone(), p.clone(), qkv_dot.clone(), heads);
        let (g_qkv, centred) = Flex::attention_backward(qkv.clone(), p.clone(), tensor([seq, 1, 2]), heads);
        look([out, p.clone(), statistics, out_dot, p_dot.clone(), g_qkv, centred.clone()]);
        let (g, g_dot) = (tensor([seq, 2]), tensor([seq, K, 2]));
        look([Flex::attention_backward_tangent(qkv, p, centred, g, qkv_dot, p_dot, g_dot, heads)]);
    }
}

/// Under Miri the second vocabulary is cut into chunks, which elsewhere takes millions of numbers.
#[test]
fn heads_of_one_and_of_several_chunks() {
    for v in [3, 11] {
        let (h, w, targets) = (tensor([N, C]), tensor([v, C]), ids(N, v));
        let (h_dot, w_dot) = (tensor([N, K, C]), tensor([K, v, C]));
        let (nll, lse, p) = Flex::cross_entropy(h.clone(), w.clone(), targets.clone());
        look([nll, lse.clone(), p.clone()]);
        let pair = |(a, b): (F, F)| look([a, b]);
        let kept = || (lse.clone(), p.clone());
        let (l, q) = kept();
        pair(Flex::cross_entropy_backward(h.clone(), w.clone(), targets.clone(), l, q, 0.2));
        let (l, q) = kept();
        pair(Flex::cross_entropy_backward_tangent(
            h.clone(),
            h_dot.clone(),
            w.clone(),
            w_dot.clone(),
            targets.clone(),
            l,
            q,
            0.2,
        ));
        let (l, q) = kept();
        pair(Flex::cross_entropy_gauss_newton(h.clone(), h_dot, w.clone(), w_dot, l, q, 0.2));
        let (l, q) = kept();
        let (tokens, g_x) = (ids(N, v), Optional::Some(tensor([N, C])));
        look([Flex::head_moments(h, w, targets, l, q, 0.2, tokens, g_x, tensor([v, C]), 1)]);
    }
    look([Flex::product_moments(tensor([N, C]), tensor([N, 4]), tensor([4, C]), 1)]);
    look([Flex::product_moments(tensor([6, C]), tensor([6, 4]), tensor([4, C]), 6)]);
    look([Flex::sum_moments(tensor([N, C]), Optional::None, tensor([C]), 1)]);
    look([Flex::scatter_moments(ids(N, 4), tensor([N, C]), tensor([4, C]), 1)]);
}
