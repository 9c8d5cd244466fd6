//! A symmetric matrix, known by its products.

use std::cell::Cell;

use ndarray::Array2;

use crate::base::error::{Error, Result};
use crate::base::values::{DType, Values};
use crate::base::vectors::Vectors;

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

/// Products with A, counted, none of them with NaN or infinity in it.
pub struct Products<'a> {
    operator: &'a dyn LinearOperator,
    spent: Cell<usize>,
}

impl<'a> Products<'a> {
    /// None spent yet.
    pub fn new(operator: &'a dyn LinearOperator) -> Self {
        Products { operator, spent: Cell::new(0) }
    }

    /// A x for each of the vectors.
    ///
    /// # Errors
    /// Where the product fails or is not finite.
    pub fn of(&self, x: &Vectors) -> Result<Vectors> {
        if x.k() == 0 {
            return Ok(x.clone());
        }
        self.spent.set(self.spent.get() + x.k());
        let y = self.operator.apply(x)?;
        if y.values().all_finite() {
            return Ok(y);
        }
        Err(Error::NonFinite { what: "a product with the operator".into(), hint: None })
    }

    /// How many.
    pub fn spent(&self) -> usize {
        self.spent.get()
    }

    /// n.
    pub fn n(&self) -> usize {
        self.operator.n()
    }

    /// The precision of the products.
    pub fn dtype(&self) -> DType {
        self.operator.dtype()
    }
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
