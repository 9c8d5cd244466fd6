//! What the passes over a batch hand on from one to the next.

use burn::tensor::{Int, Tensor};

use super::layers::block::{self, Shape};
use super::layers::layer_norm;
use crate::kernels::cross_entropy as head;

/// What one forward pass keeps.
pub(super) struct Forward {
    pub tokens: Tensor<1, Int>,
    pub targets: Tensor<1, Int>,
    pub shape: Shape,
    pub blocks: Vec<block::Kept>,
    pub ln_f: layer_norm::Kept,
    /// The head's input, (N, C).
    pub h: Tensor<2>,
    /// Of the head.
    pub head: head::Kept,
    /// The loss of each token.
    pub nll: Vec<f64>,
}
