//! The head with its loss, composed. The logits are held whole.

use burn::backend::tensor::{FloatTensor as F, IntTensor};
use burn::backend::{Backend, TensorMetadata};

use super::linear;
use crate::kernels::array::Array;

pub fn cross_entropy<B: Backend>(h: F<B>, w: F<B>, targets: IntTensor<B>) -> (F<B>, F<B>, F<B>) {
    let z = Array::<B>(h).matmul(Array::<B>(w).t());
    let n = z.dim(0);
    let top = z.clone().max(1);
    let lse = (z.clone() - top.clone()).exp().sum(1).log() + top;
    let p = (z.clone() - lse.clone()).exp();
    let picked = Array::<B>(B::float_gather(1, z.0, column::<B>(targets)));
    ((lse.clone() - picked).reshape([n]).0, lse.reshape([n]).0, p.0)
}

/// Targets (N) as (N, 1).
fn column<B: Backend>(targets: IntTensor<B>) -> IntTensor<B> {
    let n = targets.shape()[0];
    B::int_reshape(targets, [n, 1].into())
}

/// g_z (N, V) = weight (p − e_target).
fn gradient<B: Backend>(p: F<B>, targets: IntTensor<B>, weight: f64) -> Array<B> {
    let p = Array::<B>(p);
    let n = p.dim(0);
    let minus = p.zeros([n, 1]).shift(-1.0);
    let update = burn::tensor::IndexingUpdateOp::Add;
    Array::<B>(B::float_scatter(1, p.0, column::<B>(targets), minus.0, update)).scale(weight)
}

/// weight p (ż − Σ p ż), (N, K, V).
fn curvature<B: Backend>(h: F<B>, h_dot: F<B>, w: F<B>, w_dot: F<B>, p: F<B>, weight: f64) -> F<B> {
    let p = Array::<B>(p);
    let (n, v) = (p.dim(0), p.dim(1));
    let p = p.reshape([n, 1, v]);
    let z_dot = Array::<B>(linear::tangent::<B>(h, h_dot, w, w_dot, None, None));
    let mean = (p.clone() * z_dot.clone()).sum(2);
    (p * (z_dot - mean)).scale(weight).0
}

pub fn backward<B: Backend>(
    h: F<B>,
    w: F<B>,
    targets: IntTensor<B>,
    _lse: F<B>,
    p: F<B>,
    weight: f64,
) -> (F<B>, F<B>) {
    let g_z = gradient::<B>(p, targets, weight);
    (g_z.clone().matmul(Array::<B>(w)).0, g_z.t().matmul(Array::<B>(h)).0)
}

pub fn backward_tangent<B: Backend>(
    h: F<B>,
    h_dot: F<B>,
    w: F<B>,
    w_dot: F<B>,
    targets: IntTensor<B>,
    _lse: F<B>,
    p: F<B>,
    weight: f64,
) -> (F<B>, F<B>) {
    let g_z = gradient::<B>(p.clone(), targets, weight);
    let g_z_dot = curvature::<B>(h.clone(), h_dot.clone(), w.clone(), w_dot.clone(), p, weight);
    let (g_h, g_w, _) = linear::backward_tangent::<B>(h, h_dot, w, w_dot, g_z.0, g_z_dot, false);
    (g_h, g_w)
}

pub fn gauss_newton<B: Backend>(
    h: F<B>,
    h_dot: F<B>,
    w: F<B>,
    w_dot: F<B>,
    _lse: F<B>,
    p: F<B>,
    weight: f64,
) -> (F<B>, F<B>) {
    let u = curvature::<B>(h.clone(), h_dot, w.clone(), w_dot, p, weight);
    let (g_h, g_w, _) = linear::backward::<B>(h, w, u, false);
    (g_h, g_w)
}
