//! Gathering and scattering of embedding rows.

use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::float::Float;
use super::storage::{Input, ids, output, unfilled};

/// K = 1 of [`tangent`].
pub fn embedding<E: Float>(tokens: FlexTensor, wte: FlexTensor, wpe: FlexTensor, seq: usize) -> FlexTensor {
    let (wte, wpe) = (Input::<E>::new(wte), Input::<E>::new(wpe));
    let (v, c, block) = (wte.dim(0), wte.dim(1), wpe.dim(0));
    let ids = ids(&tokens);
    output(gather(&ids, wte.get(), wpe.get(), [1, v, block, c], seq), [ids.len(), c])
}

pub fn tangent<E: Float>(
    tokens: FlexTensor,
    wte_dot: FlexTensor,
    wpe_dot: FlexTensor,
    seq: usize,
) -> FlexTensor {
    let (wte, wpe) = (Input::<E>::new(wte_dot), Input::<E>::new(wpe_dot));
    let (k, v, c, block) = (wte.dim(0), wte.dim(1), wte.dim(2), wpe.dim(1));
    let ids = ids(&tokens);
    output(gather(&ids, wte.get(), wpe.get(), [k, v, block, c], seq), [ids.len(), k, c])
}

fn gather<E: Float>(ids: &[usize], wte: &[E], wpe: &[E], [k, v, block, c]: [usize; 4], seq: usize) -> Vec<E> {
    let mut x = unfilled::<E>(ids.len() * k * c);
    x.par_chunks_mut(k * c).zip(ids).enumerate().for_each(|(n, (x, &id))| {
        for (j, x) in x.chunks_exact_mut(c).enumerate() {
            let token = &wte[(j * v + id) * c..][..c];
            let position = &wpe[(j * block + n % seq) * c..][..c];
            for i in 0..c {
                x[i] = token[i] + position[i];
            }
        }
    });
    x
}

pub fn backward<E: Float>(
    tokens: FlexTensor,
    g_x: FlexTensor,
    seq: usize,
    vocab_size: usize,
    block_size: usize,
) -> (FlexTensor, FlexTensor) {
    let g_x = Input::<E>::new(g_x);
    let (k, c) = (g_x.dim(1), g_x.dim(2));
    let ids = ids(&tokens);
    // one direction per task, so that the additions to a row happen in the order of the tokens
    let scatter = |rows: usize, row: &(dyn Fn(usize) -> usize + Sync)| {
        let mut sums = vec![E::ZERO; k * rows * c];
        sums.par_chunks_mut(rows * c).enumerate().for_each(|(j, sums)| {
            for n in 0..ids.len() {
                let g = &g_x.get()[(n * k + j) * c..][..c];
                let sum = &mut sums[row(n) * c..][..c];
                for i in 0..c {
                    sum[i] += g[i];
                }
            }
        });
        sums
    };
    let (g_wte, g_wpe) =
        rayon::join(|| scatter(vocab_size, &|n| ids[n]), || scatter(block_size, &|n| n % seq));
    (output(g_wte, [k, vocab_size, c]), output(g_wpe, [k, block_size, c]))
}
