//! The language-model head and its loss in one: logits z = h Wᵀ, `nll = log Σ exp z − z[target]`.
//!
//! Fused because the logits (N, V) and their K tangents are the largest arrays of a GPT and nothing
//! else needs them. `weight` is what each token counts in the loss: 1/(B·T) for the mean.
//! With p = softmax(z): g_z = weight (p − e_target), and ġ_z = weight p (ż − Σ p ż), which is also the
//! curvature of the loss in z that the Gauss-Newton matrix uses.

use burn::backend::Dispatch;
use burn::tensor::{Int, Tensor};

use super::{Kernels, lower, raise};

/// Probabilities (N, V) are kept up to this many numbers; beyond, they are computed again from chunks of the
/// vocabulary.
pub const KEPT: usize = if cfg!(miri) { 16 } else { 1 << 24 };

/// What the forward pass keeps for the derivatives.
#[derive(Clone)]
pub struct Kept {
    /// log Σ exp z of each token, (N).
    pub lse: Tensor<1>,
    /// softmax(z), (N, V); (0, V) where the backend computes it again from `lse`.
    pub(super) p: Tensor<2>,
}

/// (nll (N), what is kept) of h (N, C), w (V, C), targets (N).
pub fn cross_entropy(h: &Tensor<2>, w: &Tensor<2>, targets: &Tensor<1, Int>) -> (Tensor<1>, Kept) {
    let (nll, lse, p) =
        <Dispatch as Kernels>::cross_entropy(lower(h), lower(w), targets.clone().into_dispatch());
    (raise(nll), Kept { lse: raise(lse), p: raise(p) })
}

/// (g_h (N, C), g_w (V, C)).
pub fn cross_entropy_backward(
    h: &Tensor<2>,
    w: &Tensor<2>,
    targets: &Tensor<1, Int>,
    kept: &Kept,
    weight: f64,
) -> (Tensor<2>, Tensor<2>) {
    let (g_h, g_w) = <Dispatch as Kernels>::cross_entropy_backward(
        lower(h),
        lower(w),
        targets.clone().into_dispatch(),
        lower(&kept.lse),
        lower(&kept.p),
        weight,
    );
    (raise(g_h), raise(g_w))
}

/// The tangents (ġ_h (N, K, C), ġ_w (K, V, C)) of the gradients.
pub fn cross_entropy_backward_tangent(
    h: &Tensor<2>,
    h_dot: &Tensor<3>,
    w: &Tensor<2>,
    w_dot: &Tensor<3>,
    targets: &Tensor<1, Int>,
    kept: &Kept,
    weight: f64,
) -> (Tensor<3>, Tensor<3>) {
    let (g_h, g_w) = <Dispatch as Kernels>::cross_entropy_backward_tangent(
        lower(h),
        lower(h_dot),
        lower(w),
        lower(w_dot),
        targets.clone().into_dispatch(),
        lower(&kept.lse),
        lower(&kept.p),
        weight,
    );
    (raise(g_h), raise(g_w))
}

/// The Gauss-Newton part of those tangents: the curvature of the loss in z applied to ż, pulled back
/// to (h, w) by the backward of the head alone.
pub fn cross_entropy_gauss_newton(
    h: &Tensor<2>,
    h_dot: &Tensor<3>,
    w: &Tensor<2>,
    w_dot: &Tensor<3>,
    kept: &Kept,
    weight: f64,
) -> (Tensor<3>, Tensor<3>) {
    let (g_h, g_w) = <Dispatch as Kernels>::cross_entropy_gauss_newton(
        lower(h),
        lower(h_dot),
        lower(w),
        lower(w_dot),
        lower(&kept.lse),
        lower(&kept.p),
        weight,
    );
    (raise(g_h), raise(g_w))
}

/// The composed forms, which hold the logits whole.
pub(super) mod composed {
    use burn::backend::tensor::{FloatTensor as F, IntTensor};
    use burn::backend::{Backend, TensorMetadata};

    use crate::kernels::array::Array;
    use crate::kernels::linear;

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
        let z_dot = Array::<B>(linear::composed::tangent::<B>(h, h_dot, w, w_dot, None, None));
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
        let (g_h, g_w, _) =
            linear::composed::backward_tangent::<B>(h, h_dot, w, w_dot, g_z.0, g_z_dot, false);
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
        let (g_h, g_w, _) = linear::composed::backward::<B>(h, w, u, false);
        (g_h, g_w)
    }
}
