//! Layer normalisation over channels: x̂ = (x − μ) ρ with ρ = (σ² + ε)^-½, y = w x̂ + b.
//!
//! Its second derivative is where automatic differentiation is easily wrong (PyTorch's
//! forward-over-reverse misses a term on the rows of w); here it is the tangent of the backward
//! formula, term by term.

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use super::{Kernels, lower, lower_optional, raise};

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

/// The composed forms.
pub(super) mod composed {
    use burn::backend::Backend;
    use burn::backend::tensor::FloatTensor as F;

    use crate::kernels::array::Array;

    pub fn layer_norm<B: Backend>(x: F<B>, w: F<B>, b: Option<F<B>>, eps: f64) -> (F<B>, F<B>, F<B>) {
        let (x, w) = (Array::<B>(x), Array::<B>(w));
        let (n, c) = (x.dim(0), x.dim(1));
        let centred = x.clone() - x.mean(1);
        let rstd = centred.clone().square().mean(1).shift(eps).rsqrt();
        let x_hat = centred * rstd.clone();
        let b = b.map(|b| Array::<B>(b).reshape([1, c]).0);
        let y = (x_hat.clone() * w.reshape([1, c])).plus(b);
        (y.0, x_hat.0, rstd.reshape([n]).0)
    }

    pub fn tangent<B: Backend>(
        x_hat: F<B>,
        rstd: F<B>,
        w: F<B>,
        x_dot: F<B>,
        w_dot: F<B>,
        b_dot: Option<F<B>>,
    ) -> (F<B>, F<B>, F<B>) {
        let x_dot = Array::<B>(x_dot);
        let (n, k, c) = (x_dot.dim(0), x_dot.dim(1), x_dot.dim(2));
        let x_hat = Array::<B>(x_hat).reshape([n, 1, c]);
        let rstd = Array::<B>(rstd).reshape([n, 1, 1]);
        let w = Array::<B>(w).reshape([1, 1, c]);
        let w_dot = Array::<B>(w_dot).reshape([1, k, c]);
        let b_dot = b_dot.map(|b| Array::<B>(b).reshape([1, k, c]).0);
        let slope = (x_dot.clone() * x_hat.clone()).mean(2);
        let x_hat_dot = (x_dot.clone() - x_dot.mean(2) - x_hat.clone() * slope.clone()) * rstd;
        let y_dot = (x_hat_dot.clone() * w + x_hat * w_dot).plus(b_dot);
        (y_dot.0, x_hat_dot.0, slope.reshape([n, k]).0)
    }

    pub fn backward<B: Backend>(
        x_hat: F<B>,
        rstd: F<B>,
        w: F<B>,
        g_y: F<B>,
        bias: bool,
        add: Option<F<B>>,
    ) -> (F<B>, F<B>, Option<F<B>>) {
        let g_y = Array::<B>(g_y);
        let (n, k, c) = (g_y.dim(0), g_y.dim(1), g_y.dim(2));
        let x_hat = Array::<B>(x_hat).reshape([n, 1, c]);
        let h = g_y.clone() * Array::<B>(w).reshape([1, 1, c]);
        let along = (h.clone() * x_hat.clone()).mean(2);
        let g_x = (h.clone() - h.mean(2) - x_hat.clone() * along) * Array::<B>(rstd).reshape([n, 1, 1]);
        let g_w = (g_y.clone() * x_hat).sum(0).reshape([k, c]);
        let g_b = bias.then(|| g_y.sum(0).reshape([k, c]).0);
        (g_x.plus(add).0, g_w.0, g_b)
    }

    pub fn backward_tangent<B: Backend>(
        x_hat: F<B>,
        rstd: F<B>,
        w: F<B>,
        x_hat_dot: F<B>,
        slope: F<B>,
        w_dot: F<B>,
        g_y: F<B>,
        g_y_dot: F<B>,
        bias: bool,
        add: Option<F<B>>,
    ) -> (F<B>, F<B>, Option<F<B>>) {
        let g_y_dot = Array::<B>(g_y_dot);
        let (n, k, c) = (g_y_dot.dim(0), g_y_dot.dim(1), g_y_dot.dim(2));
        let x_hat = Array::<B>(x_hat).reshape([n, 1, c]);
        let rstd = Array::<B>(rstd).reshape([n, 1, 1]);
        let w = Array::<B>(w).reshape([1, 1, c]);
        let g_y = Array::<B>(g_y).reshape([n, 1, c]);
        let x_hat_dot = Array::<B>(x_hat_dot);
        let w_dot = Array::<B>(w_dot).reshape([1, k, c]);

        let h = g_y.clone() * w.clone();
        let h_dot = g_y_dot.clone() * w + g_y.clone() * w_dot;
        let along = (h.clone() * x_hat.clone()).mean(2);
        let along_dot = (h_dot.clone() * x_hat.clone() + h.clone() * x_hat_dot.clone()).mean(2);
        // u is g_x without its factor ρ
        let u = h.clone() - h.mean(2) - x_hat.clone() * along.clone();
        let u_dot = h_dot.clone() - h_dot.mean(2) - x_hat_dot.clone() * along - x_hat.clone() * along_dot;
        let rstd_dot = (rstd.clone().square() * Array::<B>(slope).reshape([n, k, 1])).scale(-1.0);
        let g_x_dot = u_dot * rstd + u * rstd_dot;
        let g_w_dot = (g_y_dot.clone() * x_hat + x_hat_dot * g_y).sum(0).reshape([k, c]);
        let g_b_dot = bias.then(|| g_y_dot.sum(0).reshape([k, c]).0);
        (g_x_dot.plus(add).0, g_w_dot.0, g_b_dot)
    }
}
