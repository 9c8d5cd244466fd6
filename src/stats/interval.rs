//! Intervals: half-widths that hold the truth with a probability of 68%, one standard deviation's of a normal
//! distribution, however few the samples and however skewed.
//!
//! **Means.** Student's t, on the scale of the samples; for what is positive, and where five samples or more have one
//! sign, on that of their logarithm: squares of products with random probes and the like are skewed to the right, so
//! that a small mean comes with a small spread, and intervals on their own scale cover 56% for two samples of a χ² with
//! one degree of freedom and 63% for ten, on the logarithm's 67% and 70%. Of an interval that is not symmetric the
//! longer side is given.
//!
//! **Functions of means.** The jackknife's standard error times the same factor (Efron and Stein 1981, The Jackknife
//! Estimate of Variance).
//!
//! **Squares of means.** From pairs of different samples, which is unbiased. Where the mean is small beside its noise
//! the jackknife says up to twice the variance, so the parts that one sample and that a pair contribute are told
//! apart (Hoeffding 1948, A Class of Statistics with Asymptotically Normal Distribution); where the products of pairs
//! are not known, by [`share_of_jackknife`].

use std::sync::LazyLock;

use ndarray::Array2;

use super::{mean_and_error, student_factor};

/// The probability that an interval holds the truth: erf(1/√2).
const LEVEL: f64 = 0.682_689_492_137_086;

/// The half-width of an interval for the mean of `n` normal samples, in standard errors.
///
/// # Panics
/// For n < 2: a caller's mistake.
pub fn factor(n: usize) -> f64 {
    // worked out once: in training it is asked for at every step and tensor
    static KNOWN: LazyLock<Vec<f64>> = LazyLock::new(|| (2..=64).map(|n| student_factor(n, LEVEL)).collect());
    n.checked_sub(2).and_then(|i| KNOWN.get(i).copied()).unwrap_or_else(|| student_factor(n, LEVEL))
}

/// Samples that have one sign by chance where their mean is 0: one list in sixteen.
const FEW: usize = 5;

/// (mean, half-width) of independent samples; `None` for fewer than two.
pub fn of_mean(samples: &[f64]) -> Option<(f64, f64)> {
    let one_sign = samples.iter().all(|x| *x > 0.0) || samples.iter().all(|x| *x < 0.0);
    if one_sign && samples.len() >= FEW {
        return of_positive_mean(samples);
    }
    let (mean, error) = mean_and_error(samples)?;
    Some((mean, factor(samples.len()) * error))
}

/// The same of samples that cannot be negative (or cannot be positive).
pub fn of_positive_mean(samples: &[f64]) -> Option<(f64, f64)> {
    let (mean, error) = mean_and_error(samples)?;
    let relative = factor(samples.len()) * error / mean.abs();
    Some((mean, if error > 0.0 { mean.abs() * relative.exp_m1() } else { 0.0 }))
}

/// A function of samples, and what leaving out each in turn says of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Jackknife {
    /// f of all samples.
    pub value: f64,
    /// By how much that is expected to be too large, to first order.
    pub bias: f64,
    /// The half-width; `None` for fewer than two samples.
    pub half_width: Option<f64>,
}

impl Jackknife {
    /// Of f, which is given the positions of the samples to use, all `n` or all but one.
    pub fn of(n: usize, f: impl Fn(&[usize]) -> f64) -> Self {
        let all: Vec<usize> = (0..n).collect();
        let value = f(&all);
        let without = |out: usize| f(&all.iter().copied().filter(|i| *i != out).collect::<Vec<_>>());
        Jackknife::new(value, &(0..n).filter(|_| n > 1).map(without).collect::<Vec<_>>())
    }

    /// Of a value, and of what it is without each sample.
    pub fn new(value: f64, without: &[f64]) -> Self {
        let n = without.len() as f64;
        if without.len() < 2 {
            return Jackknife { value, bias: 0.0, half_width: None };
        }
        let mean = without.iter().sum::<f64>() / n;
        let spread: f64 = without.iter().map(|x| (x - mean).powi(2)).sum();
        let width = factor(without.len()) * (spread * (n - 1.0) / n).sqrt();
        let half_width = Some(width).filter(|width| width.is_finite());
        Jackknife { value, bias: (n - 1.0) * (mean - value), half_width }
    }
}

/// (‖μ‖², half-width) from the inner products `gram` of independent vectors of mean μ: without bias, so that it may
/// be negative; `None` for fewer than four vectors.
pub fn of_squared_mean(gram: &Array2<f64>) -> Option<(f64, f64)> {
    let count = gram.nrows();
    if count < 4 {
        return None;
    }
    let m = count as f64;
    let pairs = m * (m - 1.0) / 2.0;
    let others: Vec<f64> = (0..count).map(|i| gram.row(i).sum() - gram[[i, i]]).collect();
    let value = others.iter().sum::<f64>() / (2.0 * pairs);
    // with h(p, q) = ‖μ‖² + a(p) + a(q) + e(p, q): both spreads are sums of Var a and Var e
    let mean = others.iter().sum::<f64>() / m;
    let of_samples = others.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / ((m - 1.0) * (m - 2.0));
    let upper = (0..count).flat_map(|i| (i + 1..count).map(move |j| (i, j)));
    let of_pairs = upper.map(|place| (gram[place] - value).powi(2)).sum::<f64>() / pairs;
    let single = ((1.0 - 1.0 / pairs) * of_samples - of_pairs) * (m - 1.0) / ((m - 2.0) * (m - 3.0));
    let single = single.max(0.0);
    let pair = (of_samples - (m - 2.0) * single).max(0.0);
    Some((value, factor(count) * (4.0 * single / m + pair / pairs).sqrt()))
}

/// What the jackknife's error of ‖μ‖² is to be multiplied by where only the `n` samples' squared lengths and their
/// products with their mean are known: `signal` is y = n‖x̄‖²/tr Σ, 1 on average where μ = 0, and `directions` is
/// k = ‖x̄‖² tr Σ/x̄ᵀΣx̄, the inverse of the part of the noise that lies along the mean: their number where the noise is
/// the same in all, 1 where there is only one.
///
/// In units of a pair's variance the jackknife says y, and with many directions y − ½ is right. Few directions make
/// estimate and error depend on each other: both are small where the mean happens to be. With one of them, the square
/// of a normal number, unbiased variances hold half of the truths near y = 2 and the jackknife's 60%. So 3/k of a
/// pair's variance is left, all of the half where k ≤ 6 (fewer samples tell k less well, and leave less), and where k is
/// near 1 the jackknife's is made longer. From 8 samples on that holds 60 to 80% for any number of directions of equal
/// noise and any signal, and 63 to 76% for the gradients of a trained model, of whose many directions few have most of
/// the noise (simulated).
pub fn share_of_jackknife(n: usize, signal: f64, directions: f64) -> f64 {
    let n = n as f64;
    let known = (1.0 - 4.0 / n).max(0.0);
    let left = 3.0 * known / directions;
    let taken = n / (2.0 * (n - 1.0)) - left.clamp(0.0, 0.5);
    let added = 2.0 * known / (directions.max(1.0).powf(1.5) * (3.0 + signal));
    (1.0 + added - taken / signal).max(LEAST_SHARE).sqrt()
}

/// Of the jackknife's variance: less is left only where the mean is shorter than noise alone would make it.
const LEAST_SHARE: f64 = 0.25;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::{Random, stream};
    use rand_distr::{Distribution, StandardNormal};

    fn normal(random: &mut Random) -> f64 {
        StandardNormal.sample(random)
    }

    /// The share of 2000 draws whose interval holds the truth; 68% ± 3.1% is three standard errors.
    fn coverage(truth: f64, mut draw: impl FnMut(&mut Random) -> (f64, f64)) -> f64 {
        let random = &mut stream(7, 0, "coverage");
        let covers = |_: &i32| {
            let (value, half_width) = draw(random);
            (value - truth).abs() <= half_width
        };
        (0..2000).filter(covers).count() as f64 / 2000.0
    }

    #[test]
    fn means_are_covered_however_few_and_skewed_the_samples() {
        for n in [2, 3, 5, 10, 20, 40] {
            let positive = |samples: Vec<f64>| of_positive_mean(&samples).expect("two or more");
            let shifted = coverage(0.1, |r| {
                of_mean(&(0..n).map(|_| 0.1 + normal(r)).collect::<Vec<_>>()).expect("two or more")
            });
            let squares = coverage(1.0, |r| positive((0..n).map(|_| normal(r).powi(2)).collect()));
            let skewed = coverage(0.5f64.exp(), |r| positive((0..n).map(|_| normal(r).exp()).collect()));
            for found in [shifted, squares, skewed] {
                assert!((found - LEVEL).abs() < 0.06, "{n} samples: {found}");
            }
        }
    }

    #[test]
    fn squares_of_means_are_covered_with_and_without_signal() {
        for signal in [0.0, 0.02, 0.1, 1.0] {
            for n in [4, 8, 20] {
                let truth = 40.0 * signal * signal;
                let samples = |r: &mut Random| Array2::from_shape_fn((n, 40), |_| signal + normal(r));
                let found = coverage(truth, |r| {
                    let x = samples(r);
                    of_squared_mean(&x.dot(&x.t())).expect("four or more")
                });
                assert!((found - LEVEL).abs() < 0.07, "signal {signal}, {n} samples: {found}");
            }
        }
    }

    #[test]
    fn the_jackknife_of_a_mean_is_its_interval_and_finds_the_bias_of_a_square() {
        let samples = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
        let mean = |keep: &[usize]| keep.iter().map(|&i| samples[i]).sum::<f64>() / keep.len() as f64;
        let found = Jackknife::of(8, mean);
        let error = mean_and_error(&samples).expect("eight").1;
        assert!((found.half_width.expect("eight") / (factor(8) * error) - 1.0).abs() < 1e-12);
        assert!(found.bias.abs() < 1e-12);
        // ‖x̄‖² is too large by the squared error of the mean
        let square = Jackknife::of(8, |keep| mean(keep).powi(2));
        assert!((square.bias / error.powi(2) - 1.0).abs() < 1e-12);
        assert_eq!(Jackknife::of(1, |_| 1.0).half_width, None);
    }

    #[test]
    fn one_factor_is_one_standard_deviation_of_the_normal_distribution() {
        assert!((factor(100_000) - 1.0).abs() < 1e-4);
        // tables of Student's t: 1.837 for one degree of freedom
        assert!((factor(2) - 1.837).abs() < 1e-3);
        assert_eq!(factor(64), student_factor(64, LEVEL));
    }
}
