//! Layer norms, composed.

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
