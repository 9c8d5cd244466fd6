//! Quantiles of samples.

/// The quantiles of `samples` at `levels` (ascending, in 0 to 1), by linear interpolation between order
/// statistics: level q lies at position q (n − 1) of the sorted samples. Reorders the samples.
///
/// # Panics
/// Where there is no sample: a caller's mistake.
pub fn quantiles(samples: &mut [f64], levels: &[f64]) -> Vec<f64> {
    assert!(!samples.is_empty());
    let last = samples.len() - 1;
    // what lies before `sorted` is smaller than all that follows
    let mut sorted = 0;
    let mut at = |i: usize, samples: &mut [f64]| {
        if i >= sorted {
            samples[sorted..].select_nth_unstable_by(i - sorted, f64::total_cmp);
            sorted = i;
        }
        samples[i]
    };
    levels
        .iter()
        .map(|level| {
            let position = level.clamp(0.0, 1.0) * last as f64;
            let low = position.floor() as usize;
            let (below, above) = (at(low, samples), at((low + 1).min(last), samples));
            below + (above - below) * (position - low as f64)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_agree_with_sorting() {
        let samples: Vec<f64> = (0..101).map(|i| f64::from(i * 37 % 101)).collect();
        let levels = [0.0, 0.005, 0.01, 0.25, 0.5, 0.505, 0.99, 1.0];
        let found = quantiles(&mut samples.clone(), &levels);
        for (found, level) in found.iter().zip(levels) {
            assert!((found - 100.0 * level).abs() < 1e-12, "{level}: {found}");
        }
        assert_eq!(quantiles(&mut [3.0], &levels), [3.0; 8]);
        assert_eq!(quantiles(&mut [2.0, 1.0], &[0.5]), [1.5]);
    }
}
