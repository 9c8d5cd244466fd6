//! GELU, exact (x Φ(x)) and in the tanh approximation, with its first two derivatives.
//!
//! The derivatives are evaluated once, in the forward pass, where the exponential they share is at
//! hand; every later product with the Hessian only multiplies by them.
//!
//! Reference: Hendrycks and Gimpel, Gaussian Error Linear Units, arXiv 1606.08415.

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use super::{Kernels, lower, raise};
use crate::architecture::Activation;

/// (y, y′, y″) of x (N, F); the second derivative only when `second`.
pub fn gelu(
    x: &Tensor<2>,
    activation: Activation,
    second: bool,
) -> (Tensor<2>, Tensor<2>, Option<Tensor<2>>) {
    let (y, first, second) = <Dispatch as Kernels>::gelu(lower(x), activation, second);
    (raise(y), raise(first), second.map(raise))
}

/// y′ t for K tangents or gradients t (N, K, F): the tangent and the backward are the same product.
pub fn gelu_scale(first: &Tensor<2>, t: &Tensor<3>) -> Tensor<3> {
    raise(<Dispatch as Kernels>::gelu_scale(lower(first), lower(t)))
}

/// The tangent of the backward: y′ ġ_y + bend ẋ, where bend = y″ g_y (N, F).
pub fn gelu_backward_tangent(
    first: &Tensor<2>,
    bend: &Tensor<2>,
    x_dot: &Tensor<3>,
    g_y_dot: &Tensor<3>,
) -> Tensor<3> {
    raise(<Dispatch as Kernels>::gelu_backward_tangent(
        lower(first),
        lower(bend),
        lower(x_dot),
        lower(g_y_dot),
    ))
}

/// The composed forms.
pub(super) mod composed {
    use std::f64::consts::{FRAC_1_SQRT_2, PI};

    use burn::backend::Backend;
    use burn::backend::tensor::FloatTensor as F;

    use crate::architecture::Activation;
    use crate::kernels::array::Array;

    pub fn gelu<B: Backend>(x: F<B>, activation: Activation, second: bool) -> (F<B>, F<B>, Option<F<B>>) {
        let x = Array::<B>(x);
        let (y, first, bend) = match activation {
            Activation::Gelu => {
                // Φ and φ: the normal distribution function and density
                let cdf = x.clone().scale(FRAC_1_SQRT_2).erf().shift(1.0).scale(0.5);
                let pdf = x.clone().square().scale(-0.5).exp().scale(1.0 / (2.0 * PI).sqrt());
                let first = cdf.clone() + x.clone() * pdf.clone();
                let bend = second.then(|| pdf * x.clone().square().scale(-1.0).shift(2.0));
                (x * cdf, first, bend)
            }
            Activation::GeluTanh => {
                // u = a (x + b x³), t = tanh u, s = 1 − t² = dt/du
                let (a, b) = ((2.0 / PI).sqrt(), 0.044715);
                let square = x.clone().square();
                let t = (x.clone() * square.clone().scale(b).shift(1.0)).scale(a).tanh();
                let s = t.clone().square().scale(-1.0).shift(1.0);
                let u1 = square.scale(3.0 * b).shift(1.0).scale(a);
                let half_x = x.clone().scale(0.5);
                let gate = t.clone().shift(1.0).scale(0.5);
                let first = gate.clone() + half_x.clone() * s.clone() * u1.clone();
                let bend = second.then(|| {
                    let u2 = x.clone().scale(6.0 * a * b);
                    let curve = s.clone() * u2 - t.scale(2.0) * s.clone() * u1.clone().square();
                    s * u1 + half_x * curve
                });
                (x * gate, first, bend)
            }
        };
        (y.0, first.0, bend.map(|bend| bend.0))
    }

    pub fn scale<B: Backend>(first: F<B>, t: F<B>) -> F<B> {
        let (first, t) = (Array::<B>(first), Array::<B>(t));
        let (n, f) = (first.dim(0), first.dim(1));
        (first.reshape([n, 1, f]) * t).0
    }

    pub fn backward_tangent<B: Backend>(first: F<B>, bend: F<B>, x_dot: F<B>, g_y_dot: F<B>) -> F<B> {
        (Array::<B>(scale::<B>(first, g_y_dot)) + Array::<B>(scale::<B>(bend, x_dot))).0
    }
}
