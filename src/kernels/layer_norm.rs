//! Layer normalisation over channels: x̂ = (x − μ) ρ with ρ = (σ² + ε)^-½, y = w x̂ + b.
//!
//! Its second derivative is where automatic differentiation is easily wrong (PyTorch's
//! forward-over-reverse misses a term on the rows of w); here it is the tangent of the backward
//! formula, term by term.

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use super::operations::{Kernels, lower, lower_optional, raise};

/// (y, x̂, ρ) of x (N, C), w and b (C); y and x̂ (N, C), ρ (N).
pub fn layer_norm(
    x: &Tensor<2>,
    w: &Tensor<1>,
    b: Option<&Tensor<1>>,
    eps: f64,
) -> (Tensor<2>, Tensor<2>, Tensor<1>) {
    let (y, x_hat, rstd) = <Dispatch as Kernels>::layer_norm(lower(x), lower(w), lower_optional(b), eps);
    (raise(y), raise(x_hat), raise(rstd))
}

/// (ẏ, dx̂, s): with the slope s = mean(x̂ ẋ) (N, K), dx̂ = ρ (ẋ − mean ẋ − x̂ s) and ẏ = w dx̂ + ẇ x̂ + ḃ;
/// x_dot (N, K, C), w_dot and b_dot (K, C).
pub fn layer_norm_tangent(
    x_hat: &Tensor<2>,
    rstd: &Tensor<1>,
    w: &Tensor<1>,
    x_dot: &Tensor<3>,
    w_dot: &Tensor<2>,
    b_dot: Option<&Tensor<2>>,
) -> (Tensor<3>, Tensor<3>, Tensor<2>) {
    let (y_dot, x_hat_dot, slope) = <Dispatch as Kernels>::layer_norm_tangent(
        lower(x_hat),
        lower(rstd),
        lower(w),
        lower(x_dot),
        lower(w_dot),
        lower_optional(b_dot),
    );
    (raise(y_dot), raise(x_hat_dot), raise(slope))
}

/// (g_x + add, g_w, g_b) from K output gradients g_y (N, K, C): with h = w g_y,
/// g_x = ρ (h − mean h − x̂ mean(h x̂)), g_w = Σ g_y x̂, g_b = Σ g_y.
///
/// `add` (N, K, C) is the gradient that reaches x along the residual stream.
pub fn layer_norm_backward(
    x_hat: &Tensor<2>,
    rstd: &Tensor<1>,
    w: &Tensor<1>,
    g_y: &Tensor<3>,
    bias: bool,
    add: Option<&Tensor<3>>,
) -> (Tensor<3>, Tensor<2>, Option<Tensor<2>>) {
    let (g_x, g_w, g_b) = <Dispatch as Kernels>::layer_norm_backward(
        lower(x_hat),
        lower(rstd),
        lower(w),
        lower(g_y),
        bias,
        lower_optional(add),
    );
    (raise(g_x), raise(g_w), g_b.map(raise))
}

/// The tangents of (g_x, g_w, g_b), plus `add` on the first; `x_hat_dot` and `slope` come from
/// [`layer_norm_tangent`], and ρ̇ = −ρ² s.
pub fn layer_norm_backward_tangent(
    x_hat: &Tensor<2>,
    rstd: &Tensor<1>,
    w: &Tensor<1>,
    x_hat_dot: &Tensor<3>,
    slope: &Tensor<2>,
    w_dot: &Tensor<2>,
    g_y: &Tensor<2>,
    g_y_dot: &Tensor<3>,
    bias: bool,
    add: Option<&Tensor<3>>,
) -> (Tensor<3>, Tensor<2>, Option<Tensor<2>>) {
    let (g_x, g_w, g_b) = <Dispatch as Kernels>::layer_norm_backward_tangent(
        lower(x_hat),
        lower(rstd),
        lower(w),
        lower(x_hat_dot),
        lower(slope),
        lower(w_dot),
        lower(g_y),
        lower(g_y_dot),
        bias,
        lower_optional(add),
    );
    (raise(g_x), raise(g_w), g_b.map(raise))
}
