//! Arithmetic between panels of vectors: the memory-bound half of a Krylov solver.
//!
//! All sums are f64. Work is cut at fixed places along the vectors, so that results do not depend on
//! the number of threads; each cut is small enough that its part of one panel stays in the first-level
//! cache while the other panel streams past.

mod combinations;
mod sums;

pub use combinations::{add_combination, combine, normalise, rotate, scale_rows, subtract, subtract_rows};
pub use sums::{gram, gram_rows, norms};

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::sums::{CUT, GROUP};
    use super::*;
    use crate::base::random;
    use crate::base::values::DType;
    use crate::base::vectors::Vectors;
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
