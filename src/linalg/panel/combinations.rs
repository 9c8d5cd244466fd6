//! Linear combinations of vectors, worked on cut by cut.

use std::ops::Range;

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use super::sums::{CUT, norms};
use crate::base::simd;
use crate::base::values::{Real, Values};
use crate::base::vectors::Vectors;

/// w −= cᵀ v: subtracts Σ_i c\[i, j\] v_i from each w_j; v (k, n), w (p, n), c (k, p).
pub fn subtract(w: &mut Vectors, v: &Vectors, c: &Array2<f64>) {
    subtract_rows(w, v, 0..c.nrows(), c.view());
}

/// The same with the vectors `rows` of v, c (rows, p).
pub fn subtract_rows(w: &mut Vectors, v: &Vectors, rows: Range<usize>, c: ArrayView2<f64>) {
    if rows.is_empty() {
        return;
    }
    let n = w.n();
    let (range, negative) = (rows.start * n..rows.end * n, c.mapv(|x| -x));
    match (w.values_mut(), v.values()) {
        (Values::F32(w), Values::F32(v)) => add_of(w, &v[range], negative.view(), n),
        (Values::F64(w), Values::F64(v)) => add_of(w, &v[range], negative.view(), n),
        _ => panic!("panels of different dtypes"),
    }
}

/// w += cᵀ v: adds Σ_i c\[i, j\] v_i to each w_j; w (p, n), c (k, p), v at least k vectors of which the
/// first k are used.
pub fn add_combination(w: &mut Vectors, v: &Vectors, c: ArrayView2<f64>) {
    let n = w.n();
    match (w.values_mut(), v.values()) {
        (Values::F32(w), Values::F32(v)) => add_of(w, v, c, n),
        (Values::F64(w), Values::F64(v)) => add_of(w, v, c, n),
        _ => panic!("panels of different dtypes"),
    }
}

fn add_of<T: Real>(w: &mut [T], v: &[T], c: ArrayView2<f64>, n: usize) {
    by_columns(w, n, |start, mut rows| {
        let mut sum = [0.0f64; CUT];
        for (j, row) in rows.iter_mut().enumerate() {
            let sum = &mut sum[..row.len()];
            sum.iter_mut().zip(row.iter()).for_each(|(s, x)| *s = x.wide());
            for (i, vi) in v.chunks_exact(n).take(c.nrows()).enumerate() {
                axpy(sum, c[[i, j]], &vi[start..start + row.len()]);
            }
            row.iter_mut().zip(sum.iter()).for_each(|(x, s)| *x = T::narrow(*s));
        }
    });
}

fn axpy<T: Real>(sum: &mut [f64], c: f64, v: &[T]) {
    simd::dispatch(
        #[inline(always)]
        || sum.iter_mut().zip(v).for_each(|(s, x)| *s += c * x.wide()),
    );
}

/// The k vectors Σ_i s\[i, j\] v_i; s (m, k), of `v` the first m are used.
pub fn combine(v: &Vectors, s: ArrayView2<f64>) -> Vectors {
    let mut out = Vectors::zeros(s.ncols(), v.n(), v.dtype());
    add_combination(&mut out, v, s);
    out
}

/// Replaces the first m vectors of `v` by their k ≤ m combinations Σ_i s\[i, j\] v_i, in place, and drops
/// the rest of the m; vectors behind them move up.
pub fn rotate(v: &mut Vectors, s: ArrayView2<f64>) {
    let (m, k, n, total) = (s.nrows(), s.ncols(), v.n(), v.k());
    if m == 0 {
        return;
    }
    match v.values_mut() {
        Values::F32(v) => rotate_of(v, s, n),
        Values::F64(v) => rotate_of(v, s, n),
    }
    for (to, from) in (k..).zip(m..total) {
        match v.values_mut() {
            Values::F32(v) => v.copy_within(from * n..(from + 1) * n, to * n),
            Values::F64(v) => v.copy_within(from * n..(from + 1) * n, to * n),
        }
    }
    v.truncate(k + total - m);
}

fn rotate_of<T: Real>(v: &mut [T], s: ArrayView2<f64>, n: usize) {
    let (m, k) = s.dim();
    by_columns(v, n, |_, mut rows| {
        let len = rows[0].len();
        let mut sums = vec![0.0f64; k * len];
        for (j, sum) in sums.chunks_exact_mut(len).enumerate() {
            for i in 0..m {
                axpy(sum, s[[i, j]], rows[i]);
            }
        }
        for (row, sum) in rows.iter_mut().zip(sums.chunks_exact(len)) {
            row.iter_mut().zip(sum).for_each(|(x, s)| *x = T::narrow(*s));
        }
    });
}

/// Brings a vector to length 1 and returns the length it had; `None`, and the vector as it was, where that is 0.
pub fn normalise(v: &mut Vectors) -> Option<f64> {
    let norm = norms(v)[0];
    if norm == 0.0 {
        return None;
    }
    // the inverse of a number below the normal ones is infinite: in two strides
    if norm < f64::MIN_POSITIVE {
        scale_rows(v, &[1.0 / f64::MIN_POSITIVE]);
        let rest = norms(v)[0];
        scale_rows(v, &[1.0 / rest]);
    } else {
        scale_rows(v, &[1.0 / norm]);
    }
    Some(norm)
}

/// Multiplies each vector by its factor.
pub fn scale_rows(v: &mut Vectors, factors: &[f64]) {
    let n = v.n();
    match v.values_mut() {
        Values::F32(v) => scale_of(v, n, factors),
        Values::F64(v) => scale_of(v, n, factors),
    }
}

fn scale_of<T: Real>(v: &mut [T], n: usize, factors: &[f64]) {
    by_columns(v, n, |_, mut rows| {
        for (row, &factor) in rows.iter_mut().zip(factors) {
            row.iter_mut().for_each(|x| *x = T::narrow(x.wide() * factor));
        }
    });
}

/// Calls `work` on each cut, with its start, of all vectors together.
fn by_columns<T: Send>(v: &mut [T], n: usize, work: impl Fn(usize, Vec<&mut [T]>) + Sync + Send) {
    if n <= CUT {
        return work(0, v.chunks_exact_mut(n).collect());
    }
    let mut columns: Vec<(usize, Vec<&mut [T]>)> =
        (0..n).step_by(CUT).map(|start| (start, Vec::new())).collect();
    for row in v.chunks_exact_mut(n) {
        for (column, cut) in columns.iter_mut().zip(row.chunks_mut(CUT)) {
            column.1.push(cut);
        }
    }
    columns.into_par_iter().for_each(|(start, rows)| work(start, rows));
}
