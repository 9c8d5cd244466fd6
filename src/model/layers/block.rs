//! A pre-LN transformer block: x + attn(ln_1(x)), then that + mlp(ln_2(that)).

use burn::tensor::Tensor;

use super::attention::{self, Attention};
use super::layer_norm::{self, LayerNorm};
use super::mlp::{self, Mlp};
use crate::architecture::Activation;
use crate::kernels::attention::Heads;
use crate::kernels::residual::residual;

/// The four layers of a block, or K tangents of them; field names as in nanoGPT.
#[derive(Debug, Clone)]
pub struct Block<M, V> {
    /// Norm before attention.
    pub ln_1: LayerNorm<V>,
    /// Attention.
    pub attn: Attention<M, V>,
    /// Norm before the MLP.
    pub ln_2: LayerNorm<V>,
    /// MLP.
    pub mlp: Mlp<M, V>,
}

/// K tangents or gradients of a block's parameters.
pub type BlockDot = Block<Tensor<3>, Tensor<2>>;

/// What does not change between the blocks of a model.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// How rows are cut into sequences and channels into heads.
    pub heads: Heads,
    /// The MLP's nonlinearity.
    pub activation: Activation,
    /// Added to the variance in the norms.
    pub eps: f64,
    /// Whether the residual stream is measured on the way.
    pub residual: bool,
}

/// What the forward pass keeps.
pub struct Kept {
    ln_1: layer_norm::Kept,
    /// Of the attention layer.
    pub attn: attention::Kept,
    ln_2: layer_norm::Kept,
    mlp: mlp::Kept,
    /// Where it was asked for, the mean squares (N, 3) of the stream that enters the block, of what attention
    /// adds to it and of what the MLP adds to that.
    pub residual: Option<Tensor<2>>,
}

impl Kept {
    /// The inputs of the linear layers.
    pub fn inputs(&self) -> [&Tensor<2>; 4] {
        let ([c_attn, attn_proj], [c_fc, mlp_proj]) = (self.attn.inputs(), self.mlp.inputs());
        [c_attn, attn_proj, c_fc, mlp_proj]
    }
}

/// What the tangent keeps.
pub struct KeptDot {
    ln_1: layer_norm::KeptDot,
    attn: attention::KeptDot,
    ln_2: layer_norm::KeptDot,
    mlp: mlp::KeptDot,
}

/// The gradients the primal backward keeps for curvature.
pub struct Gradients {
    g_ln_1: Tensor<2>,
    attn: attention::Gradients,
    g_ln_2: Tensor<2>,
    mlp: mlp::Gradients,
}

impl Block<Tensor<2>, Tensor<1>> {
    /// The residual stream after the block, (N, C).
    pub fn forward(&self, x: &Tensor<2>, shape: Shape, curvature: bool) -> (Tensor<2>, Kept) {
        let (h, ln_1) = self.ln_1.forward(x, shape.eps);
        let (middle, attn) = self.attn.forward(h, shape.heads, x);
        let (h, ln_2) = self.ln_2.forward(&middle, shape.eps);
        let (y, mlp) = self.mlp.forward(h, shape.activation, curvature, &middle);
        let residual = shape.residual.then(|| residual(x, &middle, &y));
        (y, Kept { ln_1, attn, ln_2, mlp, residual })
    }

    /// The tangent of the residual stream after the block, (N, K, C).
    pub fn tangent(
        &self,
        kept: &Kept,
        shape: Shape,
        dot: &BlockDot,
        x_dot: &Tensor<3>,
    ) -> (Tensor<3>, KeptDot) {
        let (h_dot, ln_1) = self.ln_1.tangent(&kept.ln_1, &dot.ln_1, x_dot);
        let (x_dot, attn) = self.attn.tangent(&kept.attn, shape.heads, &dot.attn, h_dot, x_dot);
        let (h_dot, ln_2) = self.ln_2.tangent(&kept.ln_2, &dot.ln_2, &x_dot);
        let (x_dot, mlp) = self.mlp.tangent(&kept.mlp, &dot.mlp, h_dot, &x_dot);
        (x_dot, KeptDot { ln_1, attn, ln_2, mlp })
    }

    /// (gradients by the residual stream before the block, by the parameters) from K gradients g_x
    /// (N, K, C) by the stream after it.
    pub fn backward(&self, kept: &Kept, shape: Shape, g_x: &Tensor<3>) -> (Tensor<3>, BlockDot) {
        let (g_h, mlp) = self.mlp.backward(&kept.mlp, g_x);
        let (g_x, ln_2) = self.ln_2.backward(&kept.ln_2, &g_h, Some(g_x));
        let (g_h, attn) = self.attn.backward(&kept.attn, shape.heads, &g_x);
        let (g_x, ln_1) = self.ln_1.backward(&kept.ln_1, &g_h, Some(&g_x));
        (g_x, Block { ln_1, attn, ln_2, mlp })
    }

    /// As [`backward`](Self::backward) for one gradient (N, 1, C), keeping what its tangent needs.
    pub fn backward_kept(
        &self,
        kept: &Kept,
        shape: Shape,
        g_x: Tensor<3>,
    ) -> (Tensor<3>, BlockDot, Gradients) {
        let (g_ln_2, mlp, mlp_gradients) = self.mlp.backward_kept(&kept.mlp, g_x.clone());
        let (g_x, ln_2) = self.ln_2.backward(&kept.ln_2, &g_ln_2, Some(&g_x));
        let (g_ln_1, attn, attn_gradients) = self.attn.backward_kept(&kept.attn, shape.heads, g_x.clone());
        let (g_x, ln_1) = self.ln_1.backward(&kept.ln_1, &g_ln_1, Some(&g_x));
        let gradients = Gradients {
            g_ln_1: super::only(g_ln_1),
            attn: attn_gradients,
            g_ln_2: super::only(g_ln_2),
            mlp: mlp_gradients,
        };
        (g_x, Block { ln_1, attn, ln_2, mlp }, gradients)
    }

    /// The tangents of what [`backward`](Self::backward) returns.
    pub fn backward_tangent(
        &self,
        kept: &Kept,
        shape: Shape,
        gradients: &Gradients,
        kept_dot: &KeptDot,
        dot: &BlockDot,
        g_x_dot: &Tensor<3>,
    ) -> (Tensor<3>, BlockDot) {
        let (g_h_dot, mlp) =
            self.mlp.backward_tangent(&kept.mlp, &gradients.mlp, &kept_dot.mlp, &dot.mlp, g_x_dot);
        let (g_x_dot, ln_2) = self.ln_2.backward_tangent(
            &kept.ln_2,
            &kept_dot.ln_2,
            &dot.ln_2,
            &gradients.g_ln_2,
            &g_h_dot,
            Some(g_x_dot),
        );
        let (g_h_dot, attn) = self.attn.backward_tangent(
            &kept.attn,
            shape.heads,
            &gradients.attn,
            &kept_dot.attn,
            &dot.attn,
            &g_x_dot,
        );
        let (g_x_dot, ln_1) = self.ln_1.backward_tangent(
            &kept.ln_1,
            &kept_dot.ln_1,
            &dot.ln_1,
            &gradients.g_ln_1,
            &g_h_dot,
            Some(&g_x_dot),
        );
        (g_x_dot, Block { ln_1, attn, ln_2, mlp })
    }
    /// As [`Linear::moments`](super::linear::Linear::moments), of all four layers.
    pub fn moments(&self, kept: &Kept, gradients: &Gradients, rows: usize) -> Block<Tensor<2>, Tensor<2>> {
        Block {
            ln_1: self.ln_1.moments(&kept.ln_1, &gradients.g_ln_1, rows),
            attn: self.attn.moments(&kept.attn, &gradients.attn, rows),
            ln_2: self.ln_2.moments(&kept.ln_2, &gradients.g_ln_2, rows),
            mlp: self.mlp.moments(&kept.mlp, &gradients.mlp, rows),
        }
    }
}
