//! The variance of Adam's adaptive rate, and RAdam's correction of it.
//!
//! **What.** With gradients N(0, σ²) the rate ψ = 1/√v̂_t is about scaled-inverse-χ with ρ_t degrees of
//! freedom, the length of the simple average that weighs squares as the exponential one does. Its
//! variance is largest at the first updates; RAdam multiplies the step by r_t, which makes it constant.
//!
//! **Formulas.** ρ_∞ = 2/(1−β2) − 1, ρ_t = ρ_∞ − 2 t β2^t/(1−β2^t);
//! r_t = √((ρ_t−4)(ρ_t−2)ρ_∞ / ((ρ_∞−4)(ρ_∞−2)ρ_t));
//! σ² Var ψ = ρ/(ρ−2) − ρ 2^(2ρ−5)/π · B((ρ−1)/2, (ρ−1)/2)².
//!
//! **Reference.** Liu et al. 2020, On the Variance of the Adaptive Learning Rate and Beyond,
//! arXiv 1908.03265. The paper rectifies where ρ_t > 4, its authors' code where ρ_t ≥ 5.

use statrs::function::beta::ln_beta;

/// (ρ_t, ρ_∞) of update t ≥ 1.
pub fn rho(beta2: f64, t: u64) -> (f64, f64) {
    let limit = 2.0 / (1.0 - beta2) - 1.0;
    let power = beta2.powf(t as f64);
    (limit - 2.0 * t as f64 * power / (1.0 - power), limit)
}

/// From which ρ_t on the step is rectified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Convention {
    /// ρ_t > 4, where the formula is defined.
    Paper,
    /// ρ_t ≥ 5, the published code.
    Code,
}

/// r_t, or `None` where the convention does not rectify yet (or, for β2 ≤ 0.6, never).
pub fn rectification(beta2: f64, t: u64, convention: Convention) -> Option<f64> {
    let (rho, limit) = rho(beta2, t);
    let begins = match convention {
        Convention::Paper => rho > 4.0,
        Convention::Code => rho >= 5.0,
    };
    let square = (rho - 4.0) * (rho - 2.0) * limit / ((limit - 4.0) * (limit - 2.0) * rho);
    (begins && square.is_finite()).then(|| square.sqrt())
}

/// σ² Var ψ for ρ degrees of freedom; `None` for ρ ≤ 2, where the variance is infinite.
pub fn variance_of_rate(rho: f64) -> Option<f64> {
    if rho <= 2.0 {
        return None;
    }
    let half = 0.5 * (rho - 1.0);
    let log = (2.0 * rho - 5.0) * std::f64::consts::LN_2 + 2.0 * ln_beta(half, half);
    Some(rho / (rho - 2.0) - rho * log.exp() / std::f64::consts::PI)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rectification_is_the_papers() {
        let table = [
            (0.999, 10, 0.048_998_01),
            (0.999, 100, 0.215_335_44),
            (0.999, 1000, 0.645_325_65),
            (0.99, 10, 0.155_165_26),
            (0.99, 100, 0.634_116_85),
            (0.95, 5, 0.118_139_75),
            (0.95, 6, 0.182_378_71),
            (0.95, 10, 0.348_420_48),
            (0.95, 100, 0.981_998_93),
            (0.9, 5, 0.156_110_76),
            (0.9, 10, 0.492_688_07),
        ];
        for (beta2, t, expected) in table {
            let r = rectification(beta2, t, Convention::Paper).expect("defined");
            assert!((r - expected).abs() < 1e-8, "{beta2} {t}: {r}");
        }
        for (beta2, limit) in [(0.9, 19.0), (0.95, 39.0), (0.98, 99.0), (0.99, 199.0), (0.999, 1999.0)] {
            assert!((rho(beta2, 1).1 / limit - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn the_two_conventions_begin_an_update_apart() {
        // ρ_5 = 4.995998 and ρ_6 = 5.994164 with β2 = 0.999
        assert!((rho(0.999, 5).0 - 4.995_998).abs() < 1e-6 && (rho(0.999, 6).0 - 5.994_164).abs() < 1e-6);
        let r = |t, convention| rectification(0.999, t, convention);
        assert_eq!(r(4, Convention::Paper), None);
        assert!((r(5, Convention::Paper).expect("begun") - 0.017_311_50).abs() < 1e-8);
        assert_eq!(r(5, Convention::Code), None);
        assert!((r(6, Convention::Code).expect("begun") - 0.025_821_11).abs() < 1e-8);
        assert_eq!(rectification(0.5, 1000, Convention::Code), None);
    }

    #[test]
    fn the_variance_is_the_tables() {
        let table = [
            (5.0, 0.251_956_06),
            (6.0, 0.174_640_60),
            (8.0, 0.106_148_70),
            (10.0, 0.075_545_96),
            (20.0, 0.030_424_08),
            (50.0, 0.010_793_60),
        ];
        for (rho, expected) in table {
            let found = variance_of_rate(rho).expect("finite");
            assert!((found - expected).abs() < 1e-8, "{rho}: {found}");
        }
        assert!((variance_of_rate(1999.0).expect("finite") / 2.505_95e-4 - 1.0).abs() < 1e-5);
        assert_eq!(variance_of_rate(2.0), None);
    }
}
