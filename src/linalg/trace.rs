//! Traces, Frobenius norms and diagonals from products with random signs.
//!
//! **What.** With z of independent signs and y = A z: E zᵀy = tr A, E ‖y‖² = ‖A‖_F², and z∘y has mean diag A,
//! so its sum over a block's coordinates estimates the block's trace. Hutch++ first removes the part of A that
//! a sketch of its range catches, whose trace is exact, and estimates only the rest.
//!
//! **Error.** One standard error over probes. Hutchinson's trace has variance 2(‖A‖_F² − Σ A_ii²) per probe, and
//! is exact for a diagonal matrix.
//!
//! References: Hutchinson 1990; Meyer, Musco, Musco and Woodruff 2021, Hutch++, arXiv 2010.09649.

use std::ops::Range;

use ndarray::{Array2, Axis};

use super::operator::LinearOperator;
use super::{dense, panel, probes};
use crate::error::Result;
use crate::observer::Observer;
use crate::random::Random;
use crate::vectors::Vectors;

/// What each probe saw.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    /// zᵀ A z.
    pub trace: Vec<f64>,
    /// ‖A z‖².
    pub frobenius_sq: Vec<f64>,
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
    let n = operator.n();
    let mut samples = Samples { blocks: vec![vec![]; ranges.len()], ..Samples::default() };
    let mut last: Option<Vec<f64>> = None;
    for start in (0..count).step_by(group.max(1)) {
        observer.check()?;
        observer.progress(start as u64, count as u64, "trace probes");
        let mut z = Vectors::zeros(0, n, operator.dtype());
        for _ in 0..group.max(1).min(count - start) {
            z.append(probes::rademacher(1, n, operator.dtype(), random));
        }
        let y = operator.apply(&z)?;
        for i in 0..z.k() {
            let y = y.row(i);
            let diagonal: Vec<f64> = z.row(i).iter().zip(&y).map(|(z, y)| z * y).collect();
            samples.trace.push(diagonal.iter().sum());
            samples.frobenius_sq.push(y.iter().map(|y| y * y).sum());
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

/// Hutch++ with `count` probes for the sketch and as many for the rest: (the exact trace on the sketch's
/// range, one sample of the rest's trace per probe, products spent).
///
/// # Errors
/// Where a product or LAPACK fails or the observer was told to stop.
pub fn hutch_plus_plus(
    operator: &dyn LinearOperator,
    count: usize,
    group: usize,
    random: &mut Random,
    observer: &dyn Observer,
) -> Result<(f64, Vec<f64>, usize)> {
    let n = operator.n();
    let count = count.min(n);
    let apply = |x: &Vectors, purpose: &str| -> Result<Vectors> {
        let mut out = Vectors::zeros(0, n, x.dtype());
        for start in (0..x.k()).step_by(group.max(1)) {
            observer.check()?;
            observer.progress(start as u64, x.k() as u64, purpose);
            out.append(operator.apply(&x.slice(start..x.k().min(start + group.max(1))))?);
        }
        Ok(out)
    };
    let sketch = apply(&probes::sphere(count, n, operator.dtype(), random), "sketch of the range")?;
    let q = orthonormal(sketch)?;
    let image = apply(&q, "trace on the sketch")?;
    let exact = panel::gram(&q, &image).diag().sum();
    let mut z = probes::rademacher(count, n, operator.dtype(), random);
    let c = panel::gram(&q, &z);
    panel::subtract(&mut z, &q, &c);
    let y = apply(&z, "trace of the rest")?;
    let rest = panel::gram(&z, &y).diag().to_vec();
    let matvecs = 2 * count + q.k();
    // where the sketch is the whole space nothing is left but rounding
    let rest = if q.k() == n { vec![0.0; count] } else { rest };
    Ok((exact, rest, matvecs))
}

/// An orthonormal basis of the span, directions at the rounding level left out.
fn orthonormal(mut x: Vectors) -> Result<Vectors> {
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
        let samples = hutchinson(&operator, 4, 3, &[0..2, 2..4], random, &Silent).expect("finite");
        assert!(samples.trace.iter().all(|t| (t - 4.5).abs() < 1e-14));
        assert!(samples.frobenius_sq.iter().all(|t| (t - 30.25).abs() < 1e-13));
        assert!(samples.blocks[0].iter().all(|t| (t + 1.0).abs() < 1e-14));
        assert!(samples.diagonal_sq.iter().all(|t| (t - 30.25).abs() < 1e-13));
    }

    #[test]
    fn estimates_are_within_their_errors_and_the_sketch_helps() {
        let spectrum: Vec<f64> = (0..120).map(|i| if i < 6 { 50.0 / (i + 1) as f64 } else { 0.05 }).collect();
        let operator = with_spectrum(&spectrum, 4);
        let trace: f64 = spectrum.iter().sum();
        let random = &mut random::stream(3, 0, "trace");
        let samples = hutchinson(&operator, 60, 8, &[], random, &Silent).expect("finite");
        let (plain, plain_error) = stats::mean_and_error(&samples.trace).expect("many");
        assert!((plain - trace).abs() < 4.0 * plain_error);
        let (square, square_error) = stats::mean_and_error(&samples.frobenius_sq).expect("many");
        let truth: f64 = spectrum.iter().map(|x| x * x).sum();
        assert!((square - truth).abs() < 4.0 * square_error);
        let (exact, rest, matvecs) = hutch_plus_plus(&operator, 20, 8, random, &Silent).expect("finite");
        let (mean, error) = stats::mean_and_error(&rest).expect("many");
        assert!(matvecs <= 60 && error < plain_error / 20.0, "{error} {plain_error}");
        assert!((exact + mean - trace).abs() < 4.0 * error + 1e-9);
    }

    #[test]
    fn a_matrix_smaller_than_the_sketch_is_traced_exactly() {
        let operator = with_spectrum(&[3.0, -1.0, 2.0], 7);
        let random = &mut random::stream(3, 0, "trace");
        let (exact, rest, _) = hutch_plus_plus(&operator, 20, 8, random, &Silent).expect("finite");
        assert!((exact - 4.0).abs() < 1e-12 && rest.iter().all(|r| *r == 0.0));
    }
}
