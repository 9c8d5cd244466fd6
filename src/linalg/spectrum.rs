//! All eigenvalues at once, for models and parts small enough: n products, and LAPACK.

use super::completeness::Completeness;
use super::dense::{eigh, to_dense};
use super::eigenpairs::{Eigenpairs, Ritz};
use super::operator::LinearOperator;
use super::orthonormal::ROUNDING;
use crate::base::error::Result;
use crate::base::observer::Observer;
use crate::base::values::Values;
use crate::base::vectors::Vectors;

/// The whole spectrum of an operator, largest first, and the `bottom` smallest; n products.
///
/// Residuals are those of the matrix of products before it is made symmetric, so they contain the error of
/// the products.
///
/// # Errors
/// Where a product or LAPACK fails or the observer was told to stop.
pub fn spectrum(
    operator: &dyn LinearOperator,
    bottom: usize,
    tol: f64,
    observer: &dyn Observer,
) -> Result<Eigenpairs> {
    let (a, asymmetry) = to_dense(operator, 16, observer)?;
    observer.note(&format!("the matrix of products is symmetric to {asymmetry:.1e} of its norm"));
    let (values, vectors) = eigh(&((&a + &a.t()) * 0.5))?;
    let residuals = a.dot(&vectors) - &vectors * &values;
    let size = values.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    let tolerance = |value: f64| (tol * value.abs()).max(ROUNDING * operator.dtype().epsilon() * size);
    let pair = |i: usize| {
        let residual = residuals.column(i).dot(&residuals.column(i)).sqrt();
        Ritz { value: values[i], residual, converged: residual <= tolerance(values[i]) }
    };
    let n = values.len();
    let rows = Values::F64((0..n).rev().flat_map(|i| vectors.column(i).to_vec()).collect());
    Ok(Eigenpairs {
        top: (0..n).rev().map(pair).collect(),
        bottom: (0..bottom.min(n)).map(pair).collect(),
        vectors: Vectors::new(rows.cast(operator.dtype()), n),
        completeness: Completeness::Whole,
        matvecs: n,
    })
}
