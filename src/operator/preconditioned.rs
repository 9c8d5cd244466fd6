//! Curvature in the geometry Adam moves in: P^-½ A P^-½ with P = diag(√v̂ + ε).
//!
//! P⁻¹A itself is not symmetric, and a symmetric solver on it returns numbers that are no eigenvalues;
//! the symmetrised form has the same spectrum. Coordinates that gradients never reached (rows of tokens
//! not yet seen, key biases, whose gradient is pure rounding) have v near 0, so 1/P near 1/ε blows
//! their rounding up; the masked form leaves out coordinates with √v̂ < 10 ε, and the share left out
//! belongs beside both numbers.
//!
//! Reference: Cohen et al. 2022, Adaptive Gradient Methods at the Edge of Stability, arXiv 2207.14484.

use rayon::prelude::*;

use crate::base::error::Result;
use crate::base::values::{DType, Real, Values};
use crate::base::vectors::Vectors;
use crate::linalg::LinearOperator;
use crate::optim::Preconditioner;

/// Numbers a thread scales at a time.
const CHUNK: usize = 1 << 14;

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
        assert_eq!(inner.n(), preconditioner.inverse_root().len());
        Preconditioned { inner, preconditioner, limit: f64::INFINITY }
    }

    /// The same with zeros for the coordinates where √v̂ < 10 ε.
    pub fn masked(inner: &'a dyn LinearOperator, preconditioner: &'a Preconditioner) -> Self {
        Preconditioned { limit: preconditioner.floor(), ..Self::new(inner, preconditioner) }
    }

    fn scale(&self, x: &mut Vectors) {
        let n = x.n();
        match (x.values_mut(), self.preconditioner.inverse_root()) {
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
}
