//! Orthonormal vectors from any others.
//!
//! A vector is dropped where it is rounding: where what is left of it is no more than the digits it lost to what it
//! was made from. Every comparison is of a vector with a size of its own, so that nothing depends on units.

use ndarray::{Array2, s};

use super::panel;
use crate::base::vectors::Vectors;

/// What is left of a vector is rounding at this multiple of the precision, relative to its size.
pub const ROUNDING: f64 = 50.0;

/// Removes from each w what lies in the span of the orthonormal v; returns the overlaps.
pub fn remove(w: &mut Vectors, v: &Vectors) -> Array2<f64> {
    let overlaps = panel::gram(v, w);
    panel::subtract(w, v, &overlaps);
    overlaps
}

/// Orthonormal Q (p′, n) and R (p′, p) with w = Qᵀ R; p′ is smaller where vectors depend on one another, or are
/// rounding beside their `size`. `project` removes from a vector what lies in everything else it must be
/// orthogonal to; w has been through it.
pub fn factor(w: Vectors, size: &[f64], project: impl Fn(&mut Vectors)) -> (Vectors, Array2<f64>) {
    let p = w.k();
    let floor = ROUNDING * w.dtype().epsilon();
    let mut q = Vectors::with_capacity(p, w.n(), w.dtype());
    let mut r = Array2::zeros((p, p));
    for j in 0..p {
        let mut column = w.slice(j..j + 1);
        for _ in 0..2 {
            let overlaps = remove(&mut column, &q);
            let known = r.slice(s![..q.k(), j..j + 1]).to_owned() + overlaps;
            r.slice_mut(s![..q.k(), j..j + 1]).assign(&known);
        }
        let Some(norm) = panel::normalise(&mut column).filter(|norm| *norm > floor * size[j]) else {
            continue;
        };
        // rounding of small vectors leaves overlaps of ε·size/norm: remove them at full size
        if norm < 1e-2 * size[j] {
            project(&mut column);
            remove(&mut column, &q);
            // all of it was overlap
            if panel::normalise(&mut column).is_none_or(|left| left < 0.1) {
                continue;
            }
        }
        r[[q.k(), j]] = norm;
        q.append(&column);
    }
    let r = r.slice_move(s![..q.k(), ..]);
    (q, r)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random;
    use crate::base::values::{DType, Values};
    use crate::linalg::probes;

    #[test]
    fn vectors_of_any_size_are_kept_and_dependent_ones_are_not() {
        for dtype in [DType::F32, DType::F64] {
            let x = probes::sphere(2, 40, dtype, &mut random::stream(1, 0, "x"));
            for scale in [1e-30, 1e-15, 1.0, 1e15, 1e30] {
                let mut w = x.clone();
                // the third is the difference of the others
                w.append(&panel::combine(&x, ndarray::arr2(&[[1.0], [-1.0]]).view()));
                panel::scale_rows(&mut w, &[scale, scale, scale]);
                let (q, r) = factor(w.clone(), &panel::norms(&w), |_| ());
                assert_eq!(q.k(), 2, "{dtype} {scale}");
                let gram = panel::gram(&q, &q) - Array2::<f64>::eye(2);
                assert!(gram.iter().all(|x| x.abs() < 20.0 * dtype.epsilon()));
                panel::subtract(&mut w, &q, &r);
                assert!(panel::norms(&w).iter().all(|left| *left < 20.0 * dtype.epsilon() * scale));
            }
        }
    }

    #[test]
    fn nothing_is_made_of_nothing() {
        let (q, _) = factor(Vectors::zeros(2, 5, DType::F64), &[0.0, 0.0], |_| ());
        assert_eq!(q.k(), 0);
        let tiny = Vectors::new(Values::F64(vec![3e-310, 4e-310]), 2);
        let (q, _) = factor(tiny, &[5e-310], |_| ());
        assert!((panel::norms(&q)[0] - 1.0).abs() < 1e-12);
    }
}
