//! How Adam's second moment is spread over coordinates: quantiles of v, and the spread of ψ = 1/(√v̂ + ε).
//!
//! One pass over v, apart from the update's because it is not needed at every step.

use rayon::prelude::*;

use super::Part;
use crate::stats::histogram::Histogram;
use crate::values::Values;

/// Of one tensor, or of several joined.
#[derive(Debug, Clone, Default)]
pub struct Distribution {
    /// Of v.
    pub histogram: Histogram,
    sum: f64,
    squares: f64,
}

impl Distribution {
    /// Adds what `other` saw.
    pub fn join(&mut self, other: &Distribution) {
        self.histogram.join(&other.histogram);
        self.sum += other.sum;
        self.squares += other.squares;
    }

    /// Standard deviation of ψ over coordinates, over its mean.
    pub fn psi_spread(&self) -> f64 {
        let n = self.histogram.total() as f64;
        let mean = self.sum / n;
        (self.squares / n - mean * mean).max(0.0).sqrt() / mean
    }
}

/// The distribution of each part of v; `correction` is 1 − β2^t.
pub fn distributions(v: &Values, parts: &[Part], correction: f64, eps: f64) -> Vec<Distribution> {
    let of = |part: &Part| {
        let mut found = Distribution::default();
        let mut see = |v: f64| {
            found.histogram.add(v);
            let psi = 1.0 / ((v / correction).sqrt() + eps);
            found.sum += psi;
            found.squares += psi * psi;
        };
        let range = part.start..part.start + part.len();
        match v {
            Values::F32(v) => v[range].iter().for_each(|v| see(f64::from(*v))),
            Values::F64(v) => v[range].iter().for_each(|v| see(*v)),
        }
        found
    };
    parts.par_iter().map(of).collect()
}
