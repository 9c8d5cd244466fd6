//! GELU, exact (x Φ(x)) and in the tanh approximation, with its first two derivatives.
//!
//! The derivatives are evaluated once, in the forward pass, where the exponential they share is at
//! hand; every later product with the Hessian only multiplies by them.
//!
//! Reference: Hendrycks and Gimpel, Gaussian Error Linear Units, arXiv 1606.08415.

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use super::operations::{Kernels, lower, raise};
use crate::architecture::Activation;

/// (y, y′, y″) of x (N, F); the second derivative only when `with_second`.
pub fn gelu(
    x: &Tensor<2>,
    activation: Activation,
    with_second: bool,
) -> (Tensor<2>, Tensor<2>, Option<Tensor<2>>) {
    let (y, first, second) = <Dispatch as Kernels>::gelu(lower(x), activation, with_second);
    (raise(y), raise(first), second.map(raise))
}

/// y′ t for K tangents or gradients t (N, K, F): the tangent and the backward are the same product.
pub fn gelu_scale(first: &Tensor<2>, t: &Tensor<3>) -> Tensor<3> {
    raise(<Dispatch as Kernels>::gelu_scale(lower(first), lower(t)))
}

/// The tangent of the backward: y′ ġ_y + second_g ẋ, where second_g = y″ g_y (N, F).
pub fn gelu_backward_tangent(
    first: &Tensor<2>,
    second_g: &Tensor<2>,
    x_dot: &Tensor<3>,
    g_y_dot: &Tensor<3>,
) -> Tensor<3> {
    raise(<Dispatch as Kernels>::gelu_backward_tangent(
        lower(first),
        lower(second_g),
        lower(x_dot),
        lower(g_y_dot),
    ))
}
