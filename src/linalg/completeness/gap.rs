//! The products that see an eigenvalue beyond a list, and the gap that so many see: γ, as the [module](super) has it.

/// ln(160 √n): e to it is 2√n over the |z| that is undercut once in a hundred times.
fn depth(n: usize) -> f64 {
    (160.0 * (n as f64).sqrt()).ln()
}

/// Products of a check at the least.
pub fn least(n: usize) -> usize {
    8.max((1.5 * (n as f64).ln()).ceil() as usize)
}

/// Products that see an eigenvalue with this γ with 99% probability.
pub fn products(n: usize, gamma: f64) -> usize {
    // acosh(1 + 2γ), without cancellation
    let rate = 2.0 * gamma.max(f64::MIN_POSITIVE).sqrt().asinh();
    (0.5 + depth(n) / rate).min(n as f64).ceil() as usize
}

/// The γ above which so many products see an eigenvalue with 99% probability.
pub fn gamma(n: usize, products: usize) -> f64 {
    (depth(n) / (products as f64 - 0.5) / 2.0).sinh().powi(2)
}

/// The gap γ that Ritz values show at the end of a list: between its last value and the next ones on either side that
/// are told apart from it, inside the list by more than `near`, behind it by more than their own residuals too. The list
/// and the Ritz values with their residuals behind it go from the end of the spectrum inwards. `None` where none is.
pub fn shown(list: &[f64], rest: &[(f64, f64)], near: f64) -> Option<f64> {
    let (last, (far, _)) = (*list.last()?, *rest.last()?);
    let apart = |x: f64, residual: f64| Some((x - last).abs()).filter(|gap| *gap > residual.max(near));
    let outside = list.iter().rev().find_map(|x| apart(*x, near));
    let inside = rest.iter().find_map(|(x, residual)| apart(*x, *residual))?;
    Some(outside.map_or(inside, |outside| outside.min(inside)) / (last - far).abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effort_and_gap_are_each_others_inverse() {
        for n in [2, 100, 1_000_000] {
            for m in [8, 21, 60] {
                assert!(products(n, gamma(n, m) * (1.0 + 1e-9)) <= m);
                assert!((gamma(n, m) * 0.98 > 0.0) && products(n, gamma(n, m) * 0.98) >= m.min(n));
                // the formula as it is written
                let written = 0.5 + depth(n) / (1.0 + 2.0 * gamma(n, m)).acosh();
                assert!((written - m as f64).abs() < 1e-6, "{written} {m}");
            }
        }
        assert_eq!((least(1), least(1000), least(1_000_000)), (8, 11, 21));
        // {12, 12, 10.5} over a bulk in ±9
        assert_eq!(products(1_000_000, 1.5 / 19.5), 23);
        assert_eq!(shown(&[12.0, 10.5], &[(9.0, 0.2), (0.0, 2.0), (-9.0, 0.1)], 0.01), Some(1.5 / 19.5));
    }

    #[test]
    fn gaps_within_the_tolerance_are_none() {
        let exact = |values: &[f64]| values.iter().map(|x| (*x, 0.0)).collect::<Vec<_>>();
        assert_eq!(shown(&[5.0, 4.0, 4.0], &exact(&[4.0, 3.5, 0.0]), 0.1), Some(0.5 / 4.0));
        assert_eq!(shown(&[5.0, 4.9], &exact(&[4.0, 0.0]), 0.05), Some((5.0 - 4.9) / 4.9));
        // a Ritz value that may as well be the same shows none
        assert_eq!(shown(&[4.0], &[(3.9, 0.5), (3.0, 0.5), (0.0, 0.1)], 0.1), Some(0.25));
        assert_eq!(shown(&[4.0], &exact(&[4.0, 4.0]), 0.1), None);
        assert_eq!(shown(&[4.0], &[], 0.1), None);
        assert_eq!(shown(&[], &exact(&[1.0]), 0.1), None);
    }
}
