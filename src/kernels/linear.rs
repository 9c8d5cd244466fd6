//! The affine map y = x Wᵀ + b, the GEMMs of a GPT.
//!
//! In units of one GEMM of the layer: forward 1, backward 2, tangent 2, backward tangent 4.

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use super::operations::{Kernels, lower, lower_optional, raise};

/// y = x Wᵀ + b + add; x (N, I), w (O, I), b (O), add and y (N, O).
///
/// `add` is the residual stream the output joins.
pub fn linear(x: &Tensor<2>, w: &Tensor<2>, b: Option<&Tensor<1>>, add: Option<&Tensor<2>>) -> Tensor<2> {
    raise(<Dispatch as Kernels>::linear(lower(x), lower(w), lower_optional(b), lower_optional(add)))
}

/// ẏ = ẋ Wᵀ + x Ẇᵀ + ḃ + add; x_dot (N, K, I), w_dot (K, O, I), b_dot (K, O), add and ẏ (N, K, O).
pub fn linear_tangent(
    x: &Tensor<2>,
    x_dot: &Tensor<3>,
    w: &Tensor<2>,
    w_dot: &Tensor<3>,
    b_dot: Option<&Tensor<2>>,
    add: Option<&Tensor<3>>,
) -> Tensor<3> {
    raise(<Dispatch as Kernels>::linear_tangent(
        lower(x),
        lower(x_dot),
        lower(w),
        lower(w_dot),
        lower_optional(b_dot),
        lower_optional(add),
    ))
}

/// (g_x, g_w, g_b) from K output gradients g_y (N, K, O): g_x = g_y W, g_w = g_yᵀ x, g_b = Σ g_y.
pub fn linear_backward(
    x: &Tensor<2>,
    w: &Tensor<2>,
    g_y: &Tensor<3>,
    bias: bool,
) -> (Tensor<3>, Tensor<3>, Option<Tensor<2>>) {
    let (g_x, g_w, g_b) = <Dispatch as Kernels>::linear_backward(lower(x), lower(w), lower(g_y), bias);
    (raise(g_x), raise(g_w), g_b.map(raise))
}

/// The tangents of (g_x, g_w, g_b): ġ_x = ġ_y W + g_y Ẇ, ġ_w = ġ_yᵀ x + g_yᵀ ẋ, ġ_b = Σ ġ_y.
pub fn linear_backward_tangent(
    x: &Tensor<2>,
    x_dot: &Tensor<3>,
    w: &Tensor<2>,
    w_dot: &Tensor<3>,
    g_y: &Tensor<2>,
    g_y_dot: &Tensor<3>,
    bias: bool,
) -> (Tensor<3>, Tensor<3>, Option<Tensor<2>>) {
    let (g_x, g_w, g_b) = <Dispatch as Kernels>::linear_backward_tangent(
        lower(x),
        lower(x_dot),
        lower(w),
        lower(w_dot),
        lower(g_y),
        lower(g_y_dot),
        bias,
    );
    (raise(g_x), raise(g_w), g_b.map(raise))
}
