//! The learning rate of the last update, which a checkpoint does not store.

use serde::Deserialize;

use super::header::Number;

/// The part of train.py's settings that says which rate the last update used.
#[derive(Debug, Deserialize)]
pub struct TrainConfig {
    pub learning_rate: Number,
    #[serde(default)]
    pub warmup_iters: Number,
    #[serde(default)]
    pub lr_decay_iters: Number,
    #[serde(default)]
    pub min_lr: Number,
    #[serde(default = "yes")]
    pub decay_lr: bool,
    #[serde(default)]
    pub grad_clip: Option<Number>,
}

fn yes() -> bool {
    true
}

/// The rate of update `iter_num`−1, from whichever version of nanoGPT's schedule gives the stored rate
/// of update `iter_num`.
pub fn last_rate(train: &TrainConfig, iter_num: u64, stored: f64) -> Option<f64> {
    let last = iter_num.checked_sub(1)?;
    // since December 2024 warmup is (it+1)/(W+1) of the peak; before, it was it/W
    [1.0, 0.0].into_iter().find_map(|shift| {
        let rate = |it: u64| rate(train, it as f64, shift);
        ((rate(iter_num) - stored).abs() <= 1e-9 * stored.abs()).then(|| rate(last))
    })
}

fn rate(train: &TrainConfig, it: f64, shift: f64) -> f64 {
    let (peak, min_lr) = (train.learning_rate.get(), train.min_lr.get());
    let (warmup, decay) = (train.warmup_iters.get(), train.lr_decay_iters.get());
    if !train.decay_lr {
        return peak;
    }
    if it < warmup {
        return peak * (it + shift) / (warmup + shift);
    }
    if it > decay {
        return min_lr;
    }
    let progress = (it - warmup) / (decay - warmup);
    min_lr + 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()) * (peak - min_lr)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn train() -> TrainConfig {
        TrainConfig {
            learning_rate: Number::Float(1e-3),
            warmup_iters: Number::Int(100),
            lr_decay_iters: Number::Int(2000),
            min_lr: Number::Float(1e-4),
            decay_lr: true,
            grad_clip: Some(Number::Float(1.0)),
        }
    }

    #[test]
    fn the_last_rate_follows_the_version_that_gives_the_stored_one() {
        let new = 1e-3 * 51.0 / 101.0;
        assert_eq!(last_rate(&train(), 50, new), Some(1e-3 * 50.0 / 101.0));
        assert_eq!(last_rate(&train(), 50, 5e-4), Some(1e-3 * 49.0 / 100.0));
        assert_eq!(last_rate(&train(), 50, 7e-4), None);
        assert_eq!(last_rate(&train(), 0, 0.0), None);
        assert_eq!(last_rate(&train(), 3000, 1e-4), Some(1e-4));
    }
}
