//! The operations as a device is asked for them: one method each, the composed form its default body.
//!
//! Longer than most because it is one list: a backend takes its operations as one trait.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, ExtensionType, backend_extension};
use burn::tensor::Tensor;

use super::composed;
use super::heads::Heads;
use crate::architecture::Activation;

/// The operations, on a backend's primitives. Each default body is the composed form of the module
/// that documents the operation.
#[backend_extension(Flex)]
pub trait Kernels: Backend {
    /// See [`linear`](super::linear::linear).
    fn linear(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        #[extension_type] b: Optional<Self>,
        #[extension_type] add: Optional<Self>,
    ) -> FloatTensor<Self> {
        composed::linear::linear::<Self>(x, w, b.into_option(), add.into_option())
    }

    /// See [`linear_tangent`](super::linear::linear_tangent).
    fn linear_tangent(
        x: FloatTensor<Self>,
        x_dot: FloatTensor<Self>,
        w: FloatTensor<Self>,
        w_dot: FloatTensor<Self>,
        #[extension_type] b_dot: Optional<Self>,
        #[extension_type] add: Optional<Self>,
    ) -> FloatTensor<Self> {
        composed::linear::tangent::<Self>(x, x_dot, w, w_dot, b_dot.into_option(), add.into_option())
    }

    /// See [`linear_backward`](super::linear::linear_backward).
    fn linear_backward(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        g_y: FloatTensor<Self>,
        bias: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, Option<FloatTensor<Self>>) {
        composed::linear::backward::<Self>(x, w, g_y, bias)
    }

    /// See [`linear_backward_tangent`](super::linear::linear_backward_tangent).
    fn linear_backward_tangent(
        x: FloatTensor<Self>,
        x_dot: FloatTensor<Self>,
        w: FloatTensor<Self>,
        w_dot: FloatTensor<Self>,
        g_y: FloatTensor<Self>,
        g_y_dot: FloatTensor<Self>,
        bias: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, Option<FloatTensor<Self>>) {
        composed::linear::backward_tangent::<Self>(x, x_dot, w, w_dot, g_y, g_y_dot, bias)
    }

    /// See [`layer_norm`](super::layer_norm::layer_norm).
    fn layer_norm(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        #[extension_type] b: Optional<Self>,
        eps: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        composed::layer_norm::layer_norm::<Self>(x, w, b.into_option(), eps)
    }

    /// See [`layer_norm_tangent`](super::layer_norm::layer_norm_tangent).
    fn layer_norm_tangent(
        x_hat: FloatTensor<Self>,
        rstd: FloatTensor<Self>,
        w: FloatTensor<Self>,
        x_dot: FloatTensor<Self>,
        w_dot: FloatTensor<Self>,
        #[extension_type] b_dot: Optional<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        composed::layer_norm::tangent::<Self>(x_hat, rstd, w, x_dot, w_dot, b_dot.into_option())
    }

    /// See [`layer_norm_backward`](super::layer_norm::layer_norm_backward).
    fn layer_norm_backward(
        x_hat: FloatTensor<Self>,
        rstd: FloatTensor<Self>,
        w: FloatTensor<Self>,
        g_y: FloatTensor<Self>,
        bias: bool,
        #[extension_type] add: Optional<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, Option<FloatTensor<Self>>) {
        composed::layer_norm::backward::<Self>(x_hat, rstd, w, g_y, bias, add.into_option())
    }

    /// See [`layer_norm_backward_tangent`](super::layer_norm::layer_norm_backward_tangent).
    fn layer_norm_backward_tangent(
        x_hat: FloatTensor<Self>,
        rstd: FloatTensor<Self>,
        w: FloatTensor<Self>,
        x_hat_dot: FloatTensor<Self>,
        slope: FloatTensor<Self>,
        w_dot: FloatTensor<Self>,
        g_y: FloatTensor<Self>,
        g_y_dot: FloatTensor<Self>,
        bias: bool,
        #[extension_type] add: Optional<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, Option<FloatTensor<Self>>) {
        composed::layer_norm::backward_tangent::<Self>(
            x_hat,
            rstd,
            w,
            x_hat_dot,
            slope,
            w_dot,
            g_y,
            g_y_dot,
            bias,
            add.into_option(),
        )
    }

    /// See [`gelu`](super::gelu::gelu).
    fn gelu(
        x: FloatTensor<Self>,
        activation: Activation,
        with_second: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, Option<FloatTensor<Self>>) {
        composed::gelu::gelu::<Self>(x, activation, with_second)
    }

    /// See [`gelu_scale`](super::gelu::gelu_scale).
    fn gelu_scale(first: FloatTensor<Self>, t: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::gelu::scale::<Self>(first, t)
    }

    /// See [`gelu_backward_tangent`](super::gelu::gelu_backward_tangent).
    fn gelu_backward_tangent(
        first: FloatTensor<Self>,
        second_g: FloatTensor<Self>,
        x_dot: FloatTensor<Self>,
        g_y_dot: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        composed::gelu::backward_tangent::<Self>(first, second_g, x_dot, g_y_dot)
    }

    /// See [`attention`](super::attention::attention).
    fn attention(
        qkv: FloatTensor<Self>,
        heads: Heads,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        composed::attention::attention::<Self>(qkv, heads)
    }

    /// See [`attention_tangent`](super::attention::attention_tangent).
    fn attention_tangent(
        qkv: FloatTensor<Self>,
        p: FloatTensor<Self>,
        qkv_dot: FloatTensor<Self>,
        heads: Heads,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        composed::attention::tangent::<Self>(qkv, p, qkv_dot, heads)
    }

    /// See [`attention_backward`](super::attention::attention_backward).
    fn attention_backward(
        qkv: FloatTensor<Self>,
        p: FloatTensor<Self>,
        g_out: FloatTensor<Self>,
        heads: Heads,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        composed::attention::backward::<Self>(qkv, p, g_out, heads)
    }

    /// See [`attention_backward_tangent`](super::attention::attention_backward_tangent).
    fn attention_backward_tangent(
        qkv: FloatTensor<Self>,
        p: FloatTensor<Self>,
        centred: FloatTensor<Self>,
        g_out: FloatTensor<Self>,
        qkv_dot: FloatTensor<Self>,
        p_dot: FloatTensor<Self>,
        g_out_dot: FloatTensor<Self>,
        heads: Heads,
    ) -> FloatTensor<Self> {
        composed::attention::backward_tangent::<Self>(
            qkv, p, centred, g_out, qkv_dot, p_dot, g_out_dot, heads,
        )
    }

    /// See [`residual`](super::residual::residual).
    fn residual(x: FloatTensor<Self>, middle: FloatTensor<Self>, y: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::residual::residual::<Self>(x, middle, y)
    }

    /// See [`embedding`](super::embedding::embedding).
    fn embedding(
        tokens: IntTensor<Self>,
        wte: FloatTensor<Self>,
        wpe: FloatTensor<Self>,
        seq: usize,
    ) -> FloatTensor<Self> {
        composed::embedding::embedding::<Self>(tokens, wte, wpe, seq)
    }

    /// See [`embedding_tangent`](super::embedding::embedding_tangent).
    fn embedding_tangent(
        tokens: IntTensor<Self>,
        wte_dot: FloatTensor<Self>,
        wpe_dot: FloatTensor<Self>,
        seq: usize,
    ) -> FloatTensor<Self> {
        composed::embedding::tangent::<Self>(tokens, wte_dot, wpe_dot, seq)
    }

    /// See [`embedding_backward`](super::embedding::embedding_backward).
    fn embedding_backward(
        tokens: IntTensor<Self>,
        g_x: FloatTensor<Self>,
        seq: usize,
        vocab_size: usize,
        block_size: usize,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        composed::embedding::backward::<Self>(tokens, g_x, seq, vocab_size, block_size)
    }

    /// See [`cross_entropy`](super::cross_entropy::cross_entropy).
    fn cross_entropy(
        h: FloatTensor<Self>,
        w: FloatTensor<Self>,
        targets: IntTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        composed::cross_entropy::cross_entropy::<Self>(h, w, targets)
    }

    /// See [`cross_entropy_backward`](super::cross_entropy::cross_entropy_backward).
    fn cross_entropy_backward(
        h: FloatTensor<Self>,
        w: FloatTensor<Self>,
        targets: IntTensor<Self>,
        lse: FloatTensor<Self>,
        p: FloatTensor<Self>,
        weight: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        composed::cross_entropy::backward::<Self>(h, w, targets, lse, p, weight)
    }

    /// See [`cross_entropy_backward_tangent`](super::cross_entropy::cross_entropy_backward_tangent).
    fn cross_entropy_backward_tangent(
        h: FloatTensor<Self>,
        h_dot: FloatTensor<Self>,
        w: FloatTensor<Self>,
        w_dot: FloatTensor<Self>,
        targets: IntTensor<Self>,
        lse: FloatTensor<Self>,
        p: FloatTensor<Self>,
        weight: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        composed::cross_entropy::backward_tangent::<Self>(h, h_dot, w, w_dot, targets, lse, p, weight)
    }

    /// See [`cross_entropy_gauss_newton`](super::cross_entropy::cross_entropy_gauss_newton).
    fn cross_entropy_gauss_newton(
        h: FloatTensor<Self>,
        h_dot: FloatTensor<Self>,
        w: FloatTensor<Self>,
        w_dot: FloatTensor<Self>,
        lse: FloatTensor<Self>,
        p: FloatTensor<Self>,
        weight: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        composed::cross_entropy::gauss_newton::<Self>(h, h_dot, w, w_dot, lse, p, weight)
    }

    /// See [`product`](super::moments::product).
    fn product_moments(
        x: FloatTensor<Self>,
        g: FloatTensor<Self>,
        m: FloatTensor<Self>,
        rows: usize,
    ) -> FloatTensor<Self> {
        composed::moments::product::<Self>(x, g, m, rows)
    }

    /// See [`sum`](super::moments::sum).
    fn sum_moments(
        g: FloatTensor<Self>,
        #[extension_type] x: Optional<Self>,
        m: FloatTensor<Self>,
        rows: usize,
    ) -> FloatTensor<Self> {
        composed::moments::sum::<Self>(g, x.into_option(), m, rows)
    }

    /// See [`scatter`](super::moments::scatter).
    fn scatter_moments(
        tokens: IntTensor<Self>,
        g_x: FloatTensor<Self>,
        m: FloatTensor<Self>,
        rows: usize,
    ) -> FloatTensor<Self> {
        composed::moments::scatter::<Self>(tokens, g_x, m, rows)
    }

    /// See [`head`](super::moments::head).
    fn head_moments(
        h: FloatTensor<Self>,
        w: FloatTensor<Self>,
        targets: IntTensor<Self>,
        lse: FloatTensor<Self>,
        p: FloatTensor<Self>,
        weight: f64,
        tokens: IntTensor<Self>,
        #[extension_type] g_x: Optional<Self>,
        m: FloatTensor<Self>,
        rows: usize,
    ) -> FloatTensor<Self> {
        let g_x = g_x.into_option();
        composed::moments::head::<Self>(h, w, targets, lse, p, weight, tokens, g_x, m, rows)
    }
}

/// An optional tensor argument: a bias, or a residual to join.
#[derive(ExtensionType)]
pub enum Optional<B: Backend> {
    /// No tensor.
    None,
    /// This one.
    Some(FloatTensor<B>),
}

impl<B: Backend> Optional<B> {
    pub(super) fn into_option(self) -> Option<FloatTensor<B>> {
        match self {
            Optional::None => None,
            Optional::Some(tensor) => Some(tensor),
        }
    }
}

/// A tensor's primitive, for the generated dispatch.
pub fn lower<const D: usize>(tensor: &Tensor<D>) -> FloatTensor<Dispatch> {
    tensor.clone().into_dispatch()
}

/// An optional tensor's primitive.
pub fn lower_optional<const D: usize>(tensor: Option<&Tensor<D>>) -> Optional<Dispatch> {
    tensor.map_or(Optional::None, |tensor| Optional::Some(lower(tensor)))
}

/// The tensor around a primitive.
pub fn raise<const D: usize>(primitive: FloatTensor<Dispatch>) -> Tensor<D> {
    Tensor::from_dispatch(primitive)
}
