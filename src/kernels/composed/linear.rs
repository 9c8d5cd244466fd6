//! Linear maps, composed.

use burn::backend::Backend;
use burn::backend::tensor::FloatTensor as F;

use crate::kernels::array::Array;

pub fn linear<B: Backend>(x: F<B>, w: F<B>, b: Option<F<B>>, add: Option<F<B>>) -> F<B> {
    let w = Array::<B>(w);
    let out = w.dim(0);
    let b = b.map(|b| Array::<B>(b).reshape([1, out]).0);
    Array::<B>(x).matmul(w.t()).plus(b).plus(add).0
}

pub fn tangent<B: Backend>(
    x: F<B>,
    x_dot: F<B>,
    w: F<B>,
    w_dot: F<B>,
    b_dot: Option<F<B>>,
    add: Option<F<B>>,
) -> F<B> {
    let (x, x_dot, w, w_dot) = (Array::<B>(x), Array::<B>(x_dot), Array::<B>(w), Array::<B>(w_dot));
    let (n, k, i, o) = (x_dot.dim(0), x_dot.dim(1), x_dot.dim(2), w.dim(0));
    let b_dot = b_dot.map(|b| Array::<B>(b).reshape([1, k, o]).0);
    let through_x = x_dot.reshape([n * k, i]).matmul(w.t()).reshape([n, k, o]);
    let through_w = x.matmul(w_dot.reshape([k * o, i]).t()).reshape([n, k, o]);
    (through_x + through_w).plus(b_dot).plus(add).0
}

pub fn backward<B: Backend>(x: F<B>, w: F<B>, g_y: F<B>, bias: bool) -> (F<B>, F<B>, Option<F<B>>) {
    let (x, w, g_y) = (Array::<B>(x), Array::<B>(w), Array::<B>(g_y));
    let (n, k, o, i) = (g_y.dim(0), g_y.dim(1), g_y.dim(2), w.dim(1));
    let g_b = bias.then(|| g_y.clone().sum(0).reshape([k, o]).0);
    let g_x = g_y.clone().reshape([n * k, o]).matmul(w).reshape([n, k, i]);
    let g_w = g_y.reshape([n, k * o]).t().matmul(x).reshape([k, o, i]);
    (g_x.0, g_w.0, g_b)
}

pub fn backward_tangent<B: Backend>(
    x: F<B>,
    x_dot: F<B>,
    w: F<B>,
    w_dot: F<B>,
    g_y: F<B>,
    g_y_dot: F<B>,
    bias: bool,
) -> (F<B>, F<B>, Option<F<B>>) {
    let (x_dot, w_dot, g_y) = (Array::<B>(x_dot), Array::<B>(w_dot), Array::<B>(g_y));
    let (n, k, i, o) = (x_dot.dim(0), x_dot.dim(1), x_dot.dim(2), g_y.dim(1));
    let (g_x, g_w, g_b) = backward::<B>(x, w, g_y_dot, bias);
    let w_dot = w_dot.permute(&[1, 0, 2]).reshape([o, k * i]);
    let g_x = Array::<B>(g_x) + g_y.clone().matmul(w_dot).reshape([n, k, i]);
    let cross = g_y.t().matmul(x_dot.reshape([n, k * i])).reshape([o, k, i]).permute(&[1, 0, 2]);
    (g_x.0, (Array::<B>(g_w) + cross).0, g_b)
}
