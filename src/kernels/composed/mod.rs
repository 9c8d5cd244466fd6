//! The operations composed of a backend's own: what a device without a faster way computes, and the reference that
//! the faster ways are tested against.

pub mod attention;
pub mod cross_entropy;
pub mod embedding;
pub mod gelu;
pub mod layer_norm;
pub mod linear;
pub mod moments;
pub mod residual;
