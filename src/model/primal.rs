//! Products with the Hessian and the Gauss-Newton matrix, from one primal pass that is kept.
//!
//! The parameters and the batch do not change while a solver asks for products, so activations and
//! output gradients are computed once. In units of one GEMM of each layer a product then costs 6 for
//! the Hessian (twice a gradient) and 4 for the Gauss-Newton matrix.
//!
//! References: Pearlmutter 1994, Fast Exact Multiplication by the Hessian; Schraudolph 2002, Fast
//! Curvature Matrix-Vector Products for Second-Order Gradient Descent.

use burn::tensor::Tensor;

use super::forward::Forward;
use super::gpt::{Gpt, lift};
use super::layers::block;
use super::layers::only;
use super::parameters::WeightsDot;
use crate::base::vectors::Vectors;
use crate::data::Batch;
use crate::kernels::{cross_entropy as head, embedding};

/// Activations and gradients of one (micro-)batch, kept for products.
pub struct Primal {
    pub(super) forward: Forward,
    /// What each token counts in the loss.
    pub(super) weight: f64,
    /// Gradient by the output of the final norm, (N, C).
    pub(super) g_h: Tensor<2>,
    /// Gradients inside the blocks.
    pub(super) blocks: Vec<block::Gradients>,
    /// Gradient by the sum of the embeddings, (N, C).
    pub(super) g_x: Tensor<2>,
}

/// Tangents of the activations along K directions.
struct Tangent {
    blocks: Vec<block::KeptDot>,
    ln_f: super::layers::layer_norm::KeptDot,
    /// Of the head's input, (N, K, C).
    h_dot: Tensor<3>,
}

impl Primal {
    /// Runs the primal pass; each token counts `weight` in the loss. Returns, beside what is kept, the sum of
    /// the tokens' losses and the gradient.
    pub fn new(gpt: &Gpt, batch: &Batch, weight: f64) -> (Self, f64, Vectors) {
        let forward = gpt.forward(batch, true);
        let nll = forward.nll.iter().sum();
        let (g_h, g_head) =
            head::cross_entropy_backward(&forward.h, gpt.head(), &forward.targets, &forward.head, weight);
        let g_h = lift(g_h);
        let (mut g_x, ln_f) = gpt.weights().ln_f.backward(&forward.ln_f, &g_h, None);
        let (mut h, mut blocks) = (Vec::new(), Vec::new());
        for (block, kept) in gpt.weights().h.iter().zip(&forward.blocks).rev() {
            let (next, dot, kept_gradients) = block.backward_kept(kept, forward.shape, g_x);
            g_x = next;
            h.push(dot);
            blocks.push(kept_gradients);
        }
        h.reverse();
        blocks.reverse();
        let seq = forward.shape.heads.seq;
        let dot = gpt.join_embedding(&forward.tokens, g_x.clone(), h, ln_f, g_head.unsqueeze_dim(0), seq);
        let gradient = gpt.layout().collect(dot);
        (Primal { forward, weight, g_h: only(g_h), blocks, g_x: only(g_x) }, nll, gradient)
    }

    fn tangent(&self, gpt: &Gpt, dot: &WeightsDot) -> Tangent {
        let forward = &self.forward;
        let seq = forward.shape.heads.seq;
        let mut x_dot = embedding::embedding_tangent(&forward.tokens, &dot.wte, &dot.wpe, seq);
        let mut blocks = Vec::with_capacity(forward.blocks.len());
        for ((block, kept), block_dot) in gpt.weights().h.iter().zip(&forward.blocks).zip(&dot.h) {
            let (next, kept_dot) = block.tangent(kept, forward.shape, block_dot, &x_dot);
            x_dot = next;
            blocks.push(kept_dot);
        }
        let (h_dot, ln_f) = gpt.weights().ln_f.tangent(&forward.ln_f, &dot.ln_f, &x_dot);
        Tangent { blocks, ln_f, h_dot }
    }

    /// H v for each of the K vectors.
    pub fn hessian_product(&self, gpt: &Gpt, vectors: &Vectors) -> Vectors {
        let dot = gpt.layout().weights_dot(vectors);
        let mut tangent = self.tangent(gpt, &dot);
        let forward = &self.forward;
        let (g_h_dot, g_head_dot) = head::cross_entropy_backward_tangent(
            &forward.h,
            &tangent.h_dot,
            gpt.head(),
            dot.lm_head.as_ref().unwrap_or(&dot.wte),
            &forward.targets,
            &forward.head,
            self.weight,
        );
        let (mut g_x_dot, ln_f) = gpt.weights().ln_f.backward_tangent(
            &forward.ln_f,
            &tangent.ln_f,
            &dot.ln_f,
            &self.g_h,
            &g_h_dot,
            None,
        );
        let mut h = Vec::with_capacity(forward.blocks.len());
        for (layer, block) in gpt.weights().h.iter().enumerate().rev() {
            // a block's tangents are freed as soon as they are used
            let kept_dot = tangent.blocks.pop().expect("one for each block");
            let (next, block_dot) = block.backward_tangent(
                &forward.blocks[layer],
                forward.shape,
                &self.blocks[layer],
                &kept_dot,
                &dot.h[layer],
                &g_x_dot,
            );
            g_x_dot = next;
            h.push(block_dot);
        }
        h.reverse();
        let seq = forward.shape.heads.seq;
        drop(dot);
        let product = gpt.join_embedding(&forward.tokens, g_x_dot, h, ln_f, g_head_dot, seq);
        gpt.layout().collect(product)
    }

    /// G v for each of the K vectors, G = Jᵀ (∂²loss/∂z²) J with J the Jacobian of the
    /// logits z.
    pub fn gauss_newton_product(&self, gpt: &Gpt, vectors: &Vectors) -> Vectors {
        let dot = gpt.layout().weights_dot(vectors);
        let tangent = self.tangent(gpt, &dot);
        let (g_h, g_head) = head::cross_entropy_gauss_newton(
            &self.forward.h,
            &tangent.h_dot,
            gpt.head(),
            dot.lm_head.as_ref().unwrap_or(&dot.wte),
            &self.forward.head,
            self.weight,
        );
        drop((dot, tangent));
        let product = gpt.backward(&self.forward, g_h, g_head);
        gpt.layout().collect(product)
    }
}
