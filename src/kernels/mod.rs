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
mod composed;
pub mod cross_entropy;
pub mod embedding;
pub mod gelu;
mod heads;
pub mod layer_norm;
pub mod linear;
pub mod moments;
mod operations;
pub mod residual;

mod flex;

pub use operations::{Kernels, Optional};
