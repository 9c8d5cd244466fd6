//! Arithmetic between panels of vectors: the memory-bound half of a Krylov solver.
//!
//! All sums are f64. Work is cut at fixed places along the vectors, so that results do not depend on
//! the number of threads; each cut is small enough that its part of one panel stays in the first-level
//! cache while the other panel streams past.

use std::ops::Range;

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use crate::base::simd;
use crate::base::values::{Real, Values};
use crate::base::vectors::Vectors;

/// Numbers of one vector that are worked on at a time.
const CUT: usize = 4096;
/// Cuts whose partial sums are added before they are handed over.
const GROUP: usize = 16;

/// a bᵀ, the (k_a, k_b) matrix of dot products.
pub fn gram(a: &Vectors, b: &Vectors) -> Array2<f64> {
    gram_rows(a, 0..a.k(), b)
}

/// The same of the vectors `rows` of a.
pub fn gram_rows(a: &Vectors, rows: Range<usize>, b: &Vectors) -> Array2<f64> {
    let n = a.n();
    let range = rows.start * n..rows.end * n;
    match (a.values(), b.values()) {
        (Values::F32(x), Values::F32(y)) => gram_of(&x[range], y, n),
        (Values::F64(x), Values::F64(y)) => gram_of(&x[range], y, n),
        _ => panic!("panels of different dtypes"),
    }
}

fn gram_of<T: Real>(a: &[T], b: &[T], n: usize) -> Array2<f64> {
    let (ka, kb) = (a.len() / n, b.len() / n);
    let partial = |group: usize| -> Vec<f64> {
        let mut sums = vec![0.0; ka * kb];
        for start in (group * GROUP * CUT..n.min((group + 1) * GROUP * CUT)).step_by(CUT) {
            let end = n.min(start + CUT);
            for i in 0..ka {
                for j in 0..kb {
                    sums[i * kb + j] += dot(&a[i * n + start..i * n + end], &b[j * n + start..j * n + end]);
                }
            }
        }
        sums
    };
    // handing a small sum to another thread takes longer than the sum
    if n <= GROUP * CUT {
        return Array2::from_shape_vec((ka, kb), partial(0)).expect("ka by kb numbers");
    }
    let partials: Vec<Vec<f64>> = (0..n.div_ceil(GROUP * CUT)).into_par_iter().map(partial).collect();
    let mut total = vec![0.0; ka * kb];
    for partial in partials {
        total.iter_mut().zip(partial).for_each(|(t, p)| *t += p);
    }
    Array2::from_shape_vec((ka, kb), total).expect("ka by kb numbers")
}

/// Σ x y in sixteen lanes, which is what the widest registers hold twice.
fn dot<T: Real>(x: &[T], y: &[T]) -> f64 {
    simd::dispatch(
        #[inline(always)]
        || {
            let mut lanes = [0.0f64; 16];
            let (xs, ys) = (x.chunks_exact(16), y.chunks_exact(16));
            let rest: f64 = xs.remainder().iter().zip(ys.remainder()).map(|(a, b)| a.wide() * b.wide()).sum();
            for (x, y) in xs.zip(ys) {
                for l in 0..16 {
                    lanes[l] += x[l].wide() * y[l].wide();
                }
            }
            lanes.iter().sum::<f64>() + rest
        },
    )
}

/// Euclidean norm of each vector.
pub fn norms(a: &Vectors) -> Vec<f64> {
    let n = a.n();
    let norm = |i: usize| {
        let range = i * n..(i + 1) * n;
        match a.values() {
            Values::F32(v) => norm_of(&v[range], n),
            Values::F64(v) => norm_of(&v[range], n),
        }
    };
    (0..a.k()).map(norm).collect()
}

fn norm_of<T: Real>(v: &[T], n: usize) -> f64 {
    let square = gram_of(v, v, n)[[0, 0]];
    if (SQUARES.0..=SQUARES.1).contains(&square) {
        return square.sqrt();
    }
    // squares out of range: of numbers brought to the size of 1
    let largest = v.iter().fold(0.0f64, |m, x| m.max(x.wide().abs()));
    if largest == 0.0 || largest.is_infinite() || square.is_nan() {
        return square.sqrt();
    }
    largest * v.iter().map(|x| (x.wide() / largest).powi(2)).sum::<f64>().sqrt()
}

/// Sums of squares that have lost nothing to overflow or underflow.
const SQUARES: (f64, f64) = (1e-280, 1e300);

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random;
    use crate::base::values::DType;
    use crate::linalg::probes;

    fn panels(dtype: DType) -> (Vectors, Vectors) {
        // longer than a group of cuts, and no multiple of a lane
        let n = CUT * GROUP + 1237;
        let mut random = random::stream(1, 0, "panel");
        (probes::sphere(3, n, dtype, &mut random), probes::sphere(2, n, dtype, &mut random))
    }

    #[test]
    fn sums_agree_with_plain_loops() {
        for dtype in [DType::F32, DType::F64] {
            let (a, b) = panels(dtype);
            let g = gram(&a, &b);
            for i in 0..3 {
                for j in 0..2 {
                    let plain: f64 = a.row(i).iter().zip(b.row(j)).map(|(x, y)| x * y).sum();
                    // the order of n additions of numbers of size 1/n
                    assert!((g[[i, j]] - plain).abs() < 1e-15);
                }
            }
            let mut w = b.clone();
            subtract(&mut w, &a, &g);
            for j in 0..2 {
                let (new, old) = (w.row(j), b.row(j));
                for at in [0, CUT - 1, CUT, CUT * GROUP + 1236] {
                    let plain = old[at] - (0..3).map(|i| g[[i, j]] * a.row(i)[at]).sum::<f64>();
                    assert!((new[at] - plain).abs() <= dtype.epsilon() * old[at].abs().max(1e-3));
                }
            }
        }
    }

    #[test]
    fn rotation_in_place_is_a_combination_and_keeps_what_follows() {
        let (a, b) = panels(DType::F64);
        let s = Array2::from_shape_vec((3, 2), vec![0.5, -1.0, 2.0, 0.25, 1.5, -0.75]).expect("3 by 2");
        let expected = combine(&a, s.view());
        let mut all = a.clone();
        all.append(&b);
        rotate(&mut all, s.view());
        assert_eq!(all.slice(0..2), expected);
        assert_eq!(all.slice(2..4), b);
    }
}
