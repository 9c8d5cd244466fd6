//! The diagonal P = diag(√v̂ + ε) of Adam's geometry.
//!
//! Coordinates that gradients never reached (rows of tokens not yet seen, key biases, whose gradient is pure rounding)
//! have v near 0, so 1/P near 1/ε: those with √v̂ < 10 ε are known to be at the floor.

use std::ops::Range;

use rayon::prelude::*;

use crate::base::values::{DType, Values};

/// Coordinates with √v̂ below this many ε are masked.
const FLOOR: f64 = 10.0;

/// The diagonal P^-½, and which of it is at the floor of ε.
#[derive(Debug, Clone)]
pub struct Preconditioner {
    /// Flat, in the precision of the moments: one vector is all that is held.
    inverse_root: Values,
    /// P^-½ of √v̂ = 10 ε: a coordinate that is larger is at the floor. Infinite where ε is 0.
    floor: f64,
}

impl Preconditioner {
    /// P of the second moment `v` after `updates` updates, at least one.
    pub fn of(v: &Values, beta2: f64, updates: u64, eps: f64) -> Self {
        Self::new(v.len(), v.dtype(), |i| v.get(i), beta2, updates, eps)
    }

    /// P of the next update: v after adding this batch's gradient, of which clipping leaves the factor `clip`, bias
    /// correction at N+1.
    pub fn next(
        v: Option<&Values>,
        gradient: &Values,
        clip: f64,
        beta2: f64,
        updates: u64,
        eps: f64,
    ) -> Self {
        let after =
            |i: usize| beta2 * v.map_or(0.0, |v| v.get(i)) + (1.0 - beta2) * (clip * gradient.get(i)).powi(2);
        Self::new(gradient.len(), gradient.dtype(), after, beta2, updates + 1, eps)
    }

    fn new(n: usize, dtype: DType, v: impl Fn(usize) -> f64 + Sync, beta2: f64, t: u64, eps: f64) -> Self {
        let correction = 1.0 - beta2.powf(t as f64);
        let inverse_root = |i: usize| 1.0 / ((v(i) / correction).sqrt() + eps).sqrt();
        let all = (0..n).into_par_iter();
        let inverse_root = match dtype {
            DType::F32 => Values::F32(all.map(|i| inverse_root(i) as f32).collect()),
            DType::F64 => Values::F64(all.map(inverse_root).collect()),
        };
        Preconditioner { inverse_root, floor: 1.0 / ((FLOOR + 1.0) * eps).sqrt() }
    }

    /// The share of coordinates with √v̂ < 10 ε, among those of `ranges`.
    pub fn masked_fraction(&self, ranges: &[Range<usize>]) -> f64 {
        let masked = |range: &Range<usize>| {
            range.clone().into_par_iter().filter(|&i| self.inverse_root.get(i) > self.floor).count()
        };
        let all: usize = ranges.iter().map(ExactSizeIterator::len).sum();
        ranges.iter().map(masked).sum::<usize>() as f64 / all as f64
    }

    /// P^-½, flat.
    pub fn inverse_root(&self) -> &Values {
        &self.inverse_root
    }

    /// P^-½ of a coordinate with √v̂ = 10 ε: one that is larger is at the floor. Infinite where ε is 0.
    pub fn floor(&self) -> f64 {
        self.floor
    }

    /// P⁻¹x over `by`, in the precision of x.
    pub fn divide(&self, x: &Values, by: f64) -> Values {
        let root = &self.inverse_root;
        let one = |i: usize| x.get(i) * root.get(i) * root.get(i) / by;
        match x {
            Values::F32(x) => Values::F32((0..x.len()).map(|i| one(i) as f32).collect()),
            Values::F64(x) => Values::F64((0..x.len()).map(one).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_at_the_floor_are_masked_and_counted() {
        let v = [1e-4, 0.0, 1e-20, 1e-6];
        for dtype in [DType::F64, DType::F32] {
            // √v̂ = 1e-2/√(1−0.9), 0, 1e-10/…, 1e-3/…: two are below 1e-7
            let p = Preconditioner::of(&Values::F64(v.to_vec()).cast(dtype), 0.9, 1, 1e-8);
            assert_eq!(p.masked_fraction(&[0..4]), 0.5);
            assert_eq!(p.masked_fraction(&[0..1, 3..4]), 0.0);
            assert_eq!((p.inverse_root().dtype(), p.inverse_root().get(1)), (dtype, 1e4));
            let expected = 1.0 / ((1e-4f64 / (1.0 - 0.9)).sqrt() + 1e-8).sqrt();
            assert!((p.inverse_root().get(0) / expected - 1.0).abs() < dtype.epsilon());
        }
        // without ε nothing is at its floor
        assert_eq!(
            Preconditioner::of(&Values::F64(vec![0.0, 1.0]), 0.9, 1, 0.0).masked_fraction(&[0..2]),
            0.0
        );
    }

    #[test]
    fn the_first_update_preconditions_with_its_own_gradient() {
        // at N = 0 the next v̂ is (c g)² exactly
        let g = Values::F64(vec![0.5, -2.0]);
        for clip in [1.0, 0.25] {
            let p = Preconditioner::next(None, &g, clip, 0.95, 0, 0.0);
            assert!((p.inverse_root().get(0) - (clip * 0.5).powf(-0.5)).abs() < 1e-14);
            assert!((p.inverse_root().get(1) - (clip * 2.0).powf(-0.5)).abs() < 1e-14);
        }
    }
}
