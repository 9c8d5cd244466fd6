//! A symmetric matrix, known by its products.

use ndarray::Array2;

use crate::error::Result;
use crate::values::{DType, Values};
use crate::vectors::Vectors;

/// A symmetric n by n matrix A.
pub trait LinearOperator {
    /// n.
    fn n(&self) -> usize;

    /// The precision of its products.
    fn dtype(&self) -> DType;

    /// A x for each of the k vectors (k, n).
    ///
    /// # Errors
    /// Where the computation behind the product fails or meets NaN.
    fn apply(&self, x: &Vectors) -> Result<Vectors>;
}

/// A matrix in memory, for tests and small problems.
pub struct DenseOperator {
    /// The matrix, symmetric.
    pub matrix: Array2<f64>,
}

impl LinearOperator for DenseOperator {
    fn n(&self) -> usize {
        self.matrix.nrows()
    }

    fn dtype(&self) -> DType {
        DType::F64
    }

    fn apply(&self, x: &Vectors) -> Result<Vectors> {
        let rows = (0..x.k()).flat_map(|i| self.matrix.dot(&ndarray::Array1::from(x.row(i))));
        Ok(Vectors::new(Values::F64(rows.collect()), self.n()))
    }
}
