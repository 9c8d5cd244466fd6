//! Matrices with a known spectrum, for the tests of every solver.

use ndarray::{Array1, Array2};

use super::operator::DenseOperator;
use super::{dense, probes};
use crate::base::random;
use crate::base::values::DType;

/// A symmetric matrix with the given eigenvalues in a random orthonormal basis.
pub(crate) fn with_spectrum(spectrum: &[f64], seed: u64) -> DenseOperator {
    let n = spectrum.len();
    let random = &mut random::stream(seed, 0, "matrix");
    let noise = probes::sphere(n, n, DType::F64, random).into_values().to_f64();
    let noise = Array2::from_shape_vec((n, n), noise).expect("n by n");
    let (_, q) = dense::eigh(&(&noise + &noise.t())).expect("decomposed");
    let matrix = (&q * &Array1::from(spectrum.to_vec())).dot(&q.t());
    DenseOperator { matrix: (&matrix + &matrix.t()) * 0.5 }
}
