//! Dense symmetric eigenproblems through LAPACK, every answer checked.
//!
//! Old OpenBLAS builds compute wrong results on processors newer than they are, silently. So each
//! decomposition is multiplied back: ‖A V − V Λ‖ and ‖Vᵀ V − I‖ must be small, or it is an error.

use ndarray::{Array1, Array2, Axis};
use ndarray_linalg::{Eigh, UPLO};

use super::operator::{LinearOperator, Products};
use crate::base::error::{Error, Result};
use crate::base::observer::Observer;
use crate::base::values::Values;
use crate::base::vectors::Vectors;

/// (eigenvalues ascending, eigenvectors as columns) of a symmetric matrix.
///
/// # Errors
/// [`Error::Lapack`] where LAPACK fails or its answer fails the check.
pub fn eigh(a: &Array2<f64>) -> Result<(Array1<f64>, Array2<f64>)> {
    if let Some(bad) = a.iter().find(|x| !x.is_finite()) {
        return Err(Error::NonFinite {
            what: format!("the matrix to decompose (it holds {bad})"),
            hint: None,
        });
    }
    if a.is_empty() {
        return Ok((Array1::zeros(0), Array2::zeros((0, 0))));
    }
    blas_threads(if a.nrows() < LARGE { 1 } else { rayon::current_num_threads() });
    let (values, vectors) = a.eigh(UPLO::Lower).map_err(|e| Error::Lapack { problem: e.to_string() })?;
    let size = values.iter().fold(f64::MIN_POSITIVE, |m: f64, x| m.max(x.abs()));
    // backward error of a stable solver is a small multiple of n·ε
    let bound = 100.0 * a.nrows() as f64 * f64::EPSILON;
    let residual = largest(&(a.dot(&vectors) - &vectors * &values)) / size;
    let orthogonality = largest(&(vectors.t().dot(&vectors) - Array2::<f64>::eye(a.nrows())));
    // a comparison that NaN fails
    if !(residual <= bound && orthogonality <= bound) {
        return Err(Error::Lapack {
            problem: format!(
                "its eigenvectors fail the check (residual {residual:.1e}, orthogonality {orthogonality:.1e}, bound {bound:.1e})"
            ),
        });
    }
    Ok((values, vectors))
}

/// Rows from which LAPACK is worth more than one thread. Below, OpenBLAS's idle threads would spin for longer than
/// the decomposition takes, on the processors the products need: a third of a small eigenvalue job.
const LARGE: usize = 256;

#[allow(unsafe_code)]
fn blas_threads(threads: usize) {
    unsafe extern "C" {
        fn openblas_set_num_threads(threads: std::ffi::c_int);
    }
    // SAFETY: OpenBLAS's documented entry point; it takes any positive count at any time
    unsafe { openblas_set_num_threads(threads as std::ffi::c_int) };
}

fn largest(a: &Array2<f64>) -> f64 {
    a.iter().fold(0.0, |m: f64, x| if x.is_nan() { f64::NAN } else { m.max(x.abs()) })
}

/// The whole matrix of an operator, `block` products at a time, and its relative asymmetry
/// ‖A − Aᵀ‖_F/‖A‖_F, which measures the error of the products. Not symmetrised.
///
/// # Errors
/// Where a product fails or the observer was told to stop.
pub fn to_dense(
    operator: &dyn LinearOperator,
    block: usize,
    observer: &dyn Observer,
) -> Result<(Array2<f64>, f64)> {
    let (n, products) = (operator.n(), Products::new(operator));
    let mut matrix = Array2::zeros((n, n));
    for start in (0..n).step_by(block) {
        observer.check()?;
        observer.progress(start as u64, n as u64, "columns of the dense matrix");
        let k = block.min(n - start);
        let mut identity = Vectors::zeros(k, n, operator.dtype());
        for i in 0..k {
            match identity.values_mut() {
                Values::F32(v) => v[i * n + start + i] = 1.0,
                Values::F64(v) => v[i * n + start + i] = 1.0,
            }
        }
        let columns = products.of(&identity)?;
        for i in 0..k {
            matrix.index_axis_mut(Axis(1), start + i).assign(&Array1::from(columns.row(i)));
        }
    }
    let norm = matrix.iter().map(|x| x * x).sum::<f64>().sqrt();
    let skew = (&matrix - &matrix.t()).iter().map(|x| x * x).sum::<f64>().sqrt();
    Ok((matrix, if norm > 0.0 { skew / norm } else { 0.0 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_with_a_known_spectrum() {
        // the second difference matrix has eigenvalues 2 − 2 cos(kπ/(n+1))
        let n = 40;
        let a = Array2::from_shape_fn((n, n), |(i, j)| match i.abs_diff(j) {
            0 => 2.0,
            1 => -1.0,
            _ => 0.0,
        });
        let (values, _) = eigh(&a).expect("decomposed");
        for (k, value) in values.iter().enumerate() {
            let exact = 2.0 - 2.0 * (std::f64::consts::PI * (k + 1) as f64 / (n + 1) as f64).cos();
            assert!((value - exact).abs() < 1e-13);
        }
    }

    #[test]
    fn what_is_not_finite_is_refused() {
        assert!(eigh(&Array2::from_elem((2, 2), f64::NAN)).is_err());
    }
}
