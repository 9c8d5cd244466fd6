//! Linear warmup, then half a cosine down to a floor.

use std::sync::Arc;

use super::{Rates, rate};
use crate::base::key::{Fallback, Key};
use crate::base::registry::Entry;
use crate::base::specification::Specification;
use crate::base::takes::Takes;

/// The line in the registry.
pub const ENTRY: Entry<dyn Rates> = Entry {
    name: "warmup-cosine",
    about: "linear warmup, update t at peak·t/warmup, then half a cosine from peak to min at update `steps`",
    source: "Loshchilov and Hutter, arXiv 1608.03983, behind the warmup of Goyal et al., arXiv 1706.02677",
    keys: &[
        Key::new("peak", Takes::NOT_NEGATIVE, Fallback::Value("1e-3"), "largest rate").formerly("peak"),
        Key::new("warmup", Takes::COUNT, Fallback::Value("100"), "updates of warmup").formerly("warmup"),
        Key::new("steps", Takes::COUNT, Fallback::Updates, "update at which the floor is reached")
            .formerly("decay"),
        Key::new("min", Takes::NOT_NEGATIVE, Fallback::Tenth("peak"), "the floor").formerly("min_lr"),
    ],
    make,
};

fn make(told: &Specification) -> Result<Arc<dyn Rates>, String> {
    let (peak, min) = (told.number("peak"), told.number("min"));
    if min > peak {
        return Err(format!("min {} is above the peak {}", rate(min), rate(peak)));
    }
    Ok(Arc::new(WarmupCosine { peak, warmup: told.whole("warmup"), steps: told.whole("steps"), min }))
}

/// Update t ≤ warmup uses peak·t/warmup, so that update `warmup` is the first at the peak (0: none); then a
/// cosine reaches `min` at update `steps` and stays there.
struct WarmupCosine {
    peak: f64,
    warmup: u64,
    steps: u64,
    min: f64,
}

impl Rates for WarmupCosine {
    fn lr(&self, t: u64) -> f64 {
        if t <= self.warmup {
            return self.peak * t as f64 / self.warmup as f64;
        }
        if t >= self.steps {
            return self.min;
        }
        // the first update after warmup is the first of the descent
        let progress = (t - self.warmup) as f64 / (self.steps - self.warmup) as f64;
        self.min + 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()) * (self.peak - self.min)
    }

    fn words(&self) -> String {
        let warmup = match self.warmup {
            0 => "no warmup".to_string(),
            updates => format!("warmup over {updates} updates"),
        };
        format!("peak {}, {warmup}, cosine to {} at update {}", rate(self.peak), rate(self.min), self.steps)
    }

    fn extended(&self, updates: u64, more: u64) -> String {
        let (from, end, floor) = (updates + 1, self.steps, rate(self.min));
        if end >= more {
            format!(
                "the schedule goes on as it was set, to its floor at update {end}, as if the run had not ended"
            )
        } else if end >= from {
            let then = end + 1;
            format!(
                "the cosine goes on to its floor at update {end}; updates {then} to {more} keep the learning rate {floor}"
            )
        } else {
            format!(
                "the cosine has ended at update {end}, so updates {from} to {more} keep its floor, the learning rate \
                 {floor}; in a run of {more} updates from the start it would end there"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_are_where_they_should_be() {
        let s = WarmupCosine { peak: 1.0, warmup: 10, steps: 110, min: 0.1 };
        assert_eq!((s.lr(1), s.lr(10), s.lr(110), s.lr(1000)), (0.1, 1.0, 0.1, 0.1));
        assert!((s.lr(60) - 0.55).abs() < 1e-15);
        assert!((11..110).all(|t| s.lr(t) < s.lr(t - 1)));
        let none = WarmupCosine { warmup: 0, ..s };
        assert!(none.lr(1) < 1.0 && none.lr(1) > 0.999);
    }

    #[test]
    fn a_longer_run_keeps_the_floor() {
        let s = WarmupCosine { peak: 1.0, warmup: 1, steps: 30, min: 0.1 };
        assert!(s.extended(10, 20).starts_with("the schedule goes on as it was set"));
        assert!(s.extended(10, 34).ends_with("updates 31 to 34 keep the learning rate 0.1"));
        assert!(s.extended(30, 34).contains("updates 31 to 34 keep its floor"));
    }
}
