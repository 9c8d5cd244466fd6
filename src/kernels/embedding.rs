//! The sum of a token's embedding and its position's: `x = wte[token] + wpe[t]`.
//!
//! Linear in the parameters, so the tangent is the same map and the backward has no tangent of its
//! own.

use burn::backend::Dispatch;
use burn::tensor::{Int, Tensor};

use super::operations::{Kernels, lower, raise};

/// x (N, C) of tokens (N), wte (V, C), wpe (block size, C), N a multiple of `seq`.
pub fn embedding(tokens: &Tensor<1, Int>, wte: &Tensor<2>, wpe: &Tensor<2>, seq: usize) -> Tensor<2> {
    raise(<Dispatch as Kernels>::embedding(tokens.clone().into_dispatch(), lower(wte), lower(wpe), seq))
}

/// ẋ (N, K, C) of wte_dot (K, V, C) and wpe_dot (K, block size, C).
pub fn embedding_tangent(
    tokens: &Tensor<1, Int>,
    wte_dot: &Tensor<3>,
    wpe_dot: &Tensor<3>,
    seq: usize,
) -> Tensor<3> {
    raise(<Dispatch as Kernels>::embedding_tangent(
        tokens.clone().into_dispatch(),
        lower(wte_dot),
        lower(wpe_dot),
        seq,
    ))
}

/// (g_wte (K, V, C), g_wpe (K, block size, C)) from K gradients g_x (N, K, C).
pub fn embedding_backward(
    tokens: &Tensor<1, Int>,
    g_x: &Tensor<3>,
    seq: usize,
    vocab_size: usize,
    block_size: usize,
) -> (Tensor<3>, Tensor<3>) {
    let (g_wte, g_wpe) = <Dispatch as Kernels>::embedding_backward(
        tokens.clone().into_dispatch(),
        lower(g_x),
        seq,
        vocab_size,
        block_size,
    );
    (raise(g_wte), raise(g_wpe))
}
