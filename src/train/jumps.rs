//! When the loss of an update jumps: a spike, a divergence, a bad batch.
//!
//! The loss is compared with the median of the losses before it, at most 32 and at least 8: it jumps where it lies more
//! than 8 robust standard deviations above, a robust standard deviation being 1.4826 times the median distance from
//! the median (what it is of normal noise) and at least half a percent of the median, so that a run without noise is
//! not all jumps. One excursion is one jump: the next is seen when the loss has been within 4 of the median again, or
//! has stayed up for as long as the window is, and so is the new normal.
//!
//! The rule is a function of the losses alone, so that a resumed run, which reads them in its log, goes on with it.

use std::collections::VecDeque;

/// Losses remembered.
const WINDOW: usize = 32;
/// Losses before which nothing is said.
const LEAST: usize = 8;
/// Robust standard deviations of a jump.
const JUMP: f64 = 8.0;
/// Within how many of them it is over.
const OVER: f64 = 4.0;
/// Least robust standard deviation, as a share of the median.
const FLOOR: f64 = 0.005;
/// The standard deviation of normal noise in units of its median distance from the median.
const NORMAL: f64 = 1.4826;

/// The losses so far, as far as the rule needs them.
#[derive(Debug, Clone, Default)]
pub struct Jumps {
    recent: VecDeque<f64>,
    /// Updates since the last jump, while it is not over.
    since: Option<usize>,
}

impl Jumps {
    /// Hears the next update's loss; where it jumps, by how many robust standard deviations.
    pub fn hear(&mut self, loss: f64) -> Option<f64> {
        let height = self.height(loss);
        self.recent.push_back(loss);
        if self.recent.len() > WINDOW {
            self.recent.pop_front();
        }
        self.since = self.since.map(|since| since + 1).filter(|since| height > OVER && *since < WINDOW);
        let jumps = height > JUMP && self.since.is_none();
        if jumps {
            self.since = Some(0);
        }
        jumps.then_some(height)
    }

    /// How far a loss lies above the median, in robust standard deviations.
    fn height(&self, loss: f64) -> f64 {
        if self.recent.len() < LEAST {
            return 0.0;
        }
        let center = median(self.recent.iter().copied());
        let spread = NORMAL * median(self.recent.iter().map(|x| (x - center).abs()));
        (loss - center) / spread.max(FLOOR * center.abs())
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use rand_distr::{Distribution, StandardNormal};

    use super::*;
    use crate::base::random;

    fn jumps(losses: impl IntoIterator<Item = f64>) -> Vec<usize> {
        let mut jumps = Jumps::default();
        losses.into_iter().enumerate().filter_map(|(i, loss)| jumps.hear(loss).map(|_| i)).collect()
    }

    /// A loss that falls with noise, as training's does.
    fn falling(seed: u64, noise: f64) -> impl Iterator<Item = f64> {
        let mut random = random::stream(seed, 0, "losses");
        (0..400).map(move |t| {
            let z: f64 = StandardNormal.sample(&mut random);
            3.0 + 7.0 * (-f64::from(t) / 60.0).exp() + noise * z
        })
    }

    #[test]
    fn noise_and_descent_are_no_jumps() {
        for seed in 0..50 {
            assert!(jumps(falling(seed, 0.05)).is_empty(), "seed {seed}");
            assert!(jumps(falling(seed, 0.3)).is_empty(), "seed {seed}");
        }
        assert!(
            jumps([2.0; 100]).is_empty() && jumps((0..100).map(|t| 2.0 + 0.001 * f64::from(t))).is_empty()
        );
    }

    #[test]
    fn an_excursion_is_one_jump_and_a_new_level_becomes_normal() {
        let raised = |from: usize, to: usize| {
            falling(7, 0.05).enumerate().map(move |(t, x)| if (from..to).contains(&t) { x + 2.0 } else { x })
        };
        assert_eq!(jumps(raised(200, 201)), [200]);
        assert_eq!(jumps(raised(200, 215)), [200]);
        assert_eq!(jumps(raised(200, 400)), [200]);
        let twice =
            raised(200, 205).enumerate().map(|(t, x)| if (260..262).contains(&t) { x + 1.5 } else { x });
        assert_eq!(jumps(twice), [200, 260]);
        // nothing is normal yet
        assert!(jumps([3.0, 3.0, 9.0, 3.0]).is_empty());
    }
}
