//! Ritz vectors retained beside a followed one, so that an eigenvalue that overtakes is known already.
//!
//! They come from Rayleigh-Ritz on the search space of this step and the old ones together, in which only the block
//! between old ones is what it was at the last step.

use ndarray::{Array1, Array2, Axis, s};

use super::space::{Space, Top};
use crate::base::error::Result;
use crate::base::vectors::Vectors;
use crate::linalg::orthonormal::remove;
use crate::linalg::{dense, panel};

/// What the next step starts from: the wanted vector, and beside it the `count` leading Ritz vectors of the space
/// joined with what was `kept` at the last step; and their Ritz values.
///
/// # Errors
/// Where LAPACK fails.
pub fn next(
    space: Space,
    top: &Top,
    kept: Option<&(Vectors, Vec<f64>)>,
    count: usize,
) -> Result<(Vectors, Vec<f64>)> {
    let m = space.m();
    let Space { v: mut basis, w, t: mut matrix, .. } = space;
    if let Some((kept, values)) = kept {
        let old = outside(kept, &basis);
        let coupling = panel::gram(&old, &w);
        let overlaps = panel::gram(&old, kept);
        let size = m + old.k();
        let mut joined = Array2::zeros((size, size));
        joined.slice_mut(s![..m, ..m]).assign(&matrix);
        joined.slice_mut(s![m.., ..m]).assign(&coupling);
        joined.slice_mut(s![..m, m..]).assign(&coupling.t());
        let scaled = &overlaps * &Array1::from(values.clone());
        joined.slice_mut(s![m.., m..]).assign(&scaled.dot(&overlaps.t()));
        matrix = joined;
        basis.append(&old);
    }
    drop(w);
    // the wanted vector stays as it is; the rest is sought beside it
    let size = matrix.nrows();
    let mut first = Array2::zeros((size, 1));
    first.slice_mut(s![..m, ..]).assign(&top.coordinates);
    let beside = Array2::eye(size) - first.dot(&first.t());
    let below = matrix.iter().fold(f64::MIN_POSITIVE, |a, x| a.max(x.abs())) * 2.0 * size as f64;
    let matrix = beside.dot(&matrix).dot(&beside) - first.dot(&first.t()) * below;
    let (values, vectors) = dense::eigh(&((&matrix + &matrix.t()) * 0.5))?;
    let count = count.min(size - 1);
    let chosen: Vec<usize> = (size - count..size).rev().collect();
    let mut coordinates = Array2::zeros((size, count + 1));
    coordinates.slice_mut(s![.., ..1]).assign(&first);
    coordinates.slice_mut(s![.., 1..]).assign(&vectors.select(Axis(1), &chosen));
    panel::rotate(&mut basis, coordinates.view());
    basis.truncate(count + 1);
    basis.shrink();
    let values = std::iter::once(top.value).chain(chosen.iter().map(|&i| values[i])).collect();
    Ok((basis, values))
}

/// The old vectors' parts outside the space, orthonormal.
fn outside(kept: &Vectors, basis: &Vectors) -> Vectors {
    let mut old = Vectors::zeros(0, basis.n(), basis.dtype());
    for i in 1..kept.k() {
        let mut vector = kept.slice(i..i + 1);
        for _ in 0..2 {
            remove(&mut vector, basis);
            remove(&mut vector, &old);
        }
        // what is nearly inside is known better from this step's products
        if panel::normalise(&mut vector).is_some_and(|left| left > 0.3) {
            old.append(&vector);
        }
    }
    old
}
