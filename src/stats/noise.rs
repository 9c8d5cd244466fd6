//! The noise of gradients: how much independent samples of a gradient differ, against what they share.
//! Longer than most because two thirds of it try its intervals on samples whose noise is known.
//!
//! For samples g_1 … g_n with mean ḡ, all of one distribution with mean G and covariance Σ,
//! tr Σ = Σ‖g_i − ḡ‖²/(n−1) and ‖G‖² = ‖ḡ‖² − tr Σ/n are unbiased; ‖ḡ‖² alone is too large. The signal-to-noise
//! ratio φ = ‖G‖²/tr Σ and the simple noise scale B = tr Σ/‖G‖² are ratios of the two, each estimated on its own:
//! a mean of ratios is biased. With inner products x·M y in place of x·y the same formulas give tr(MΣ) and GᵀMG.
//!
//! **Error.** 68% intervals from the jackknife over samples, of tr Σ on the logarithm's scale. Those of ‖G‖² and its
//! ratios are corrected for what the jackknife overstates where there is little signal, and understates where the noise
//! has few directions ([`interval::share_of_jackknife`]). How many it has the products with the mean tell: the variance
//! of g_i·ḡ is ḡᵀΣḡ, which is ‖ḡ‖² tr Σ where there is only one. B has no interval where ‖G‖² is not resolved: one
//! around 1/x has no end where that around x contains 0.
//!
//! References: McCandlish et al. 2018, An Empirical Model of Large-Batch Training, arXiv 1812.06162; Gray et al.
//! 2024, arXiv 2411.00999 (unbiased forms); Kosson, Messmer and Jaggi 2024, arXiv 2410.23922 (the ratio, and its
//! estimate from momentum).

use super::interval::{self, Jackknife};

/// Of n samples the inner products that everything else follows from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Moments {
    /// ‖g_i‖².
    own: Vec<f64>,
    /// g_i·ḡ.
    with_mean: Vec<f64>,
}

/// A number and its interval, where there are samples enough for one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The number.
    pub value: f64,
    /// The half-width of the interval.
    pub half_width: Option<f64>,
}

/// What the samples say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Noise {
    /// tr Σ.
    pub trace: Estimate,
    /// ‖G‖²; where there is hardly any signal, it may come out negative.
    pub mean_sq: Estimate,
    /// φ = ‖G‖²/tr Σ.
    pub phi: Estimate,
    /// B = tr Σ/‖G‖²; without an interval where it is not resolved.
    pub scale: Estimate,
    /// Whether ‖G‖² is positive by twice its half-width. φ and B mean nothing where it is not.
    pub resolved: bool,
    /// n.
    pub samples: usize,
}

impl Moments {
    /// Adds a sample with ‖g_i‖² and g_i·ḡ.
    pub fn push(&mut self, own: f64, with_mean: f64) {
        self.own.push(own);
        self.with_mean.push(with_mean);
    }

    /// Joins other coordinates of the same samples.
    ///
    /// # Panics
    /// Where the samples are not as many: a caller's mistake.
    pub fn add(&mut self, other: &Moments) {
        if self.own.is_empty() {
            *self = other.clone();
            return;
        }
        assert_eq!(self.own.len(), other.own.len());
        self.own.iter_mut().zip(&other.own).for_each(|(a, b)| *a += b);
        self.with_mean.iter_mut().zip(&other.with_mean).for_each(|(a, b)| *a += b);
    }

    /// Of what the samples are means of `size` draws each, the noise of one draw; `None` for fewer than two.
    pub fn noise(&self, size: f64) -> Option<Noise> {
        self.noise_with(size, self.share()?)
    }

    /// The same of moments in the metric of a matrix, which need not be positive: how much of it is signal, and of how
    /// many directions the noise, the moments `plain` of the same samples tell.
    pub fn noise_in_metric(&self, plain: &Moments) -> Option<Noise> {
        self.noise_with(1.0, plain.share()?)
    }

    /// What the jackknife's error of ‖G‖² is to be multiplied by; `None` for fewer than two samples.
    fn share(&self) -> Option<f64> {
        let (trace, square) = self.spread()?;
        let n = self.own.len() as f64;
        let along = self.with_mean.iter().map(|x| (x - square).powi(2)).sum::<f64>() / (n - 1.0);
        Some(interval::share_of_jackknife(
            self.own.len(),
            ratio(n * square, trace),
            ratio(square * trace, along),
        ))
    }

    /// (tr Σ of the samples, ‖ḡ‖²); `None` for fewer than two.
    fn spread(&self) -> Option<(f64, f64)> {
        let n = self.own.len() as f64;
        let square = self.with_mean.iter().sum::<f64>() / n;
        (n >= 2.0).then(|| ((self.own.iter().sum::<f64>() - n * square) / (n - 1.0), square))
    }

    /// `share` is that of the jackknife's error of ‖G‖² and its ratios.
    fn noise_with(&self, size: f64, share: f64) -> Option<Noise> {
        let (trace, square) = self.spread()?;
        let count = self.own.len();
        let n = count as f64;
        let total: f64 = self.own.iter().sum();
        // (tr Σ of one draw, ‖G‖²)
        let unbiased = |n: f64, trace: f64, square: f64| (trace * size, square - trace / n);
        let (trace, mean_sq) = unbiased(n, trace, square);
        let without: Vec<(f64, f64)> = (0..count)
            .filter(|_| count > 2)
            .map(|i| {
                let rest = n - 1.0;
                let square = (n * n * square - 2.0 * n * self.with_mean[i] + self.own[i]) / rest.powi(2);
                unbiased(rest, (total - self.own[i] - rest * square) / (rest - 1.0), square)
            })
            .collect();
        let estimate = |share: f64, of: &dyn Fn(f64, f64) -> f64| {
            let value = of(trace, mean_sq);
            let others: Vec<f64> = without.iter().map(|(trace, mean_sq)| of(*trace, *mean_sq)).collect();
            let half_width = Jackknife::new(value, &others).half_width.map(|width| share * width);
            Estimate { value, half_width }
        };
        let mean = estimate(share, &|_, mean_sq| mean_sq);
        let resolved = mean.half_width.is_some_and(|width| mean.value > 0.0 && mean.value >= 2.0 * width);
        let scale = estimate(share, &|trace, mean_sq| ratio(trace, mean_sq));
        // squared lengths are skewed, and a few long gradients may be most of their sum
        let (own, logarithm) = (estimate(1.0, &|trace, _| trace), estimate(1.0, &|trace, _| trace.ln()));
        let half_width = logarithm.half_width.map(|width| own.value * width.exp_m1()).or(own.half_width);
        Some(Noise {
            trace: Estimate { half_width, ..own },
            mean_sq: mean,
            phi: estimate(share, &|trace, mean_sq| ratio(mean_sq, trace)),
            scale: Estimate { half_width: scale.half_width.filter(|_| resolved), ..scale },
            resolved,
            samples: count,
        })
    }
}

/// a/b; 0 where there is nothing to divide by.
fn ratio(a: f64, b: f64) -> f64 {
    if b == 0.0 { 0.0 } else { a / b }
}

/// What momentum lets through of independent noise: the expected ‖m̂‖²/‖g‖² after `t` updates of gradients without
/// signal, c_t = (1−β)(1+β^t)/((1+β)(1−β^t)), where m̂ is bias-corrected. 1 at t = 1, (1−β)/(1+β) in the end.
pub fn momentum_factor(beta: f64, t: u64) -> f64 {
    let power = beta.powf(t as f64);
    (1.0 - beta) * (1.0 + power) / ((1.0 + beta) * (1.0 - power))
}

/// φ of a batch's gradient from r = ‖m̂‖²/E‖g‖² alone, (r − c_t)/(1 − r), and whether it means anything: after one
/// update momentum is the gradient, r = c_t = 1, and for r outside (c_t, 1) signal or noise come out negative.
pub fn phi_from_momentum(m_hat_sq: f64, gradient_sq: f64, beta: f64, t: u64) -> (f64, bool) {
    if t <= 1 {
        // 0/0, whatever rounding makes of it
        return (0.0, false);
    }
    let (r, c) = (ratio(m_hat_sq, gradient_sq), momentum_factor(beta, t));
    (ratio(r - c, 1.0 - r), c < r && r < 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::{Random, stream};
    use rand_distr::{Distribution, StandardNormal};

    fn normal(random: &mut Random) -> f64 {
        StandardNormal.sample(random)
    }

    fn moments(samples: &[Vec<f64>]) -> Moments {
        let n = samples.len() as f64;
        let mean: Vec<f64> =
            (0..samples[0].len()).map(|j| samples.iter().map(|g| g[j]).sum::<f64>() / n).collect();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let mut moments = Moments::default();
        samples.iter().for_each(|g| moments.push(dot(g, g), dot(g, &mean)));
        moments
    }

    /// Gaussian gradients of known mean and covariance.
    fn draw(mean: &[f64], deviation: &[f64], n: usize, random: &mut Random) -> Moments {
        let sample = |random: &mut Random| -> Vec<f64> {
            mean.iter().zip(deviation).map(|(m, s)| m + s * normal(random)).collect()
        };
        moments(&(0..n).map(|_| sample(random)).collect::<Vec<_>>())
    }

    #[test]
    fn gaussian_gradients_show_their_noise_scale_and_its_error() {
        let random = &mut stream(1, 0, "gradient noise");
        let mean: Vec<f64> = (0..20).map(|_| 0.5 * normal(random)).collect();
        let deviation: Vec<f64> = (0..20).map(|i| 0.5 + 0.15 * f64::from(i)).collect();
        let trace: f64 = deviation.iter().map(|s| s * s).sum();
        let square: f64 = mean.iter().map(|m| m * m).sum();
        let draws: Vec<Noise> =
            (0..4000).map(|_| draw(&mean, &deviation, 64, random).noise(1.0).expect("64")).collect();
        let average = |of: fn(&Noise) -> f64| draws.iter().map(of).sum::<f64>() / draws.len() as f64;
        let (found_trace, found_square) = (average(|d| d.trace.value), average(|d| d.mean_sq.value));
        // averages of 4000 draws are within four of their own standard errors
        let spread = |of: fn(&Noise) -> f64, mean: f64| {
            (draws.iter().map(|d| (of(d) - mean).powi(2)).sum::<f64>() / draws.len() as f64).sqrt()
        };
        let (spread_trace, spread_square) =
            (spread(|d| d.trace.value, found_trace), spread(|d| d.mean_sq.value, found_square));
        let few = 4.0 / (draws.len() as f64).sqrt();
        assert!((found_trace - trace).abs() < few * spread_trace, "{found_trace} {trace}");
        assert!((found_square - square).abs() < few * spread_square, "{found_square} {square}");
        assert!((found_trace / found_square / (trace / square) - 1.0).abs() < 0.02);
        // the mean of ratios is the biased one
        assert!(average(|d| d.scale.value) > found_trace / found_square);
        // half-widths are the spread they claim to be
        let claimed = |of: fn(&Noise) -> Estimate| {
            let squares = draws.iter().filter_map(|d| of(d).half_width).map(|w| w * w);
            (squares.sum::<f64>() / draws.len() as f64).sqrt() / interval::factor(64)
        };
        // (the trace's on the logarithm's scale is a little longer)
        assert!((claimed(|d| d.trace) / spread_trace - 1.0).abs() < 0.1);
        assert!((claimed(|d| d.mean_sq) / spread_square - 1.0).abs() < 0.1);
    }

    #[test]
    fn intervals_cover_from_no_signal_to_much() {
        let random = &mut stream(5, 0, "gradient noise");
        let deviation: Vec<f64> = (0..30).map(|i| 0.5 + 0.1 * f64::from(i)).collect();
        let trace: f64 = deviation.iter().map(|s| s * s).sum();
        for (signal, n) in [(0.0, 8), (0.3, 8), (1.0, 8), (0.3, 32), (2.0, 32)] {
            // the mean lies along the noise, as that of gradients does
            let mean: Vec<f64> = deviation.iter().map(|s| signal * s).collect();
            let phi = signal * signal;
            let draws: Vec<Noise> =
                (0..1000).map(|_| draw(&mean, &deviation, n, random).noise(1.0).expect("enough")).collect();
            let check = |name: &str, truth: f64, of: fn(&Noise) -> Estimate| {
                let covers = |d: &&Noise| (of(d).value - truth).abs() <= of(d).half_width.expect("enough");
                let found = draws.iter().filter(covers).count() as f64 / 1000.0;
                assert!((found - 0.683).abs() < 0.08, "signal {signal}, {n} samples, {name}: {found}");
            };
            check("trace", trace, |d| d.trace);
            check("mean", phi * trace, |d| d.mean_sq);
            check("ratio", phi, |d| d.phi);
            if draws.iter().all(|d| d.resolved) {
                check("scale", 1.0 / phi, |d| d.scale);
            }
        }
    }

    #[test]
    fn intervals_cover_however_few_the_directions() {
        let random = &mut stream(6, 0, "gradient noise");
        // the squared mean in units of what noise alone makes of it
        for (directions, n) in [(1, 8), (1, 128), (2, 8), (2, 64), (4, 32)] {
            for signal in [0.0, 0.3, 1.0, 3.0, 10.0] {
                let mean = vec![(signal / n as f64).sqrt(); directions];
                let phi = signal / n as f64;
                let draws: Vec<Noise> = (0..2000)
                    .map(|_| draw(&mean, &vec![1.0; directions], n, random).noise(1.0).expect("enough"))
                    .collect();
                let check = |name: &str, truth: f64, of: fn(&Noise) -> Estimate| {
                    let covers =
                        |d: &&Noise| (of(d).value - truth).abs() <= of(d).half_width.expect("enough");
                    let found = draws.iter().filter(covers).count() as f64 / 2000.0;
                    let place = format!("{directions} directions, {n} samples, signal {signal}");
                    // longer rather than shorter: equal directions are what real gradients do not have
                    assert!((0.583..0.815).contains(&found), "{place}, {name}: {found}");
                };
                check("mean", phi * directions as f64, |d| d.mean_sq);
                check("ratio", phi, |d| d.phi);
            }
        }
    }

    #[test]
    fn without_signal_nothing_is_resolved_and_without_noise_everything() {
        let random = &mut stream(2, 0, "gradient noise");
        let unresolved = (0..200)
            .filter(|_| !draw(&[0.0; 30], &[1.0; 30], 16, random).noise(1.0).expect("16").resolved)
            .count();
        assert!(unresolved >= 190, "{unresolved} of 200");
        let clear = draw(&[1.0; 30], &[0.1; 30], 16, random).noise(1.0).expect("16");
        assert!(clear.resolved && (clear.phi.value / 100.0 - 1.0).abs() < 0.3);
        let same = moments(&vec![vec![1.0, 2.0]; 4]).noise(1.0).expect("four");
        assert!(same.resolved && same.trace.value.abs() < 1e-12 && same.scale.value.abs() < 1e-12);
        assert_eq!(moments(&[vec![1.0]]).noise(1.0), None);
        assert!(!moments(&[vec![1.0], vec![1.5]]).noise(1.0).expect("two").resolved);
    }

    #[test]
    fn means_of_several_draws_tell_the_noise_of_one() {
        let random = &mut stream(3, 0, "gradient noise");
        let (mean, deviation) = ([0.3; 10], [0.5; 10]);
        let found: f64 = (0..2000)
            .map(|_| draw(&mean, &deviation, 8, random).noise(4.0).expect("eight").trace.value)
            .sum::<f64>()
            / 2000.0;
        assert!((found / (4.0 * 2.5) - 1.0).abs() < 0.02, "{found}");
    }

    #[test]
    fn momentum_alone_tells_the_signal_to_noise_ratio() {
        assert!((momentum_factor(0.9, 1) - 1.0).abs() < 1e-15);
        assert!((momentum_factor(0.9, 10_000).sqrt() - 0.2294).abs() < 5e-5);
        assert!((momentum_factor(0.98, 10_000).sqrt() - 0.1005).abs() < 5e-5);
        let random = &mut stream(4, 0, "gradient noise");
        let (beta, signal, dimension) = (0.9f64, 0.2, 4000);
        // φ = signal² d/d = 0.04, early and in the steady state
        for t in [5u64, 200] {
            let (mut m, mut square) = (vec![0.0; dimension], 0.0);
            for _ in 0..t {
                let g: Vec<f64> = (0..dimension).map(|_| signal + normal(random)).collect();
                m.iter_mut().zip(&g).for_each(|(m, g)| *m = beta * *m + (1.0 - beta) * g);
                square += g.iter().map(|g| g * g).sum::<f64>() / t as f64;
            }
            let correction = 1.0 - beta.powf(t as f64);
            let m_hat_sq = m.iter().map(|m| (m / correction).powi(2)).sum::<f64>();
            let (phi, resolved) = phi_from_momentum(m_hat_sq, square, beta, t);
            assert!(resolved && (phi - 0.04).abs() < 0.02, "t = {t}: {phi}");
        }
        let exact = |r: f64| phi_from_momentum(r, 1.0, beta, 1000).0;
        let c = momentum_factor(beta, 1000);
        assert!((exact((0.04 + c) / 1.04) - 0.04).abs() < 1e-12);
        assert_eq!(phi_from_momentum(3.0, 3.0, beta, 1), (0.0, false));
        assert!(!phi_from_momentum(0.01, 1.0, beta, 100).1 && !phi_from_momentum(1.2, 1.0, beta, 100).1);
    }
}
