//! Causal self-attention of H heads, from the packed projections qkv (N, 3C) to its output (N, C).
//!
//! With S = q kᵀ/√d below the diagonal and P = softmax(S): out = P v. The probabilities are kept,
//! because entropies and tangents need them. Backward, with A = g_out vᵀ and the *centred*
//! D = A − rowsum(P A): g_S = P D, which gives g_q, g_k, and g_v = Pᵀ g_out.
//!
//! Each row of P comes with its statistics: the entropy H = log Z − Σ p s (nats), where Z = Σ exp s, the largest
//! logit max s, and the Euclidean norm of the logits ‖s‖, all over the keys the mask leaves.
//!
//! Reference: Vaswani et al., Attention Is All You Need, arXiv 1706.03762.

use burn::backend::Dispatch;
use burn::tensor::Tensor;

pub use super::heads::{BLOCK, Heads, kept};
use super::operations::{Kernels, lower, raise};

/// (out, P, statistics) of qkv (N, 3C) with columns q, k, v; out (N, C). P is for the other functions of this
/// module; its layout is the backend's own. The statistics (B, H, T, 3) are, of each row, the entropy, the
/// largest logit and the norm of the logits.
pub fn attention(qkv: &Tensor<2>, heads: Heads) -> (Tensor<2>, Tensor<4>, Tensor<4>) {
    let (out, p, statistics) = <Dispatch as Kernels>::attention(lower(qkv), heads);
    (raise(out), raise(p), raise(statistics))
}

/// (ȯut, Ṗ) of qkv_dot (N, K, 3C): Ṗ = P (Ṡ − rowsum(P Ṡ)), ȯut = Ṗ v + P v̇; ȯut (N, K, C).
pub fn attention_tangent(
    qkv: &Tensor<2>,
    p: &Tensor<4>,
    qkv_dot: &Tensor<3>,
    heads: Heads,
) -> (Tensor<3>, Tensor<5>) {
    let (out_dot, p_dot) =
        <Dispatch as Kernels>::attention_tangent(lower(qkv), lower(p), lower(qkv_dot), heads);
    (raise(out_dot), raise(p_dot))
}

/// (g_qkv, D) from K output gradients g_out (N, K, C).
pub fn attention_backward(
    qkv: &Tensor<2>,
    p: &Tensor<4>,
    g_out: &Tensor<3>,
    heads: Heads,
) -> (Tensor<3>, Tensor<5>) {
    let (g_qkv, centred) =
        <Dispatch as Kernels>::attention_backward(lower(qkv), lower(p), lower(g_out), heads);
    (raise(g_qkv), raise(centred))
}

/// The tangent of g_qkv; `centred` is D of the one primal gradient g_out (N, C), `p_dot` comes from
/// [`attention_tangent`].
pub fn attention_backward_tangent(
    qkv: &Tensor<2>,
    p: &Tensor<4>,
    centred: &Tensor<5>,
    g_out: &Tensor<2>,
    qkv_dot: &Tensor<3>,
    p_dot: &Tensor<5>,
    g_out_dot: &Tensor<3>,
    heads: Heads,
) -> Tensor<3> {
    raise(<Dispatch as Kernels>::attention_backward_tangent(
        lower(qkv),
        lower(p),
        lower(centred),
        lower(g_out),
        lower(qkv_dot),
        lower(p_dot),
        lower(g_out_dot),
        heads,
    ))
}
