//! The affine map y = x Wᵀ + b, the GEMMs of a GPT.
//!
//! In units of one GEMM of the layer: forward 1, backward 2, tangent 2, backward tangent 4.

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use super::{Kernels, lower, lower_optional, raise};

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

/// The composed forms.
pub(super) mod composed {
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
}
