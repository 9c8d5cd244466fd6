//! Quantiles of positive numbers without sorting.
//!
//! **Estimator.** A number's bin is its exponent and the first four bits of its mantissa, so bins are
//! 1/16 of an octave to 1/32 of their own value wide, whatever the scale. A quantile is interpolated
//! inside its bin; the truth lies in the same bin, half of which is given as the error.
//!
//! **Cost.** One pass; bins of two lists add, so parts join to a whole.

/// Bits below exponent and four bits of mantissa.
const SHIFT: u32 = 48;
/// Bins of numbers that are not negative.
const BINS: usize = 1 << (63 - SHIFT);
/// Bins added up at a time.
const GROUP: usize = 64;

/// Counts of numbers by magnitude.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Vec<u32>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { counts: vec![0; BINS], total: 0 }
    }
}

impl Histogram {
    /// Counts `x` ≥ 0.
    #[inline]
    pub fn add(&mut self, x: f64) {
        self.counts[((x.to_bits() >> SHIFT) as usize).min(BINS - 1)] += 1;
        self.total += 1;
    }

    /// Counts what `other` counted.
    pub fn join(&mut self, other: &Histogram) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(a, b)| *a += b);
        self.total += other.total;
    }

    /// How many numbers.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// (the quantile of `level` in [0, 1], half the width of its bin); `None` where nothing was counted.
    pub fn quantile(&self, level: f64) -> Option<(f64, f64)> {
        // the rank counted from 0, as of a sorted list
        let rank = level * self.total.checked_sub(1)? as f64;
        let mut below = 0u64;
        for (group, counts) in self.counts.chunks(GROUP).enumerate() {
            // most bins are empty, and whole groups add up fast
            let next = below + counts.iter().map(|count| u64::from(*count)).sum::<u64>();
            if rank < next as f64 {
                return Some(inside(group * GROUP, counts, rank, below));
            }
            below = next;
        }
        None
    }
}

/// Of rank `rank` among the numbers counted in the bins `counts` from `first` on, with `below` before them.
fn inside(first: usize, counts: &[u32], rank: f64, mut below: u64) -> (f64, f64) {
    let mut at = 0;
    while at + 1 < counts.len() && rank >= (below + u64::from(counts[at])) as f64 {
        below += u64::from(counts[at]);
        at += 1;
    }
    let bin = first + at;
    if bin == 0 {
        return (0.0, 0.0);
    }
    let (low, high) = (f64::from_bits((bin as u64) << SHIFT), f64::from_bits((bin as u64 + 1) << SHIFT));
    let share = (rank - below as f64 + 0.5) / f64::from(counts[at]);
    (low + share.min(1.0) * (high - low), 0.5 * (high - low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_their_error_at_any_scale() {
        for scale in [1e-30, 1e-9, 1.0, 1e12] {
            let list: Vec<f64> = (1..=1001).map(|i| scale * (f64::from(i) / 100.0).exp()).collect();
            let (mut left, mut right) = (Histogram::default(), Histogram::default());
            list.iter().enumerate().for_each(|(i, x)| if i % 3 == 0 { left.add(*x) } else { right.add(*x) });
            left.join(&right);
            for level in [0.0, 0.01, 0.25, 0.5, 0.9, 1.0] {
                let (value, error) = left.quantile(level).expect("counted");
                let truth = list[(level * 1000.0) as usize];
                assert!((value - truth).abs() <= 2.0 * error && error < 0.04 * truth, "{scale} {level}");
            }
        }
        assert_eq!(Histogram::default().quantile(0.5), None);
        let mut zeros = Histogram::default();
        zeros.add(0.0);
        assert_eq!(zeros.quantile(0.5), Some((0.0, 0.0)));
    }
}
