//! Linear warmup, then half a cosine down to a floor.

use serde::{Deserialize, Serialize};

use super::Schedule;

/// Update t ≤ warmup uses peak·t/warmup, so that update `warmup` is the first at the peak (0: none); then a
/// cosine reaches `min_lr` at update `decay` and stays there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct WarmupCosine {
    /// Largest rate.
    pub peak: f64,
    /// Updates of warmup.
    pub warmup: u64,
    /// The update at which the floor is reached.
    pub decay: u64,
    /// The floor.
    pub min_lr: f64,
}

impl Schedule for WarmupCosine {
    fn lr(&self, t: u64) -> f64 {
        if t <= self.warmup {
            return self.peak * t as f64 / self.warmup as f64;
        }
        if t >= self.decay {
            return self.min_lr;
        }
        // the first update after warmup is the first of the descent
        let progress = (t - self.warmup) as f64 / (self.decay - self.warmup) as f64;
        self.min_lr + 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()) * (self.peak - self.min_lr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_are_where_they_should_be() {
        let s = WarmupCosine { peak: 1.0, warmup: 10, decay: 110, min_lr: 0.1 };
        assert_eq!((s.lr(1), s.lr(10), s.lr(110), s.lr(1000)), (0.1, 1.0, 0.1, 0.1));
        assert!((s.lr(60) - 0.55).abs() < 1e-15);
        assert!((11..110).all(|t| s.lr(t) < s.lr(t - 1)));
        let none = WarmupCosine { warmup: 0, ..s };
        assert!(none.lr(1) < 1.0 && none.lr(1) > 0.999);
    }
}
