//! k vectors of one length and dtype, row-major: what operators are applied to.

use rayon::iter::ParallelExtend;

use crate::base::values::{DType, Values};

/// Numbers that one thread copies sooner than it hands them to another.
const LITTLE: usize = 1 << 16;

/// k vectors of length n.
#[derive(Debug, Clone, PartialEq)]
pub struct Vectors {
    values: Values,
    n: usize,
}

impl Vectors {
    /// k zero vectors.
    pub fn zeros(k: usize, n: usize, dtype: DType) -> Self {
        Vectors { values: Values::zeros(k * n, dtype), n }
    }

    /// The vectors that lie one after the other in `values`.
    ///
    /// # Panics
    /// Where the length of `values` is not a multiple of n: a caller's mistake.
    pub fn new(values: Values, n: usize) -> Self {
        assert!(
            n > 0 && values.len().is_multiple_of(n),
            "{} numbers are no vectors of length {n}",
            values.len()
        );
        Vectors { values, n }
    }

    /// How many vectors.
    pub fn k(&self) -> usize {
        self.values.len() / self.n
    }

    /// Their length.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Their type.
    pub fn dtype(&self) -> DType {
        self.values.dtype()
    }

    /// All numbers, vector after vector.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// All numbers, vector after vector.
    pub fn values_mut(&mut self) -> &mut Values {
        &mut self.values
    }

    /// All numbers, vector after vector.
    pub fn into_values(self) -> Values {
        self.values
    }

    /// Vector i, widened.
    pub fn row(&self, i: usize) -> Vec<f64> {
        (i * self.n..(i + 1) * self.n).map(|j| self.values.get(j)).collect()
    }

    /// Vectors `rows`, copied.
    pub fn slice(&self, rows: std::ops::Range<usize>) -> Self {
        let range = rows.start * self.n..rows.end * self.n;
        let values = match &self.values {
            Values::F32(v) => Values::F32(v[range].to_vec()),
            Values::F64(v) => Values::F64(v[range].to_vec()),
        };
        Vectors { values, n: self.n }
    }

    /// The vectors at these places, in this order, copied.
    pub fn select(&self, places: &[usize]) -> Self {
        let mut out = Self::with_capacity(places.len(), self.n, self.dtype());
        places.iter().for_each(|&i| out.append(&self.slice(i..i + 1)));
        out
    }

    /// No vectors, and memory for `capacity` of them.
    pub fn with_capacity(capacity: usize, n: usize, dtype: DType) -> Self {
        let mut values = Values::zeros(0, dtype);
        match &mut values {
            Values::F32(v) => v.reserve_exact(capacity * n),
            Values::F64(v) => v.reserve_exact(capacity * n),
        }
        Vectors { values, n }
    }

    /// Adds vectors of the same length and type behind these.
    pub fn append(&mut self, more: &Vectors) {
        // all threads where it is much, because the first to write a page waits until the system has cleared it
        match (&mut self.values, &more.values) {
            (Values::F32(v), Values::F32(m)) if m.len() < LITTLE => v.extend_from_slice(m),
            (Values::F64(v), Values::F64(m)) if m.len() < LITTLE => v.extend_from_slice(m),
            (Values::F32(v), Values::F32(m)) => v.par_extend(m),
            (Values::F64(v), Values::F64(m)) => v.par_extend(m),
            _ => panic!("vectors of different dtypes cannot be joined"),
        }
    }

    /// Keeps the first k vectors.
    pub fn truncate(&mut self, k: usize) {
        match &mut self.values {
            Values::F32(v) => v.truncate(k * self.n),
            Values::F64(v) => v.truncate(k * self.n),
        }
    }

    /// Returns memory held for more vectors than there are.
    pub fn shrink(&mut self) {
        match &mut self.values {
            Values::F32(v) => v.shrink_to_fit(),
            Values::F64(v) => v.shrink_to_fit(),
        }
    }

    /// Adds vectors of the same count, length and type to these.
    pub fn add(&mut self, other: &Vectors) {
        match (&mut self.values, &other.values) {
            (Values::F32(v), Values::F32(o)) => v.iter_mut().zip(o).for_each(|(a, b)| *a += b),
            (Values::F64(v), Values::F64(o)) => v.iter_mut().zip(o).for_each(|(a, b)| *a += b),
            _ => panic!("vectors of different dtypes cannot be added"),
        }
    }
}
