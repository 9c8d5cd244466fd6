//! The language-model head and its loss in one: logits z = h Wᵀ, `nll = log Σ exp z − z[target]`.
//!
//! Fused because the logits (N, V) and their K tangents are the largest arrays of a GPT and nothing
//! else needs them. `weight` is what each token counts in the loss: 1/(B·T) for the mean.
//! With p = softmax(z): g_z = weight (p − e_target), and ġ_z = weight p (ż − Σ p ż), which is also the
//! curvature of the loss in z that the Gauss-Newton matrix uses.

use burn::backend::Dispatch;
use burn::tensor::{Int, Tensor};

use super::operations::{Kernels, lower, raise};

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
