//! What the targets take from the probabilities.

use super::float::Float;

/// p to weight (p − e_target), for the targets that lie in the chunk.
pub fn subtract_targets<E: Float>(p: &mut [E], width: usize, first: usize, targets: &[usize], weight: E) {
    for (row, target) in p.chunks_exact_mut(width).zip(targets) {
        row.iter_mut().for_each(|x| *x = *x * weight);
        if let Some(at) = target.checked_sub(first).filter(|at| *at < width) {
            row[at] = row[at] - weight;
        }
    }
}
