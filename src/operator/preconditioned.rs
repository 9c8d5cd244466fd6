//! Curvature in the geometry Adam moves in: P^-½ A P^-½ with P = diag(√v̂ + ε).
//!
//! P⁻¹A itself is not symmetric, and a symmetric solver on it returns numbers that are no eigenvalues;
//! the symmetrised form has the same spectrum. Coordinates that gradients never reached (rows of tokens
//! not yet seen, key biases, whose gradient is pure rounding) have v near 0, so 1/P near 1/ε blows
//! their rounding up; the masked form leaves out coordinates with √v̂ < 10 ε, and the share left out
//! belongs beside both numbers.
//!
//! Reference: Cohen et al. 2022, Adaptive Gradient Methods at the Edge of Stability, arXiv 2207.14484.

use crate::error::{Error, Result};
use crate::linalg::LinearOperator;
use crate::run::OptimizerState;
use crate::values::{DType, Values};
use crate::vectors::Vectors;

/// Coordinates with √v̂ below this many ε are masked.
const FLOOR: f64 = 10.0;

/// The diagonal P^-½, and which of it is at the floor of ε.
#[derive(Debug, Clone)]
pub struct Preconditioner {
    inverse_root: Vec<f64>,
    at_floor: Vec<bool>,
}

impl Preconditioner {
    /// P exactly as stored after the N updates the optimizer has made: √(v/(1−β2^N)) + ε.
    ///
    /// # Errors
    /// [`Error::Usage`] where there is no second moment, or no update was applied yet.
    pub fn stored(optimizer: Option<&OptimizerState>) -> Result<Self> {
        let Some((optimizer, v)) = optimizer.and_then(|o| o.exp_avg_sq.as_ref().map(|v| (o, v))) else {
            return Err(Error::usage_hint(
                "the checkpoint has no second moment (exp_avg_sq), so Adam's preconditioner is not known",
                "use --operator hessian, or a checkpoint saved with its optimizer",
            ));
        };
        if optimizer.updates == 0 {
            return Err(Error::usage_hint(
                "no update has been applied yet: the second moment is zero and P⁻¹ would be 1/ε everywhere",
                "use --operator preconditioned-next, which adds this batch's gradient first, or a later step",
            ));
        }
        Ok(Self::of(v, optimizer.beta2, optimizer.updates, optimizer.eps))
    }

    /// P of the second moment `v` after `updates` updates, at least one.
    pub fn of(v: &Values, beta2: f64, updates: u64, eps: f64) -> Self {
        Self::new(&v.to_f64(), beta2, updates, eps)
    }

    /// P of the next update: v after adding this batch's gradient, bias correction at N+1. The gradient is that
    /// of the loss whose curvature is measured, before clipping: clipping scales the products with it alike.
    pub fn next(v: Option<&Values>, gradient: &Values, beta2: f64, updates: u64, eps: f64) -> Self {
        let v: Vec<f64> = (0..gradient.len())
            .map(|i| beta2 * v.map_or(0.0, |v| v.get(i)) + (1.0 - beta2) * gradient.get(i).powi(2))
            .collect();
        Self::new(&v, beta2, updates + 1, eps)
    }

    /// The same of an update that was made, from v after it: clipping by c had left (1−β2)(1−c²)g² out.
    pub fn unclipped(v: &Values, gradient: &Values, clip: f64, beta2: f64, updates: u64, eps: f64) -> Self {
        let left_out = (1.0 - beta2) * (1.0 - clip * clip);
        let v: Vec<f64> =
            (0..gradient.len()).map(|i| v.get(i) + left_out * gradient.get(i).powi(2)).collect();
        Self::new(&v, beta2, updates, eps)
    }

    fn new(v: &[f64], beta2: f64, t: u64, eps: f64) -> Self {
        let correction = 1.0 - beta2.powf(t as f64);
        let root: Vec<f64> = v.iter().map(|v| (v / correction).sqrt()).collect();
        Preconditioner {
            inverse_root: root.iter().map(|r| 1.0 / (r + eps).sqrt()).collect(),
            at_floor: root.iter().map(|r| *r < FLOOR * eps).collect(),
        }
    }

    /// P^-½ with zeros where √v̂ < 10 ε.
    pub fn masked(&self) -> Self {
        let keep = |(inverse, floor): (&f64, &bool)| if *floor { 0.0 } else { *inverse };
        Preconditioner {
            inverse_root: self.inverse_root.iter().zip(&self.at_floor).map(keep).collect(),
            at_floor: self.at_floor.clone(),
        }
    }

    /// The share of coordinates with √v̂ < 10 ε, among those of `ranges`.
    pub fn masked_fraction(&self, ranges: &[std::ops::Range<usize>]) -> f64 {
        let (mut masked, mut all) = (0usize, 0usize);
        for range in ranges {
            masked += self.at_floor[range.clone()].iter().filter(|f| **f).count();
            all += range.len();
        }
        masked as f64 / all as f64
    }

    /// P^-½, flat.
    pub fn inverse_root(&self) -> &[f64] {
        &self.inverse_root
    }
}

/// P^-½ A P^-½.
pub struct Preconditioned<'a> {
    inner: &'a dyn LinearOperator,
    preconditioner: &'a Preconditioner,
}

impl<'a> Preconditioned<'a> {
    /// `inner` between two factors of P^-½.
    pub fn new(inner: &'a dyn LinearOperator, preconditioner: &'a Preconditioner) -> Self {
        assert_eq!(inner.n(), preconditioner.inverse_root.len());
        Preconditioned { inner, preconditioner }
    }

    fn scale(&self, x: &mut Vectors) {
        let n = x.n();
        let factors = &self.preconditioner.inverse_root;
        match x.values_mut() {
            Values::F32(v) => {
                for row in v.chunks_exact_mut(n) {
                    row.iter_mut().zip(factors).for_each(|(x, f)| *x = (f64::from(*x) * f) as f32);
                }
            }
            Values::F64(v) => {
                for row in v.chunks_exact_mut(n) {
                    row.iter_mut().zip(factors).for_each(|(x, f)| *x *= f);
                }
            }
        }
    }
}

impl LinearOperator for Preconditioned<'_> {
    fn n(&self) -> usize {
        self.inner.n()
    }
    fn dtype(&self) -> DType {
        self.inner.dtype()
    }
    fn apply(&self, x: &Vectors) -> Result<Vectors> {
        let mut x = x.clone();
        self.scale(&mut x);
        let mut y = self.inner.apply(&x)?;
        self.scale(&mut y);
        Ok(y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_at_the_floor_are_masked_and_counted() {
        let v = [1e-4, 0.0, 1e-20, 1e-6];
        // √v̂ = 1e-2/√(1−0.9), 0, 1e-10/…, 1e-3/…: two are below 1e-7
        let p = Preconditioner::new(&v, 0.9, 1, 1e-8);
        assert_eq!(p.masked_fraction(&[0..4]), 0.5);
        assert_eq!(p.masked_fraction(&[0..1, 3..4]), 0.0);
        assert_eq!(p.masked().inverse_root()[1..3], [0.0, 0.0]);
        assert_eq!(p.inverse_root()[1], 1e4);
        let expected = 1.0 / ((1e-4f64 / (1.0 - 0.9)).sqrt() + 1e-8).sqrt();
        assert!((p.inverse_root()[0] / expected - 1.0).abs() < 1e-15);
    }

    #[test]
    fn the_first_update_preconditions_with_its_own_gradient() {
        // at N = 0 the next v̂ is g² exactly
        let g = Values::F64(vec![0.5, -2.0]);
        let p = Preconditioner::next(None, &g, 0.95, 0, 0.0);
        assert!((p.inverse_root()[0] - 0.5f64.powf(-0.5)).abs() < 1e-15);
        assert!((p.inverse_root()[1] - 2.0f64.powf(-0.5)).abs() < 1e-15);
    }
    #[test]
    fn what_clipping_left_out_can_be_put_back() {
        let (g, before, clip, beta2) = ([0.5, -2.0, 0.0], [0.1, 0.0, 1e-3], 0.3f64, 0.95);
        let after: Vec<f64> =
            before.iter().zip(&g).map(|(v, g)| beta2 * v + (1.0 - beta2) * (clip * g).powi(2)).collect();
        let (g, before, after) = (Values::F64(g.to_vec()), Values::F64(before.to_vec()), Values::F64(after));
        let a = Preconditioner::unclipped(&after, &g, clip, beta2, 5, 1e-8);
        let b = Preconditioner::next(Some(&before), &g, beta2, 4, 1e-8);
        let close = |(a, b): (&f64, &f64)| (a / b - 1.0).abs() < 1e-14;
        assert!(a.inverse_root().iter().zip(b.inverse_root()).all(close));
    }
}
