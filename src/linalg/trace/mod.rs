//! Trace, Frobenius norm and diagonal of a matrix from its products with a Krylov basis and with random signs.
//!
//! **What.** A block Krylov basis Q from a random start catches the eigenvalues that stand out; what A does on its span
//! is known exactly from the products that made it. The rest R = (I − QQᵀ) A (I − QQᵀ) is estimated with vectors z of
//! independent signs: z∘(R z) has mean diag R, so its sum is an estimate of tr R and its sum over a block's
//! coordinates one of that block's share; and ‖A‖_F² = ‖A Q‖_F² + E ‖A (I − QQᵀ) z‖². With d = diag A of several
//! probes, Σ A_ii² is estimated without bias from the products of different ones.
//!
//! **Error.** What remains to be estimated has no outliers, so that ten probes make a fair interval: a plain ‖A z‖² is
//! dominated by the few largest eigenvalues and skewed like χ² with as many degrees of freedom. A probe's variance is
//! 2(‖R‖_F² − Σ R_ii²) for the trace, Σ over a block's coordinates i and all j ≠ i of R_ij² for its share.
//!
//! **Cost.** 4·count products: half of them make the basis, half are probes.
//!
//! References: Hutchinson 1990; Meyer, Musco, Musco and Woodruff 2021, Hutch++, arXiv 2010.09649 (the split in an exact
//! and an estimated part); Chen and Hallman 2022, Krylov-Aware Stochastic Trace Estimation, arXiv 2205.01736 (the basis).

mod basis;

use std::ops::Range;

use basis::{Basis, project};
use ndarray::Array2;

use super::operator::{LinearOperator, Products};
use super::{panel, probes};
use crate::base::error::Result;
use crate::base::observer::Observer;
use crate::base::random::Random;
use crate::base::values::Values;
use crate::base::vectors::Vectors;

/// An estimate of which a part is exact.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Estimate {
    /// On the vectors that were chosen.
    pub exact: f64,
    /// One sample per probe of what is left.
    pub samples: Vec<f64>,
}

/// What basis and probes say of a matrix.
#[derive(Debug, Clone)]
pub struct Traces {
    /// tr A.
    pub trace: Estimate,
    /// ‖A‖_F².
    pub frobenius_sq: Estimate,
    /// Per range Σ A_ii over its coordinates.
    pub blocks: Vec<Estimate>,
    /// d·d′ of the probes' estimates of diag A.
    pub diagonals: Array2<f64>,
    /// Products spent.
    pub matvecs: usize,
}

/// Vectors of length n that [`traces`] with `count` holds beside a product.
pub const fn held(count: usize) -> usize {
    4 * count + 2
}

/// Of 2·`count` vectors in the basis and as many probes, `group` products at a time; block sums over `ranges`.
///
/// # Errors
/// Where a product or LAPACK fails or the observer was told to stop.
pub fn traces(
    operator: &dyn LinearOperator,
    count: usize,
    group: usize,
    ranges: &[Range<usize>],
    random: &mut Random,
    observer: &dyn Observer,
) -> Result<Traces> {
    let (n, products) = (operator.n(), Products::new(operator));
    let (wanted, group) = ((2 * count).min(n), group.max(1));
    let apply = |x: &Vectors, done: usize| -> Result<Vectors> {
        let mut out = Vectors::zeros(0, n, x.dtype());
        for start in (0..x.k()).step_by(group) {
            observer.check()?;
            observer.progress((done + start) as u64, 2 * wanted as u64, "products for trace and norm");
            out.append(&products.of(&x.slice(start..x.k().min(start + group)))?);
        }
        Ok(out)
    };
    let basis = Basis::new(operator, wanted, apply, random)?;
    let q = &basis.q;
    let mut traces = Traces {
        trace: Estimate { exact: basis.t.diag().sum(), samples: vec![] },
        frobenius_sq: Estimate { exact: basis.norm_sq, samples: vec![] },
        blocks: vec![Estimate::default(); ranges.len()],
        diagonals: Array2::zeros((0, 0)),
        matvecs: 0,
    };
    for (range, block) in ranges.iter().zip(&mut traces.blocks) {
        block.exact = basis.diagonal[range.clone()].iter().sum();
    }
    let whole = q.k() == n;
    if whole {
        traces.matvecs = products.spent();
        // nothing is left but rounding
        let none = |estimate: &mut Estimate| estimate.samples = vec![0.0; wanted.max(2)];
        none(&mut traces.trace);
        none(&mut traces.frobenius_sq);
        traces.blocks.iter_mut().for_each(none);
        let square: f64 = basis.diagonal.iter().map(|d| d * d).sum();
        traces.diagonals = Array2::from_elem((wanted.max(4), wanted.max(4)), square);
        return Ok(traces);
    }
    let mut diagonals = Vectors::with_capacity(wanted, n, operator.dtype());
    for start in (0..wanted).step_by(group) {
        // one by one, so that the probes do not depend on the group
        let mut z = Vectors::zeros(0, n, operator.dtype());
        for _ in start..wanted.min(start + group) {
            z.append(&probes::rademacher(1, n, operator.dtype(), random));
        }
        let mut outside = z.clone();
        project(&mut outside, q);
        let mut y = apply(&outside, q.k() + start)?;
        drop(outside);
        traces.frobenius_sq.samples.extend(panel::norms(&y).iter().map(|norm| norm * norm));
        project(&mut y, q);
        for i in 0..z.k() {
            let rest: Vec<f64> = z.row(i).iter().zip(y.row(i)).map(|(z, y)| z * y).collect();
            traces.trace.samples.push(rest.iter().sum());
            for (range, block) in ranges.iter().zip(&mut traces.blocks) {
                block.samples.push(rest[range.clone()].iter().sum());
            }
            let estimate = rest.iter().zip(&basis.diagonal).map(|(rest, exact)| rest + exact).collect();
            diagonals.append(&Vectors::new(Values::F64(estimate).cast(operator.dtype()), n));
        }
    }
    traces.diagonals = panel::gram(&diagonals, &diagonals);
    traces.matvecs = products.spent();
    Ok(traces)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::observer::Silent;
    use crate::base::random;
    use crate::base::values::DType;
    use crate::linalg::operator::DenseOperator;
    use crate::linalg::prescribed::with_spectrum;
    use crate::stats::interval;

    /// A dense matrix that computes in f32.
    struct Single(DenseOperator);

    impl LinearOperator for Single {
        fn n(&self) -> usize {
            self.0.n()
        }

        fn dtype(&self) -> DType {
            DType::F32
        }

        fn apply(&self, x: &Vectors) -> Result<Vectors> {
            let wide = Vectors::new(x.values().clone().cast(DType::F64), x.n());
            let y = self.0.apply(&wide)?;
            Ok(Vectors::new(y.into_values().cast(DType::F32), x.n()))
        }
    }

    fn whole(estimate: &Estimate) -> (f64, f64) {
        let (mean, half_width) = interval::of_mean(&estimate.samples).expect("several");
        (estimate.exact + mean, half_width)
    }

    fn estimate(operator: &dyn LinearOperator, count: usize, ranges: &[Range<usize>], seed: u64) -> Traces {
        let random = &mut random::stream(seed, 0, "trace");
        traces(operator, count, 8, ranges, random, &Silent).expect("finite")
    }

    /// A few outliers over a bulk around 0.
    fn spectrum() -> Vec<f64> {
        (0..120).map(|i| if i < 6 { 50.0 / (i + 1) as f64 } else { 0.05 * (i as f64).sin() }).collect()
    }

    #[test]
    fn outliers_are_exact_and_the_rest_is_as_uncertain_as_it_says_in_both_precisions() {
        let spectrum = spectrum();
        let dense = with_spectrum(&spectrum, 4);
        let (trace, norm) = (spectrum.iter().sum::<f64>(), spectrum.iter().map(|x| x * x).sum::<f64>());
        let single = Single(DenseOperator { matrix: dense.matrix.clone() });
        for operator in [&dense as &dyn LinearOperator, &single] {
            let found = estimate(operator, 10, &[], 3);
            assert_eq!(found.matvecs, 40);
            let rounding = operator.dtype().epsilon() * 10.0;
            let ((sum, error), (square, square_error)) = (whole(&found.trace), whole(&found.frobenius_sq));
            assert!((sum - trace).abs() < 4.0 * error + rounding * trace, "{sum} ± {error}: {trace}");
            assert!(
                (square - norm).abs() < 4.0 * square_error + rounding * norm,
                "{square} ± {square_error}"
            );
            // without the basis a probe's deviation is √2·‖A‖ for the trace, and √(2 Σ λ⁴) for the norm
            let plain = (2.0 * norm / 40.0).sqrt();
            assert!(error < plain / 50.0, "{error} {plain}");
            let plain = (2.0 * spectrum.iter().map(|x| x.powi(4)).sum::<f64>() / 40.0).sqrt();
            assert!(square_error < plain / 1000.0, "{square_error} {plain}");
        }
    }

    #[test]
    fn blocks_add_up_to_the_trace_and_a_diagonal_matrix_has_no_error() {
        let operator = with_spectrum(&spectrum(), 4);
        let found = estimate(&operator, 4, &[0..50, 50..120], 1);
        let sums = |i: usize| found.blocks.iter().map(|block| block.samples[i]).sum::<f64>();
        assert!((0..8).all(|i| (sums(i) - found.trace.samples[i]).abs() < 1e-12));
        let exact: f64 = found.blocks.iter().map(|block| block.exact).sum();
        assert!((exact - found.trace.exact).abs() < 1e-9);

        let diagonal: Vec<f64> = (0..60).map(|i| (i as f64 - 20.0) / 7.0).collect();
        let operator = DenseOperator { matrix: Array2::from_diag(&ndarray::Array1::from(diagonal.clone())) };
        let found = estimate(&operator, 3, &[0..20, 20..60], 1);
        let truth: f64 = diagonal[..20].iter().sum();
        let (block, half_width) = whole(&found.blocks[0]);
        // the basis turns the rest, so it is no longer diagonal; its probes still hold the truth
        assert!((block - truth).abs() <= 4.0 * half_width, "{block} ± {half_width}: {truth}");
    }

    #[test]
    fn squares_of_the_diagonal_are_unbiased_and_their_interval_holds() {
        let operator = with_spectrum(&spectrum(), 4);
        let truth: f64 = operator.matrix.diag().iter().map(|d| d * d).sum();
        let found: Vec<(f64, f64)> = (0..60)
            .map(|seed| {
                interval::of_squared_mean(&estimate(&operator, 4, &[], seed).diagonals).expect("eight")
            })
            .collect();
        let covered = found.iter().filter(|(value, width)| (value - truth).abs() <= *width).count();
        // 68% of them, and three binomial standard errors
        assert!((30..=52).contains(&covered), "{covered} of 60");
        let mean = found.iter().map(|(value, _)| value).sum::<f64>() / 60.0;
        let typical = found.iter().map(|(_, width)| width).sum::<f64>() / 60.0;
        assert!((mean - truth).abs() < 4.0 * typical / 60f64.sqrt(), "{mean} {truth} {typical}");
    }

    #[test]
    fn what_the_basis_holds_whole_is_exact_and_scale_does_not_matter() {
        let small = with_spectrum(&[3.0, -1.0, 2.0], 7);
        let found = estimate(&small, 20, &[0..1, 1..3], 3);
        assert!((found.trace.exact - 4.0).abs() < 1e-12 && found.trace.samples.iter().all(|r| *r == 0.0));
        assert!((found.frobenius_sq.exact - 14.0).abs() < 1e-12);
        let diagonal = small.matrix.diag();
        assert!((found.blocks[0].exact - diagonal[0]).abs() < 1e-12);
        let square = interval::of_squared_mean(&found.diagonals).expect("enough");
        assert!((square.0 - diagonal.dot(&diagonal)).abs() < 1e-12 && square.1 == 0.0);

        // two directions in a space of 100: the basis ends there
        let rank2: Vec<f64> = (0..100).map(|i| if i < 2 { 1.0 + i as f64 } else { 0.0 }).collect();
        for scale in [1e-30, 1.0, 1e30] {
            let operator = with_spectrum(&rank2.iter().map(|x| scale * x).collect::<Vec<_>>(), 2);
            let found = estimate(&operator, 10, &[], 5);
            let (trace, width) = whole(&found.trace);
            assert!((trace / (3.0 * scale) - 1.0).abs() < 1e-12 && width <= 1e-9 * scale, "{trace} {width}");
        }
    }
}
