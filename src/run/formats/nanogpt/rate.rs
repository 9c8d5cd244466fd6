//! The learning rate of the last update, which a checkpoint does not store.
//!
//! It follows from the schedule in `config`, where that gives the stored rate of the next update. nanoGPT has
//! had two laws of warmup and its forks a third; the stored rate tells them apart. Where none gives it the
//! rate is not known.

use crate::run::pytorch::TorchFile;

/// The part of train.py's settings that says which rate the last update used.
#[derive(Debug, Clone)]
pub struct Schedule {
    pub learning_rate: f64,
    pub warmup_iters: f64,
    pub lr_decay_iters: f64,
    pub min_lr: f64,
    pub decay_lr: bool,
}

/// Laws of warmup, as what is added to the iteration and to the warmup's length: (it+1)/(W+1) since December
/// 2024, it/W before, (it+1)/W in build-nanogpt and others.
const LAWS: [(f64, f64); 3] = [(1.0, 1.0), (0.0, 0.0), (1.0, 0.0)];

/// A stored rate may have been rounded to single precision.
const CLOSE: f64 = 1e-6;

impl Schedule {
    /// The schedule in a checkpoint's `config`.
    pub fn of(file: &TorchFile) -> Option<Self> {
        let config = file.find(&["config"])?;
        let number = |name: &str| file.number(file.pickle().get(config, name)?);
        let decay_lr = file.pickle().get(config, "decay_lr").and_then(|id| file.truth(id));
        Some(Schedule {
            learning_rate: number("learning_rate")?,
            warmup_iters: number("warmup_iters").unwrap_or(0.0),
            lr_decay_iters: number("lr_decay_iters").unwrap_or(0.0),
            min_lr: number("min_lr").unwrap_or(0.0),
            decay_lr: decay_lr.unwrap_or(true),
        })
    }

    /// The rate of update `iter_num`−1, by the law whose rate of update `iter_num` is the stored one.
    pub fn last_rate(&self, iter_num: u64, stored: f64) -> Option<f64> {
        let last = iter_num.checked_sub(1)?;
        let miss = |law: &(f64, f64)| Some((self.rate(iter_num, *law)? - stored).abs());
        let mut best: Option<(f64, (f64, f64))> = None;
        for law in LAWS {
            if let Some(miss) = miss(&law).filter(|miss| *miss <= CLOSE * stored.abs())
                && best.is_none_or(|(least, _)| miss < least)
            {
                best = Some((miss, law));
            }
        }
        self.rate(last, best?.1)
    }

    /// The rate of iteration `it`; `None` where the schedule divides by zero.
    fn rate(&self, it: u64, (shift, longer): (f64, f64)) -> Option<f64> {
        let (peak, warmup, decay) = (self.learning_rate, self.warmup_iters, self.lr_decay_iters);
        let it = it as f64;
        let rate = if !self.decay_lr {
            peak
        } else if it < warmup {
            peak * (it + shift) / (warmup + longer)
        } else if it > decay {
            self.min_lr
        } else {
            let progress = (it - warmup) / (decay - warmup);
            self.min_lr + 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()) * (peak - self.min_lr)
        };
        rate.is_finite().then_some(rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule() -> Schedule {
        Schedule {
            learning_rate: 1e-3,
            warmup_iters: 100.0,
            lr_decay_iters: 2000.0,
            min_lr: 1e-4,
            decay_lr: true,
        }
    }

    #[test]
    fn the_last_rate_follows_the_law_that_gives_the_stored_one() {
        let last = |iter_num: u64, stored: f64| schedule().last_rate(iter_num, stored);
        assert_eq!(last(50, 1e-3 * 51.0 / 101.0), Some(1e-3 * 50.0 / 101.0));
        assert_eq!(last(50, 1e-3 * 50.0 / 100.0), Some(1e-3 * 49.0 / 100.0));
        assert_eq!(last(50, 1e-3 * 51.0 / 100.0), Some(1e-3 * 50.0 / 100.0));
        assert_eq!(last(50, 7e-4), None);
        assert_eq!(last(0, 0.0), None);
        assert_eq!(last(3000, 1e-4), Some(1e-4));
        // at the end of warmup every law gives the peak: today's is taken
        assert_eq!(last(100, 1e-3), Some(1e-3 * 100.0 / 101.0));
        // rounded to single precision
        assert_eq!(last(99, f64::from((1e-3 * 99.0 / 100.0) as f32)), Some(1e-3 * 98.0 / 100.0));
    }

    #[test]
    fn a_schedule_without_decay_in_between_has_no_rate_there() {
        let s = Schedule { warmup_iters: 10.0, lr_decay_iters: 10.0, ..schedule() };
        assert_eq!(s.last_rate(11, 1e-4), None);
        assert_eq!(s.last_rate(12, 1e-4), Some(1e-4));
        let constant = Schedule { decay_lr: false, ..schedule() };
        assert_eq!((constant.last_rate(5, 1e-3), constant.last_rate(5, 9e-4)), (Some(1e-3), None));
    }
}
