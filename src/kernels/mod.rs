//! The few fused operations the layers of a GPT are made of, with their derivatives.
//!
//! Every operation comes with what curvature needs: its vector-Jacobian product (*backward*), its
//! Jacobian-vector product (*tangent*) and the tangent of its backward. A device that has a faster
//! way overrides the method of [`Kernels`]; the composed form, a free function generic over the
//! backend, is the default body and the reference the overrides are tested against.
//!
//! # Shapes
//! N = B·T tokens, C channels, K tangent vectors that share the primal pass.
//! - activations are (N, C); their tangents and cotangents are (N, K, C): the K rows of one token lie
//!   together, so that one wide GEMM serves all K and each primal row is read once;
//! - a parameter is (O, I) or (C); its tangents and cotangents are (K, O, I) or (K, C).
//!
//! # Names
//! `x_dot` is the tangent of `x`, `g_x` the gradient of the loss by `x`, `g_x_dot` its tangent.

pub(crate) mod array;
pub mod attention;
pub mod cross_entropy;
pub mod embedding;
pub mod gelu;
pub mod layer_norm;
pub mod linear;
pub mod moments;
pub mod residual;

mod flex;

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, ExtensionType, backend_extension};
use burn::tensor::Tensor;

use crate::architecture::Activation;
use attention::Heads;

/// The operations, on a backend's primitives. Each default body is the composed form of the module
/// that documents the operation.
#[backend_extension(Flex)]
pub trait Kernels: Backend {
    /// See [`linear`](linear::linear).
    fn linear(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        #[extension_type] b: Optional<Self>,
        #[extension_type] add: Optional<Self>,
    ) -> FloatTensor<Self> {
        linear::composed::linear::<Self>(x, w, b.into_option(), add.into_option())
    }

    /// See [`linear_tangent`](linear::linear_tangent).
    fn linear_tangent(
        x: FloatTensor<Self>,
        x_dot: FloatTensor<Self>,
        w: FloatTensor<Self>,
        w_dot: FloatTensor<Self>,
        #[extension_type] b_dot: Optional<Self>,
        #[extension_type] add: Optional<Self>,
    ) -> FloatTensor<Self> {
        linear::composed::tangent::<Self>(x, x_dot, w, w_dot, b_dot.into_option(), add.into_option())
    }

    /// See [`linear_backward`](linear::linear_backward).
    fn linear_backward(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        g_y: FloatTensor<Self>,
        bias: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, Option<FloatTensor<Self>>) {
        linear::composed::backward::<Self>(x, w, g_y, bias)
    }

    /// See [`linear_backward_tangent`](linear::linear_backward_tangent).
    fn linear_backward_tangent(
        x: FloatTensor<Self>,
        x_dot: FloatTensor<Self>,
        w: FloatTensor<Self>,
        w_dot: FloatTensor<Self>,
        g_y: FloatTensor<Self>,
        g_y_dot: FloatTensor<Self>,
        bias: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, Option<FloatTensor<Self>>) {
        linear::composed::backward_tangent::<Self>(x, x_dot, w, w_dot, g_y, g_y_dot, bias)
    }

    /// See [`layer_norm`](layer_norm::layer_norm).
    fn layer_norm(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        #[extension_type] b: Optional<Self>,
        eps: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        layer_norm::composed::layer_norm::<Self>(x, w, b.into_option(), eps)
    }

    /// See [`layer_norm_tangent`](layer_norm::layer_norm_tangent).
    fn layer_norm_tangent(
        x_hat: FloatTensor<Self>,
        rstd: FloatTensor<Self>,
        w: FloatTensor<Self>,
        x_dot: FloatTensor<Self>,
        w_dot: FloatTensor<Self>,
        #[extension_type] b_dot: Optional<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        layer_norm::composed::tangent::<Self>(x_hat, rstd, w, x_dot, w_dot, b_dot.into_option())
    }

    /// See [`layer_norm_backward`](layer_norm::layer_norm_backward).
    fn layer_norm_backward(
        x_hat: FloatTensor<Self>,
        rstd: FloatTensor<Self>,
        w: FloatTensor<Self>,
        g_y: FloatTensor<Self>,
        bias: bool,
        #[extension_type] add: Optional<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, Option<FloatTensor<Self>>) {
        layer_norm::composed::backward::<Self>(x_hat, rstd, w, g_y, bias, add.into_option())
    }

    /// See [`layer_norm_backward_tangent`](layer_norm::layer_norm_backward_tangent).
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
        layer_norm::composed::backward_tangent::<Self>(
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

    /// See [`gelu`](gelu::gelu).
    fn gelu(
        x: FloatTensor<Self>,
        activation: Activation,
        second: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, Option<FloatTensor<Self>>) {
        gelu::composed::gelu::<Self>(x, activation, second)
    }

    /// See [`gelu_scale`](gelu::gelu_scale).
    fn gelu_scale(first: FloatTensor<Self>, t: FloatTensor<Self>) -> FloatTensor<Self> {
        gelu::composed::scale::<Self>(first, t)
    }

    /// See [`gelu_backward_tangent`](gelu::gelu_backward_tangent).
    fn gelu_backward_tangent(
        first: FloatTensor<Self>,
        bend: FloatTensor<Self>,
        x_dot: FloatTensor<Self>,
        g_y_dot: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        gelu::composed::backward_tangent::<Self>(first, bend, x_dot, g_y_dot)
    }

    /// See [`attention`](attention::attention).
    fn attention(
        qkv: FloatTensor<Self>,
        heads: Heads,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        attention::composed::attention::<Self>(qkv, heads)
    }

    /// See [`attention_tangent`](attention::attention_tangent).
    fn attention_tangent(
        qkv: FloatTensor<Self>,
        p: FloatTensor<Self>,
        qkv_dot: FloatTensor<Self>,
        heads: Heads,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        attention::composed::tangent::<Self>(qkv, p, qkv_dot, heads)
    }

    /// See [`attention_backward`](attention::attention_backward).
    fn attention_backward(
        qkv: FloatTensor<Self>,
        p: FloatTensor<Self>,
        g_out: FloatTensor<Self>,
        heads: Heads,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        attention::composed::backward::<Self>(qkv, p, g_out, heads)
    }

    /// See [`attention_backward_tangent`](attention::attention_backward_tangent).
    fn attention_backward_tangent(
        qkv: FloatTensor<Self>,
        p: FloatTensor<Self>,
        pull: FloatTensor<Self>,
        g_out: FloatTensor<Self>,
        qkv_dot: FloatTensor<Self>,
        p_dot: FloatTensor<Self>,
        g_out_dot: FloatTensor<Self>,
        heads: Heads,
    ) -> FloatTensor<Self> {
        attention::composed::backward_tangent::<Self>(qkv, p, pull, g_out, qkv_dot, p_dot, g_out_dot, heads)
    }

    /// See [`residual`](residual::residual).
    fn residual(x: FloatTensor<Self>, middle: FloatTensor<Self>, y: FloatTensor<Self>) -> FloatTensor<Self> {
        residual::composed::residual::<Self>(x, middle, y)
    }

    /// See [`embedding`](embedding::embedding).
    fn embedding(
        tokens: IntTensor<Self>,
        wte: FloatTensor<Self>,
        wpe: FloatTensor<Self>,
        seq: usize,
    ) -> FloatTensor<Self> {
        embedding::composed::embedding::<Self>(tokens, wte, wpe, seq)
    }

    /// See [`embedding_tangent`](embedding::embedding_tangent).
    fn embedding_tangent(
        tokens: IntTensor<Self>,
        wte_dot: FloatTensor<Self>,
        wpe_dot: FloatTensor<Self>,
        seq: usize,
    ) -> FloatTensor<Self> {
        embedding::composed::tangent::<Self>(tokens, wte_dot, wpe_dot, seq)
    }

    /// See [`embedding_backward`](embedding::embedding_backward).
    fn embedding_backward(
        tokens: IntTensor<Self>,
        g_x: FloatTensor<Self>,
        seq: usize,
        vocab_size: usize,
        block_size: usize,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        embedding::composed::backward::<Self>(tokens, g_x, seq, vocab_size, block_size)
    }

    /// See [`cross_entropy`](cross_entropy::cross_entropy).
    fn cross_entropy(
        h: FloatTensor<Self>,
        w: FloatTensor<Self>,
        targets: IntTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        cross_entropy::composed::cross_entropy::<Self>(h, w, targets)
    }

    /// See [`cross_entropy_backward`](cross_entropy::cross_entropy_backward).
    fn cross_entropy_backward(
        h: FloatTensor<Self>,
        w: FloatTensor<Self>,
        targets: IntTensor<Self>,
        lse: FloatTensor<Self>,
        p: FloatTensor<Self>,
        weight: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        cross_entropy::composed::backward::<Self>(h, w, targets, lse, p, weight)
    }

    /// See [`cross_entropy_backward_tangent`](cross_entropy::cross_entropy_backward_tangent).
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
        cross_entropy::composed::backward_tangent::<Self>(h, h_dot, w, w_dot, targets, lse, p, weight)
    }

    /// See [`cross_entropy_gauss_newton`](cross_entropy::cross_entropy_gauss_newton).
    fn cross_entropy_gauss_newton(
        h: FloatTensor<Self>,
        h_dot: FloatTensor<Self>,
        w: FloatTensor<Self>,
        w_dot: FloatTensor<Self>,
        lse: FloatTensor<Self>,
        p: FloatTensor<Self>,
        weight: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        cross_entropy::composed::gauss_newton::<Self>(h, h_dot, w, w_dot, lse, p, weight)
    }

    /// See [`product`](moments::product).
    fn product_moments(
        x: FloatTensor<Self>,
        g: FloatTensor<Self>,
        m: FloatTensor<Self>,
        rows: usize,
    ) -> FloatTensor<Self> {
        moments::composed::product::<Self>(x, g, m, rows)
    }

    /// See [`sum`](moments::sum).
    fn sum_moments(
        g: FloatTensor<Self>,
        #[extension_type] x: Optional<Self>,
        m: FloatTensor<Self>,
        rows: usize,
    ) -> FloatTensor<Self> {
        moments::composed::sum::<Self>(g, x.into_option(), m, rows)
    }

    /// See [`scatter`](moments::scatter).
    fn scatter_moments(
        tokens: IntTensor<Self>,
        g_x: FloatTensor<Self>,
        m: FloatTensor<Self>,
        rows: usize,
    ) -> FloatTensor<Self> {
        moments::composed::scatter::<Self>(tokens, g_x, m, rows)
    }

    /// See [`head`](moments::head).
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
        moments::composed::head::<Self>(h, w, targets, lse, p, weight, tokens, g_x, m, rows)
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
    fn into_option(self) -> Option<FloatTensor<B>> {
        match self {
            Optional::None => None,
            Optional::Some(tensor) => Some(tensor),
        }
    }
}

/// A tensor's primitive, for the generated dispatch.
fn lower<const D: usize>(tensor: &Tensor<D>) -> FloatTensor<Dispatch> {
    tensor.clone().into_dispatch()
}

/// An optional tensor's primitive.
fn lower_optional<const D: usize>(tensor: Option<&Tensor<D>>) -> Optional<Dispatch> {
    tensor.map_or(Optional::None, |tensor| Optional::Some(lower(tensor)))
}

/// The tensor around a primitive.
fn raise<const D: usize>(primitive: FloatTensor<Dispatch>) -> Tensor<D> {
    Tensor::from_dispatch(primitive)
}
