//! One layer per file, each with its forward, its backward and the tangents of both.
//!
//! A layer is generic over how its parameters are held: `Linear<Tensor<2>, Tensor<1>>` is the layer
//! itself, `Linear<Tensor<3>, Tensor<2>>` K tangents (or gradients) of its parameters. The four
//! functions are pure: what a later one needs, the earlier one returns.
//!
//! - *forward* turns the input into the output and keeps the activations;
//! - *backward* takes K gradients by the output to K gradients by the input and the parameters;
//! - *tangent* takes K directions in parameters and input to K directions of the output;
//! - *backward tangent* differentiates backward along those directions. Applied to the one primal
//!   gradient it yields the product with the Hessian: forward-over-reverse (Pearlmutter 1994, Fast
//!   Exact Multiplication by the Hessian);
//! - *moments* takes what forward and backward kept to norms of the gradients of parts of the batch.

pub mod attention;
pub mod block;
pub mod layer_norm;
pub mod linear;
pub mod mlp;

use burn::tensor::Tensor;

/// A gradient (N, 1, C) as (N, C).
pub(crate) fn only(g: Tensor<3>) -> Tensor<2> {
    let [n, k, c] = g.dims();
    debug_assert_eq!(k, 1);
    g.reshape([n, c])
}
