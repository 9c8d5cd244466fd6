//! Embeddings, composed.

use burn::backend::Backend;
use burn::backend::tensor::{FloatTensor as F, IntTensor};

use crate::kernels::array::Array;

pub fn embedding<B: Backend>(tokens: IntTensor<B>, wte: F<B>, wpe: F<B>, seq: usize) -> F<B> {
    let (wte, wpe) = (Array::<B>(wte), Array::<B>(wpe));
    let (v, c, block) = (wte.dim(0), wte.dim(1), wpe.dim(0));
    let x = tangent::<B>(tokens, wte.reshape([1, v, c]).0, wpe.reshape([1, block, c]).0, seq);
    let x = Array::<B>(x);
    let n = x.dim(0);
    x.reshape([n, c]).0
}

pub fn tangent<B: Backend>(tokens: IntTensor<B>, wte_dot: F<B>, wpe_dot: F<B>, seq: usize) -> F<B> {
    let (wte_dot, wpe_dot) = (Array::<B>(wte_dot), Array::<B>(wpe_dot));
    let (k, v, c) = (wte_dot.dim(0), wte_dot.dim(1), wte_dot.dim(2));
    let rows = wte_dot.permute(&[1, 0, 2]).reshape([v, k * c]).rows(tokens);
    let n = rows.dim(0);
    let positions = wpe_dot.part(1, 0, seq).permute(&[1, 0, 2]).reshape([1, seq, k * c]);
    (rows.reshape([n / seq, seq, k * c]) + positions).reshape([n, k, c]).0
}

pub fn backward<B: Backend>(
    tokens: IntTensor<B>,
    g_x: F<B>,
    seq: usize,
    vocab_size: usize,
    block_size: usize,
) -> (F<B>, F<B>) {
    let g_x = Array::<B>(g_x);
    let (n, k, c) = (g_x.dim(0), g_x.dim(1), g_x.dim(2));
    let rows = g_x.clone().reshape([n, k * c]);
    let g_wte = rows.zeros([vocab_size, k * c]).add_rows(tokens, rows);
    let g_wte = g_wte.reshape([vocab_size, k, c]).permute(&[1, 0, 2]).reshape([k, vocab_size, c]);
    let unused = g_x.zeros([block_size - seq, k * c]);
    let g_wpe = g_x.reshape([n / seq, seq, k * c]).sum(0).reshape([seq, k * c]);
    let g_wpe = if block_size > seq { Array::<B>(B::float_cat(vec![g_wpe.0, unused.0], 0)) } else { g_wpe };
    let g_wpe = g_wpe.reshape([block_size, k, c]).permute(&[1, 0, 2]).reshape([k, block_size, c]);
    (g_wte.0, g_wpe.0)
}
