//! The operations on the CPU, fused and multithreaded, overriding the composed forms for burn's flex
//! backend.
//!
//! Inputs are slices; outputs are filled once, in parallel pieces; nothing but the outputs is allocated per
//! call beyond a little scratch. Loops and matrix products ([`gemm`]) choose their instructions at run time
//! ([`crate::base::simd`]). Results do not depend on the number of threads, because no sum is cut between
//! threads differently from one count to another.

#[cfg(test)]
mod accuracy;
mod attention;
mod blocks;
mod cross_entropy;
mod embedding;
mod float;
mod gelu;
mod gemm;
mod head_moments;
mod lanes;
mod layer_norm;
mod linear;
mod moments;
mod residual;
#[cfg(test)]
mod soundness;
mod storage;
mod targets;

use burn::backend::Flex;
use burn::tensor::DType;
use burn_flex::FlexTensor as F;

use super::heads::Heads;
use super::operations::{Kernels, Optional};
use crate::architecture::Activation;
use cross_entropy::Head;

/// Calls a generic kernel with the float type of a tensor.
macro_rules! by_dtype {
    ($tensor:expr, $E:ident => $call:expr) => {
        match $tensor.dtype() {
            DType::F32 => {
                type $E = f32;
                $call
            }
            DType::F64 => {
                type $E = f64;
                $call
            }
            other => panic!("the kernels compute in f32 and f64, not {other:?}"),
        }
    };
}

impl Kernels for Flex {
    fn linear(x: F, w: F, b: Optional<Self>, add: Optional<Self>) -> F {
        by_dtype!(x, E => linear::linear::<E>(x, w, b.into_option(), add.into_option()))
    }

    fn linear_tangent(x: F, x_dot: F, w: F, w_dot: F, b_dot: Optional<Self>, add: Optional<Self>) -> F {
        by_dtype!(x, E => linear::tangent::<E>(x, x_dot, w, w_dot, b_dot.into_option(), add.into_option()))
    }

    fn linear_backward(x: F, w: F, g_y: F, bias: bool) -> (F, F, Option<F>) {
        by_dtype!(x, E => linear::backward::<E>(x, w, g_y, bias))
    }

    fn linear_backward_tangent(
        x: F,
        x_dot: F,
        w: F,
        w_dot: F,
        g_y: F,
        g_y_dot: F,
        bias: bool,
    ) -> (F, F, Option<F>) {
        by_dtype!(x, E => linear::backward_tangent::<E>(x, x_dot, w, w_dot, g_y, g_y_dot, bias))
    }

    fn layer_norm(x: F, w: F, b: Optional<Self>, eps: f64) -> (F, F, F) {
        by_dtype!(x, E => layer_norm::layer_norm::<E>(x, w, b.into_option(), eps))
    }

    fn layer_norm_tangent(x_hat: F, rstd: F, w: F, x_dot: F, w_dot: F, b_dot: Optional<Self>) -> (F, F, F) {
        by_dtype!(w, E => layer_norm::tangent::<E>(x_hat, rstd, w, x_dot, w_dot, b_dot.into_option()))
    }

    fn layer_norm_backward(
        x_hat: F,
        rstd: F,
        w: F,
        g_y: F,
        bias: bool,
        add: Optional<Self>,
    ) -> (F, F, Option<F>) {
        by_dtype!(w, E => layer_norm::backward::<E>(x_hat, rstd, w, g_y, bias, add.into_option()))
    }

    fn layer_norm_backward_tangent(
        x_hat: F,
        rstd: F,
        w: F,
        x_hat_dot: F,
        slope: F,
        w_dot: F,
        g_y: F,
        g_y_dot: F,
        bias: bool,
        add: Optional<Self>,
    ) -> (F, F, Option<F>) {
        by_dtype!(w, E => layer_norm::backward_tangent::<E>(
            x_hat, rstd, w, x_hat_dot, slope, w_dot, g_y, g_y_dot, bias, add.into_option()
        ))
    }

    fn gelu(x: F, activation: Activation, with_second: bool) -> (F, F, Option<F>) {
        by_dtype!(x, E => gelu::gelu::<E>(x, activation, with_second))
    }

    fn gelu_scale(first: F, t: F) -> F {
        by_dtype!(t, E => gelu::scale::<E>(first, t))
    }

    fn gelu_backward_tangent(first: F, second_g: F, x_dot: F, g_y_dot: F) -> F {
        by_dtype!(first, E => gelu::backward_tangent::<E>(first, second_g, x_dot, g_y_dot))
    }

    fn attention(qkv: F, heads: Heads) -> (F, F, F) {
        by_dtype!(qkv, E => attention::attention::<E>(qkv, heads))
    }

    fn attention_tangent(qkv: F, p: F, qkv_dot: F, heads: Heads) -> (F, F) {
        by_dtype!(qkv, E => attention::tangent::<E>(qkv, p, qkv_dot, heads))
    }

    fn attention_backward(qkv: F, p: F, g_out: F, heads: Heads) -> (F, F) {
        by_dtype!(qkv, E => attention::backward::<E>(qkv, p, g_out, heads))
    }

    fn attention_backward_tangent(
        qkv: F,
        p: F,
        centred: F,
        g_out: F,
        qkv_dot: F,
        p_dot: F,
        g_out_dot: F,
        heads: Heads,
    ) -> F {
        by_dtype!(qkv, E => attention::backward_tangent::<E>(
            qkv, p, centred, g_out, qkv_dot, p_dot, g_out_dot, heads
        ))
    }

    fn residual(x: F, middle: F, y: F) -> F {
        by_dtype!(x, E => residual::residual::<E>(x, middle, y))
    }

    fn embedding(tokens: F, wte: F, wpe: F, seq: usize) -> F {
        by_dtype!(wte, E => embedding::embedding::<E>(tokens, wte, wpe, seq))
    }

    fn embedding_tangent(tokens: F, wte_dot: F, wpe_dot: F, seq: usize) -> F {
        by_dtype!(wte_dot, E => embedding::tangent::<E>(tokens, wte_dot, wpe_dot, seq))
    }

    fn embedding_backward(tokens: F, g_x: F, seq: usize, vocab_size: usize, block_size: usize) -> (F, F) {
        by_dtype!(g_x, E => embedding::backward::<E>(tokens, g_x, seq, vocab_size, block_size))
    }

    fn cross_entropy(h: F, w: F, targets: F) -> (F, F, F) {
        by_dtype!(h, E => cross_entropy::cross_entropy::<E>(h, w, targets))
    }

    fn cross_entropy_backward(h: F, w: F, targets: F, lse: F, p: F, weight: f64) -> (F, F) {
        by_dtype!(h, E => Head::<E>::new(h, w, lse, p).backward(&targets, weight))
    }

    fn cross_entropy_backward_tangent(
        h: F,
        h_dot: F,
        w: F,
        w_dot: F,
        targets: F,
        lse: F,
        p: F,
        weight: f64,
    ) -> (F, F) {
        by_dtype!(h, E => Head::<E>::new(h, w, lse, p).backward_tangent(h_dot, w_dot, Some(&targets), weight))
    }

    fn cross_entropy_gauss_newton(h: F, h_dot: F, w: F, w_dot: F, lse: F, p: F, weight: f64) -> (F, F) {
        by_dtype!(h, E => Head::<E>::new(h, w, lse, p).backward_tangent(h_dot, w_dot, None, weight))
    }
    fn product_moments(x: F, g: F, m: F, rows: usize) -> F {
        by_dtype!(x, E => moments::product::<E>(x, g, m, rows))
    }

    fn sum_moments(g: F, x: Optional<Self>, m: F, rows: usize) -> F {
        by_dtype!(g, E => moments::sum::<E>(g, x.into_option(), m, rows))
    }

    fn scatter_moments(tokens: F, g_x: F, m: F, rows: usize) -> F {
        by_dtype!(g_x, E => moments::scatter::<E>(tokens, g_x, m, rows))
    }

    fn head_moments(
        h: F,
        w: F,
        targets: F,
        lse: F,
        p: F,
        weight: f64,
        tokens: F,
        g_x: Optional<Self>,
        m: F,
        rows: usize,
    ) -> F {
        by_dtype!(h, E => {
            Head::<E>::new(h, w, lse, p).moments(&targets, weight, &tokens, g_x.into_option(), m, rows)
        })
    }
}
