//! Dot products and norms: sums along the vectors, in f64.

use std::ops::Range;

use ndarray::Array2;
use rayon::prelude::*;

use crate::base::simd;
use crate::base::values::{Real, Values};
use crate::base::vectors::Vectors;

/// Numbers of one vector that are worked on at a time.
pub(super) const CUT: usize = 4096;
/// Cuts whose partial sums are added before they are handed over.
pub(super) const GROUP: usize = 16;

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
