//! How Adam's second moment is spread over coordinates: quantiles of v, and the spread of ψ = 1/(√v̂ + ε).
//!
//! One pass over v, apart from the update's because it is not needed at every step.

use rayon::prelude::*;

use super::Part;
use super::real::{LANES, Real, wide_lanes};
use crate::base::simd;
use crate::base::values::Values;
use crate::stats::histogram::Histogram;

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

/// Numbers a thread takes at a time, about.
const PIECE: usize = 1 << 16;
/// Numbers whose ψ is computed at a time.
const BLOCK: usize = 512;

/// The distribution of each part of v; `correction` is 1 − β2^t.
pub fn distributions(v: &Values, parts: &[Part], correction: f64, eps: f64) -> Vec<Distribution> {
    let of = |part: &Part| {
        let range = part.start..part.start + part.len();
        match v {
            Values::F32(v) => distribution(&v[range], correction as f32, eps as f32),
            Values::F64(v) => distribution(&v[range], correction, eps),
        }
    };
    parts.par_iter().map(of).collect()
}

fn distribution<T: Real>(v: &[T], correction: T, eps: T) -> Distribution {
    // pieces at fixed places: no sum depends on the number of threads
    let pieces: Vec<Distribution> = v.par_chunks(PIECE).map(|v| piece(v, correction, eps)).collect();
    let mut pieces = pieces.into_iter();
    let mut all = pieces.next().unwrap_or_default();
    pieces.for_each(|one| all.join(&one));
    all
}

fn piece<T: Real>(v: &[T], correction: T, eps: T) -> Distribution {
    let mut found = Distribution::default();
    let (mut sum, mut squares, mut psi) = ([0.0; LANES], [0.0; LANES], [T::ZERO; BLOCK]);
    for v in v.chunks(BLOCK) {
        simd::dispatch(
            #[inline(always)]
            || {
                let psi = &mut psi[..v.len()];
                for (psi, v) in psi.iter_mut().zip(v) {
                    *psi = T::ONE / ((*v / correction).sqrt() + eps);
                }
                wide_lanes(&mut sum, psi, |psi| psi);
                wide_lanes(&mut squares, psi, |psi| psi * psi);
            },
        );
        v.iter().for_each(|v| found.histogram.add(v.wide()));
    }
    found.sum = sum.iter().sum();
    found.squares = squares.iter().sum();
    found
}
