//! GELU, composed.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use burn::backend::Backend;
use burn::backend::tensor::FloatTensor as F;

use crate::architecture::Activation;
use crate::kernels::array::Array;

pub fn gelu<B: Backend>(x: F<B>, activation: Activation, with_second: bool) -> (F<B>, F<B>, Option<F<B>>) {
    let x = Array::<B>(x);
    let (y, first, second) = match activation {
        Activation::Gelu => {
            // Φ and φ: the normal distribution function and density
            let cdf = x.clone().scale(FRAC_1_SQRT_2).erf().shift(1.0).scale(0.5);
            let pdf = x.clone().square().scale(-0.5).exp().scale(1.0 / (2.0 * PI).sqrt());
            let first = cdf.clone() + x.clone() * pdf.clone();
            let second = with_second.then(|| pdf * x.clone().square().scale(-1.0).shift(2.0));
            (x * cdf, first, second)
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
            let second = with_second.then(|| {
                let u2 = x.clone().scale(6.0 * a * b);
                let curve = s.clone() * u2 - t.scale(2.0) * s.clone() * u1.clone().square();
                s * u1 + half_x * curve
            });
            (x * gate, first, second)
        }
    };
    (y.0, first.0, second.map(|second| second.0))
}

pub fn scale<B: Backend>(first: F<B>, t: F<B>) -> F<B> {
    let (first, t) = (Array::<B>(first), Array::<B>(t));
    let (n, f) = (first.dim(0), first.dim(1));
    (first.reshape([n, 1, f]) * t).0
}

pub fn backward_tangent<B: Backend>(first: F<B>, second_g: F<B>, x_dot: F<B>, g_y_dot: F<B>) -> F<B> {
    (Array::<B>(scale::<B>(first, g_y_dot)) + Array::<B>(scale::<B>(second_g, x_dot))).0
}
