//! Curvature in the geometry Adam moves in: P^-½ A P^-½ with P = diag(√v̂ + ε).
//!
//! P⁻¹A itself is not symmetric, and a symmetric solver on it returns numbers that are no eigenvalues;
//! the symmetrised form has the same spectrum. Coordinates that gradients never reached (rows of tokens
//! not yet seen, key biases, whose gradient is pure rounding) have v near 0, so 1/P near 1/ε blows
//! their rounding up; the masked form leaves out coordinates with √v̂ < 10 ε, and the share left out
//! belongs beside both numbers.
//!
//! Reference: Cohen et al. 2022, Adaptive Gradient Methods at the Edge of Stability, arXiv 2207.14484.

use std::ops::Range;

use rayon::prelude::*;

use crate::base::error::{Error, Result};
use crate::base::values::{DType, Real, Values};
use crate::base::vectors::Vectors;
use crate::linalg::LinearOperator;
use crate::run::OptimizerState;

/// Coordinates with √v̂ below this many ε are masked.
const FLOOR: f64 = 10.0;

/// Numbers a thread scales at a time.
const CHUNK: usize = 1 << 14;

/// The diagonal P^-½, and which of it is at the floor of ε.
#[derive(Debug, Clone)]
pub struct Preconditioner {
    /// Flat, in the precision of the moments: one vector is all that is held.
    inverse_root: Values,
    /// P^-½ of √v̂ = 10 ε: a coordinate that is larger is at the floor. Infinite where ε is 0.
    floor: f64,
}

impl Preconditioner {
    /// P exactly as stored after the N updates the optimizer has made: √(v/(1−β2^N)) + ε.
    ///
    /// # Errors
    /// [`Error::Usage`] where there is no second moment, no update was applied yet, or updates are not Adam's.
    pub fn stored(optimizer: &OptimizerState) -> Result<Self> {
        optimizer.last_update_is_adams().map_err(Error::usage)?;
        let Some(v) = optimizer.dividing_sq() else {
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
}

/// P^-½ A P^-½.
pub struct Preconditioned<'a> {
    inner: &'a dyn LinearOperator,
    preconditioner: &'a Preconditioner,
    /// Coordinates whose P^-½ is larger are left out.
    limit: f64,
}

impl<'a> Preconditioned<'a> {
    /// `inner` between two factors of P^-½.
    pub fn new(inner: &'a dyn LinearOperator, preconditioner: &'a Preconditioner) -> Self {
        assert_eq!(inner.n(), preconditioner.inverse_root.len());
        Preconditioned { inner, preconditioner, limit: f64::INFINITY }
    }

    /// The same with zeros for the coordinates where √v̂ < 10 ε.
    pub fn masked(inner: &'a dyn LinearOperator, preconditioner: &'a Preconditioner) -> Self {
        Preconditioned { limit: preconditioner.floor, ..Self::new(inner, preconditioner) }
    }

    fn scale(&self, x: &mut Vectors) {
        let n = x.n();
        match (x.values_mut(), &self.preconditioner.inverse_root) {
            (Values::F32(x), Values::F32(factors)) => scale(x, factors, self.limit, n),
            (Values::F64(x), Values::F64(factors)) => scale(x, factors, self.limit, n),
            _ => panic!("vectors of another dtype than the preconditioner"),
        }
    }
}

fn scale<T: Real>(x: &mut [T], factors: &[T], limit: f64, n: usize) {
    for row in x.chunks_exact_mut(n) {
        row.par_chunks_mut(CHUNK).zip(factors.par_chunks(CHUNK)).for_each(|(x, factors)| {
            let scaled = |(x, f): (&mut T, &T)| *x = if f.wide() > limit { T::ZERO } else { *x * *f };
            x.iter_mut().zip(factors).for_each(scaled);
        });
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
    use ndarray::Array2;

    use super::*;
    use crate::linalg::operator::DenseOperator;

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
    fn the_masked_matrix_is_that_of_the_other_coordinates() {
        let matrix = Array2::from_shape_fn((3, 3), |(i, j)| (1 + i * j + i + j) as f64);
        let operator = DenseOperator { matrix: matrix.clone() };
        let p = Preconditioner::of(&Values::F64(vec![0.04, 0.0, 0.01]), 0.0, 1, 1e-8);
        let x = Vectors::new(Values::F64(vec![1.0, -3.0, 2.0]), 3);
        let found = Preconditioned::masked(&operator, &p).apply(&x).expect("applied").row(0);
        let f = p.inverse_root().to_f64();
        let row = |i: usize| f[i] * (matrix[[i, 0]] * f[0] * 1.0 + matrix[[i, 2]] * f[2] * 2.0);
        assert_eq!(found, [row(0), 0.0, row(2)]);
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
