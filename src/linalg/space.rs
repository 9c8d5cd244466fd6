//! A search space whose products are kept, so that Ritz pairs come with their true residuals at no product more.

use ndarray::{Array2, s};

use super::operator::LinearOperator;
use super::{dense, panel};
use crate::error::{Error, Result};
use crate::values::DType;
use crate::vectors::Vectors;

/// The largest Ritz pair of a space.
pub struct Top {
    /// θ.
    pub value: f64,
    /// x, a unit vector.
    pub vector: Vectors,
    /// Of x in the space, (m, 1).
    pub coordinates: Array2<f64>,
    /// A x − θ x.
    pub residual_vector: Vectors,
    /// Its norm.
    pub residual: f64,
}

/// Orthonormal vectors and their products.
pub struct Space<'a> {
    operator: &'a dyn LinearOperator,
    /// V, (m, n).
    pub v: Vectors,
    /// W = A V.
    pub w: Vectors,
    /// Vᵀ A V.
    pub t: Array2<f64>,
}

impl<'a> Space<'a> {
    /// No vector yet.
    pub fn new(operator: &'a dyn LinearOperator) -> Self {
        let (n, dtype): (usize, DType) = (operator.n(), operator.dtype());
        let empty = || Vectors::zeros(0, n, dtype);
        Space { operator, v: empty(), w: empty(), t: Array2::zeros((0, 0)) }
    }

    /// A.
    pub fn operator(&self) -> &'a dyn LinearOperator {
        self.operator
    }

    /// How many vectors.
    pub fn m(&self) -> usize {
        self.v.k()
    }

    /// Largest |entry| of the projected matrix: a lower bound on ‖A‖.
    pub fn size(&self) -> f64 {
        self.t.iter().fold(0.0, |m, x| x.abs().max(m))
    }

    /// The last product, whose part outside the space is the next Krylov direction.
    pub fn last_product(&self) -> Vectors {
        self.w.slice(self.m() - 1..self.m())
    }

    /// Adds a direction and its product; false where the space has it already.
    pub fn expand(&mut self, mut direction: Vectors) -> Result<bool> {
        let norm = panel::norms(&direction)[0];
        if norm == 0.0 || self.m() == self.operator.n() {
            return Ok(false);
        }
        panel::scale_rows(&mut direction, &[1.0 / norm]);
        for pass in 0..3 {
            let c = panel::gram(&self.v, &direction);
            panel::subtract(&mut direction, &self.v, &c);
            let left = panel::norms(&direction)[0];
            if pass == 0 && left <= 100.0 * self.operator.dtype().epsilon() {
                return Ok(false);
            }
            panel::scale_rows(&mut direction, &[1.0 / left]);
        }
        let product = self.operator.apply(&direction)?;
        if product.values().first_nonfinite().is_some() {
            return Err(Error::NonFinite {
                what: "a product with the operator".into(),
                hint: Some("look for overflowing activations, or compute with --dtype f64".into()),
            });
        }
        let m = self.m();
        self.v.append(&direction);
        self.w.append(&product);
        let column = panel::gram(&self.v, &self.last_product());
        let mut t = Array2::zeros((m + 1, m + 1));
        t.slice_mut(s![..m, ..m]).assign(&self.t);
        t.slice_mut(s![.., m..]).assign(&column);
        t.slice_mut(s![m.., ..]).assign(&column.t());
        self.t = t;
        Ok(true)
    }

    /// The largest Ritz pair.
    pub fn top(&self) -> Result<Top> {
        let (values, vectors) = dense::eigh(&self.t)?;
        let last = self.m() - 1;
        let (value, coordinates) = (values[last], vectors.slice_move(s![.., last..]));
        let vector = panel::combine(&self.v, coordinates.view());
        let mut residual_vector = panel::combine(&self.w, coordinates.view());
        panel::subtract(&mut residual_vector, &vector, &Array2::from_elem((1, 1), value));
        let residual = panel::norms(&residual_vector)[0];
        Ok(Top { value, vector, coordinates, residual_vector, residual })
    }
}
