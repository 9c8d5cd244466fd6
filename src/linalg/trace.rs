//! Traces, Frobenius norms and diagonals from products with random signs.
//!
//! **What.** With z of independent signs and y = A z: E zᵀy = tr A, E ‖y‖² = ‖A‖_F², and z∘y has mean diag A,
//! so its sum over a block's coordinates estimates the block's trace. Hutch++ first removes the part of A that
//! a sketch of its range catches, whose trace and norm are exact, and estimates only the rest: ‖A‖_F² =
//! ‖A Q‖_F² + ‖A (I − QQᵀ)‖_F².
//!
//! **Error.** One standard error over probes. Hutchinson's trace has variance 2(‖A‖_F² − Σ A_ii²) per probe, and
//! is exact for a diagonal matrix. Where a few eigenvalues carry the norm, ‖A z‖² is skewed and intervals from
//! ten probes cover less than they say (87% for 95%); without what the sketch catches it is not.
//!
//! References: Hutchinson 1990; Meyer, Musco, Musco and Woodruff 2021, Hutch++, arXiv 2010.09649.

use std::ops::Range;

use ndarray::{Array2, Axis};

use super::operator::{LinearOperator, Products};
use super::{dense, panel, probes};
use crate::error::Result;
use crate::observer::Observer;
use crate::random::Random;
use crate::vectors::Vectors;

/// What each probe saw.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    /// Per range: Σ z_i (A z)_i over its coordinates.
    pub blocks: Vec<Vec<f64>>,
    /// Between pairs of probes 2i and 2i+1: Σ_j d_j d′_j of their diagonal estimates d and d′, whose mean is
    /// Σ A_jj².
    pub diagonal_sq: Vec<f64>,
}

/// `count` probes, `group` at a time; block sums over `ranges`.
///
/// # Errors
/// Where a product fails or the observer was told to stop.
pub fn hutchinson(
    operator: &dyn LinearOperator,
    count: usize,
    group: usize,
    ranges: &[Range<usize>],
    random: &mut Random,
    observer: &dyn Observer,
) -> Result<Samples> {
    let (n, products) = (operator.n(), Products::new(operator));
    let mut samples = Samples { blocks: vec![vec![]; ranges.len()], ..Samples::default() };
    let mut last: Option<Vec<f64>> = None;
    for start in (0..count).step_by(group.max(1)) {
        observer.check()?;
        observer.progress(start as u64, count as u64, "trace probes");
        let mut z = Vectors::zeros(0, n, operator.dtype());
        for _ in 0..group.max(1).min(count - start) {
            z.append(&probes::rademacher(1, n, operator.dtype(), random));
        }
        let y = products.of(&z)?;
        for i in 0..z.k() {
            let y = y.row(i);
            let diagonal: Vec<f64> = z.row(i).iter().zip(&y).map(|(z, y)| z * y).collect();
            for (range, block) in ranges.iter().zip(&mut samples.blocks) {
                block.push(diagonal[range.clone()].iter().sum());
            }
            match last.take() {
                None => last = Some(diagonal),
                Some(other) => {
                    samples.diagonal_sq.push(other.iter().zip(&diagonal).map(|(a, b)| a * b).sum())
                }
            }
        }
    }
    Ok(samples)
}

/// A number of which a part is exact.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Split {
    /// On the vectors that were chosen.
    pub exact: f64,
    /// One sample of the rest per probe.
    pub rest: Vec<f64>,
}

/// Hutch++ with `count` probes for the sketch and as many for the rest: (trace, ‖A‖_F², products spent).
///
/// # Errors
/// Where a product or LAPACK fails or the observer was told to stop.
pub fn hutch_plus_plus(
    operator: &dyn LinearOperator,
    count: usize,
    group: usize,
    random: &mut Random,
    observer: &dyn Observer,
) -> Result<(Split, Split, usize)> {
    let (n, products) = (operator.n(), Products::new(operator));
    let count = count.min(n);
    let apply = |x: &Vectors, purpose: &str| -> Result<Vectors> {
        let mut out = Vectors::zeros(0, n, x.dtype());
        for start in (0..x.k()).step_by(group.max(1)) {
            observer.check()?;
            observer.progress(start as u64, x.k() as u64, purpose);
            out.append(&products.of(&x.slice(start..x.k().min(start + group.max(1))))?);
        }
        Ok(out)
    };
    let sketch = apply(&probes::sphere(count, n, operator.dtype(), random), "sketch of the range")?;
    let q = orthonormal(sketch)?;
    let image = apply(&q, "trace on the sketch")?;
    let (exact, exact_sq) =
        (panel::gram(&q, &image).diag().sum(), panel::norms(&image).iter().map(|x| x * x).sum());
    drop(image);
    let mut z = probes::rademacher(count, n, operator.dtype(), random);
    let c = panel::gram(&q, &z);
    panel::subtract(&mut z, &q, &c);
    let y = apply(&z, "trace of the rest")?;
    let (mut rest, mut rest_sq) =
        (panel::gram(&z, &y).diag().to_vec(), panel::norms(&y).iter().map(|x| x * x).collect::<Vec<_>>());
    if q.k() == n {
        // where the sketch is the whole space nothing is left but rounding
        (rest, rest_sq) = (vec![0.0; count], vec![0.0; count]);
    }
    Ok((Split { exact, rest }, Split { exact: exact_sq, rest: rest_sq }, products.spent()))
}

/// An orthonormal basis of the span, directions at the rounding level left out.
fn orthonormal(mut x: Vectors) -> Result<Vectors> {
    // to lengths near 1 before squares are formed; what is 0 is left out below
    let longest = panel::norms(&x).into_iter().fold(0.0f64, f64::max);
    if longest == 0.0 {
        return Ok(Vectors::zeros(0, x.n(), x.dtype()));
    }
    let factors = vec![1.0 / longest; x.k()];
    panel::scale_rows(&mut x, &factors);
    for _ in 0..2 {
        let (values, vectors) = dense::eigh(&panel::gram(&x, &x))?;
        let largest = values.iter().fold(0.0f64, |m, v| m.max(*v));
        let floor = largest * x.dtype().epsilon() * 10.0;
        let keep: Vec<usize> = (0..values.len()).filter(|&i| values[i] > floor).collect();
        let scale = keep.iter().map(|&i| 1.0 / values[i].sqrt()).collect::<Vec<_>>();
        let s: Array2<f64> = vectors.select(Axis(1), &keep) * &ndarray::Array1::from(scale);
        panel::rotate(&mut x, s.view());
    }
    Ok(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::krylov::tests::with_spectrum;
    use crate::linalg::operator::DenseOperator;
    use crate::observer::Silent;
    use crate::random;
    use crate::stats;

    #[test]
    fn a_diagonal_matrix_has_no_error() {
        let matrix = Array2::from_diag(&ndarray::Array1::from(vec![1.0, -2.0, 5.0, 0.5]));
        let operator = DenseOperator { matrix };
        let random = &mut random::stream(1, 0, "trace");
        let samples = hutchinson(&operator, 4, 3, &[0..2, 0..4], random, &Silent).expect("finite");
        assert!(samples.blocks[1].iter().all(|t| (t - 4.5).abs() < 1e-14));
        assert!(samples.blocks[0].iter().all(|t| (t + 1.0).abs() < 1e-14));
        assert!(samples.diagonal_sq.iter().all(|t| (t - 30.25).abs() < 1e-13));
    }

    #[test]
    fn estimates_are_within_their_errors_and_the_sketch_helps() {
        let spectrum: Vec<f64> = (0..120).map(|i| if i < 6 { 50.0 / (i + 1) as f64 } else { 0.05 }).collect();
        let operator = with_spectrum(&spectrum, 4);
        let trace: f64 = spectrum.iter().sum();
        let random = &mut random::stream(3, 0, "trace");
        let samples = hutchinson(&operator, 60, 8, &[0..120], random, &Silent).expect("finite");
        let (plain, plain_error) = stats::mean_and_error(&samples.blocks[0]).expect("many");
        assert!((plain - trace).abs() < 4.0 * plain_error);
        let (sum, square, matvecs) = hutch_plus_plus(&operator, 20, 8, random, &Silent).expect("finite");
        let estimate = |split: &Split| {
            let (mean, error) = stats::mean_and_error(&split.rest).expect("many");
            (split.exact + mean, error)
        };
        let ((mean, error), (norm, norm_error)) = (estimate(&sum), estimate(&square));
        assert!(matvecs <= 60 && error < plain_error / 20.0, "{error} {plain_error}");
        assert!((mean - trace).abs() < 4.0 * error + 1e-9);
        let truth: f64 = spectrum.iter().map(|x| x * x).sum();
        assert!((norm - truth).abs() < 4.0 * norm_error + 1e-9 * truth, "{norm} {truth}");
    }

    #[test]
    fn a_matrix_smaller_than_the_sketch_is_traced_exactly() {
        let operator = with_spectrum(&[3.0, -1.0, 2.0], 7);
        let random = &mut random::stream(3, 0, "trace");
        let (sum, square, _) = hutch_plus_plus(&operator, 20, 8, random, &Silent).expect("finite");
        assert!((sum.exact - 4.0).abs() < 1e-12 && sum.rest.iter().all(|r| *r == 0.0));
        assert!((square.exact - 14.0).abs() < 1e-12 && square.rest.iter().all(|r| *r == 0.0));
    }
}
