//! Learning-rate schedules, one per file: the rate of update t, counted from 1.

mod warmup_cosine;

pub use warmup_cosine::WarmupCosine;

/// A learning rate for every update.
pub trait Schedule {
    /// The rate of update t, counted from 1.
    fn lr(&self, t: u64) -> f64;
}
