//! A search space whose products are kept, so that Ritz pairs come with their true residuals at no product more.

use ndarray::{Array2, s};

use crate::base::error::Result;
use crate::base::vectors::Vectors;
use crate::linalg::operator::Products;
use crate::linalg::{dense, orthonormal, panel};

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
    products: &'a Products<'a>,
    /// V, (m, n).
    pub v: Vectors,
    /// W = A V.
    pub w: Vectors,
    /// Vᵀ A V.
    pub t: Array2<f64>,
}

impl<'a> Space<'a> {
    /// No vector yet.
    pub fn new(products: &'a Products<'a>) -> Self {
        let empty = || Vectors::zeros(0, products.n(), products.dtype());
        Space { products, v: empty(), w: empty(), t: Array2::zeros((0, 0)) }
    }

    /// Products with A.
    pub fn products(&self) -> &'a Products<'a> {
        self.products
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
    ///
    /// # Errors
    /// Where the product fails or is not finite.
    pub fn expand(&mut self, mut direction: Vectors) -> Result<bool> {
        if self.m() == self.products.n() || panel::normalise(&mut direction).is_none() {
            return Ok(false);
        }
        for enough in [100.0 * self.products.dtype().epsilon(), 0.1, 0.1] {
            orthonormal::remove(&mut direction, &self.v);
            if panel::normalise(&mut direction).is_none_or(|left| left <= enough) {
                return Ok(false);
            }
        }
        let product = self.products.of(&direction)?;
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

    /// Ritz values, descending.
    ///
    /// # Errors
    /// Where LAPACK fails.
    pub fn ritz(&self) -> Result<Vec<f64>> {
        Ok(dense::eigh(&self.t)?.0.iter().rev().copied().collect())
    }

    /// The largest Ritz pair.
    ///
    /// # Errors
    /// Where LAPACK fails.
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
