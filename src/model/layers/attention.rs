//! Causal self-attention: `c_proj(attention(c_attn(x)))`.

use burn::tensor::Tensor;

use super::linear::Linear;
use super::only;
use crate::kernels::attention::{self as kernel, Heads};

/// The two linear layers, or K tangents of them.
#[derive(Debug, Clone)]
pub struct Attention<M, V> {
    /// C to 3C: the rows of its weight are q, k, v.
    pub c_attn: Linear<M, V>,
    /// C to C.
    pub c_proj: Linear<M, V>,
}

/// K tangents or gradients of an attention layer's parameters.
pub type AttentionDot = Attention<Tensor<3>, Tensor<2>>;

/// What the forward pass keeps.
pub struct Kept {
    x: Tensor<2>,
    qkv: Tensor<2>,
    p: Tensor<4>,
    out: Tensor<2>,
    /// Entropy, largest logit and norm of the logits of each row, (B, H, T, 3).
    pub statistics: Tensor<4>,
}

impl Kept {
    /// The inputs of c_attn and c_proj, (N, C) each.
    pub fn inputs(&self) -> [&Tensor<2>; 2] {
        [&self.x, &self.out]
    }
}

/// What the tangent keeps.
pub struct KeptDot {
    x_dot: Tensor<3>,
    qkv_dot: Tensor<3>,
    p_dot: Tensor<5>,
    out_dot: Tensor<3>,
}

/// The gradients the primal backward keeps for curvature.
pub struct Gradients {
    g_y: Tensor<2>,
    g_out: Tensor<2>,
    centred: Tensor<5>,
    g_qkv: Tensor<2>,
}

impl Attention<Tensor<2>, Tensor<1>> {
    /// y (N, C) of x (N, C), joined to the residual stream.
    pub fn forward(&self, x: Tensor<2>, heads: Heads, residual: &Tensor<2>) -> (Tensor<2>, Kept) {
        let qkv = self.c_attn.forward(&x, None);
        let (out, p, statistics) = kernel::attention(&qkv, heads);
        let y = self.c_proj.forward(&out, Some(residual));
        (y, Kept { x, qkv, p, out, statistics })
    }

    /// ẏ (N, K, C), joined to the tangent of the residual stream.
    pub fn tangent(
        &self,
        kept: &Kept,
        heads: Heads,
        dot: &AttentionDot,
        x_dot: Tensor<3>,
        residual_dot: &Tensor<3>,
    ) -> (Tensor<3>, KeptDot) {
        let qkv_dot = self.c_attn.tangent(&kept.x, &dot.c_attn, &x_dot, None);
        let (out_dot, p_dot) = kernel::attention_tangent(&kept.qkv, &kept.p, &qkv_dot, heads);
        let y_dot = self.c_proj.tangent(&kept.out, &dot.c_proj, &out_dot, Some(residual_dot));
        (y_dot, KeptDot { x_dot, qkv_dot, p_dot, out_dot })
    }

    /// (g_x, parameter gradients) from g_y (N, K, C).
    pub fn backward(&self, kept: &Kept, heads: Heads, g_y: &Tensor<3>) -> (Tensor<3>, AttentionDot) {
        let (g_out, c_proj) = self.c_proj.backward(&kept.out, g_y);
        let (g_qkv, _) = kernel::attention_backward(&kept.qkv, &kept.p, &g_out, heads);
        let (g_x, c_attn) = self.c_attn.backward(&kept.x, &g_qkv);
        (g_x, Attention { c_attn, c_proj })
    }

    /// As [`backward`](Self::backward) for one gradient (N, 1, C), keeping what its tangent needs.
    pub fn backward_kept(
        &self,
        kept: &Kept,
        heads: Heads,
        g_y: Tensor<3>,
    ) -> (Tensor<3>, AttentionDot, Gradients) {
        let (g_out, c_proj) = self.c_proj.backward(&kept.out, &g_y);
        let (g_qkv, centred) = kernel::attention_backward(&kept.qkv, &kept.p, &g_out, heads);
        let (g_x, c_attn) = self.c_attn.backward(&kept.x, &g_qkv);
        let gradients = Gradients { g_y: only(g_y), g_out: only(g_out), centred, g_qkv: only(g_qkv) };
        (g_x, Attention { c_attn, c_proj }, gradients)
    }

    /// The tangents of what [`backward`](Self::backward) returns.
    pub fn backward_tangent(
        &self,
        kept: &Kept,
        heads: Heads,
        gradients: &Gradients,
        kept_dot: &KeptDot,
        dot: &AttentionDot,
        g_y_dot: &Tensor<3>,
    ) -> (Tensor<3>, AttentionDot) {
        let (g_out_dot, c_proj) =
            self.c_proj.backward_tangent(&kept.out, &kept_dot.out_dot, &dot.c_proj, &gradients.g_y, g_y_dot);
        let g_qkv_dot = kernel::attention_backward_tangent(
            &kept.qkv,
            &kept.p,
            &gradients.centred,
            &gradients.g_out,
            &kept_dot.qkv_dot,
            &kept_dot.p_dot,
            &g_out_dot,
            heads,
        );
        let (g_x_dot, c_attn) =
            self.c_attn.backward_tangent(&kept.x, &kept_dot.x_dot, &dot.c_attn, &gradients.g_qkv, &g_qkv_dot);
        (g_x_dot, Attention { c_attn, c_proj })
    }
    /// As [`Linear::moments`], of both layers.
    pub fn moments(
        &self,
        kept: &Kept,
        gradients: &Gradients,
        rows: usize,
    ) -> Attention<Tensor<2>, Tensor<2>> {
        Attention {
            c_attn: self.c_attn.moments(&kept.x, &gradients.g_qkv, rows),
            c_proj: self.c_proj.moments(&kept.out, &gradients.g_y, rows),
        }
    }
}
