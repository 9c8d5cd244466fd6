//! The block of an operator that belongs to some of its coordinates.

use std::ops::Range;

use crate::base::error::Result;
use crate::base::values::{DType, Values};
use crate::base::vectors::Vectors;
use crate::linalg::LinearOperator;

/// Sᵀ A S, S the selection of `ranges`.
pub struct Restricted<'a> {
    inner: &'a dyn LinearOperator,
    ranges: Vec<Range<usize>>,
    n: usize,
}

impl<'a> Restricted<'a> {
    /// The block of `inner` at these coordinates (ascending, disjoint).
    pub fn new(inner: &'a dyn LinearOperator, ranges: Vec<Range<usize>>) -> Self {
        let n = ranges.iter().map(ExactSizeIterator::len).sum();
        Restricted { inner, ranges, n }
    }
}

impl LinearOperator for Restricted<'_> {
    fn n(&self) -> usize {
        self.n
    }

    fn dtype(&self) -> DType {
        self.inner.dtype()
    }

    fn apply(&self, x: &Vectors) -> Result<Vectors> {
        let mut whole = Vectors::zeros(x.k(), self.inner.n(), x.dtype());
        let n = self.inner.n();
        match (whole.values_mut(), x.values()) {
            (Values::F32(whole), Values::F32(x)) => embed(x, whole, &self.ranges, self.n, n),
            (Values::F64(whole), Values::F64(x)) => embed(x, whole, &self.ranges, self.n, n),
            _ => panic!("vectors of another dtype than the operator"),
        }
        let product = self.inner.apply(&whole)?;
        let values = match product.values() {
            Values::F32(v) => Values::F32(extract(v, &self.ranges, n)),
            Values::F64(v) => Values::F64(extract(v, &self.ranges, n)),
        };
        Ok(Vectors::new(values, self.n))
    }
}

fn embed<T: Copy>(part: &[T], whole: &mut [T], ranges: &[Range<usize>], n_part: usize, n: usize) {
    for (part, whole) in part.chunks_exact(n_part).zip(whole.chunks_exact_mut(n)) {
        let mut at = 0;
        for range in ranges {
            whole[range.clone()].copy_from_slice(&part[at..at + range.len()]);
            at += range.len();
        }
    }
}

fn extract<T: Copy>(whole: &[T], ranges: &[Range<usize>], n: usize) -> Vec<T> {
    whole.chunks_exact(n).flat_map(|row| ranges.iter().flat_map(|r| row[r.clone()].iter().copied())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::operator::DenseOperator;
    use ndarray::Array2;

    #[test]
    fn a_block_is_the_block_of_the_matrix() {
        let matrix = Array2::from_shape_fn((5, 5), |(i, j)| (i * j + i + j) as f64);
        let whole = DenseOperator { matrix: matrix.clone() };
        let block = Restricted::new(&whole, vec![1..2, 3..5]);
        let x = Vectors::new(Values::F64(vec![1.0, -2.0, 0.5, 0.0, 1.0, 0.0]), 3);
        let y = block.apply(&x).expect("applied");
        let at = [1, 3, 4];
        for k in 0..2 {
            for (i, &row) in at.iter().enumerate() {
                let plain: f64 = at.iter().enumerate().map(|(j, &c)| matrix[[row, c]] * x.row(k)[j]).sum();
                assert_eq!(y.row(k)[i], plain);
            }
        }
    }
}
