//! Matrix products on slices, one thread each; the kernels cut their output between threads.
//!
//! The products themselves are the `gemm` crate's, which picks AVX-512, AVX2 or NEON micro-kernels at run
//! time. Cutting the rows here, rather than inside the product, lets a task fill its rows with a bias or a
//! residual while they are in its cache, and keeps every sum in one order whatever the number of threads.

use std::marker::PhantomData;

use super::float::Float;

/// A matrix in a slice.
#[derive(Clone, Copy)]
pub struct Mat<'a, E> {
    data: &'a [E],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a, E> Mat<'a, E> {
    /// A matrix whose entry (i, j) is `data[i * row_stride + j]`.
    pub fn new(data: &'a [E], rows: usize, cols: usize, row_stride: usize) -> Self {
        assert!(rows == 0 || cols == 0 || (rows - 1) * row_stride + cols <= data.len());
        Mat { data, rows, cols, row_stride, col_stride: 1 }
    }

    /// A matrix that fills its slice row by row.
    pub fn full(data: &'a [E], cols: usize) -> Self {
        Mat::new(data, data.len() / cols, cols, cols)
    }

    /// Rows `start..start + count`.
    pub fn slice(self, start: usize, count: usize) -> Self {
        assert!(start + count <= self.rows && self.col_stride == 1);
        Mat { data: &self.data[start * self.row_stride..], rows: count, ..self }
    }

    /// The transpose.
    pub fn t(self) -> Self {
        Mat {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }
}

/// A matrix to be written; its rows are contiguous.
pub struct MatMut<'a, E> {
    start: *mut E,
    rows: usize,
    cols: usize,
    row_stride: usize,
    borrow: PhantomData<&'a mut E>,
}

impl<'a, E> MatMut<'a, E> {
    /// A matrix whose entry (i, j) is `data[i * row_stride + j]`.
    pub fn new(data: &'a mut [E], rows: usize, cols: usize, row_stride: usize) -> Self {
        assert!(rows == 0 || cols == 0 || (rows - 1) * row_stride + cols <= data.len());
        MatMut { start: data.as_mut_ptr(), rows, cols, row_stride, borrow: PhantomData }
    }

    /// A matrix that fills its slice row by row.
    pub fn full(data: &'a mut [E], cols: usize) -> Self {
        let rows = data.len() / cols;
        MatMut::new(data, rows, cols, cols)
    }
}

/// A buffer that tasks fill together, each some columns of some rows: what slices cannot express.
#[derive(Clone, Copy)]
pub struct Shared<'a, E> {
    start: *mut E,
    len: usize,
    borrow: PhantomData<&'a mut E>,
}

// SAFETY: a `Shared` gives access only through `part`, whose callers promise disjoint parts
#[allow(unsafe_code)]
unsafe impl<E: Send> Send for Shared<'_, E> {}
#[allow(unsafe_code)]
unsafe impl<E: Send> Sync for Shared<'_, E> {}

impl<'a, E> Shared<'a, E> {
    /// The whole buffer.
    pub fn new(data: &'a mut [E]) -> Self {
        Shared { start: data.as_mut_ptr(), len: data.len(), borrow: PhantomData }
    }

    /// The matrix of entries `offset + i * row_stride + j`.
    ///
    /// # Safety
    /// No other part that is in use at the same time shares an entry with it.
    #[allow(unsafe_code)]
    pub unsafe fn part(self, offset: usize, rows: usize, cols: usize, row_stride: usize) -> MatMut<'a, E> {
        assert!(rows == 0 || cols == 0 || offset + (rows - 1) * row_stride + cols <= self.len);
        // SAFETY: the offset lies inside the buffer, which the assertion checks
        MatMut { start: unsafe { self.start.add(offset) }, rows, cols, row_stride, borrow: PhantomData }
    }
}

/// dst = scale · a b, or dst += scale · a b.
#[allow(unsafe_code)]
pub fn gemm<E: Float>(dst: MatMut<'_, E>, accumulate: bool, scale: E, a: Mat<'_, E>, b: Mat<'_, E>) {
    assert_eq!((dst.rows, dst.cols, a.cols), (a.rows, b.cols, b.rows));
    if dst.rows == 0 || dst.cols == 0 {
        return;
    }
    // SAFETY: the constructors checked that every entry of the three matrices lies in its buffer; `dst` is
    // borrowed exclusively, so it overlaps neither factor
    unsafe {
        gemm::gemm(
            dst.rows,
            dst.cols,
            a.cols,
            dst.start,
            1,
            dst.row_stride as isize,
            accumulate,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            E::ONE,
            scale,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// Rows per task when `rows` rows of `flops` floating-point operations each are shared among the threads:
/// one piece per thread, because every piece packs the other factor anew, and no piece so small that
/// handing it over costs more than computing it.
pub fn rows_per_task(rows: usize, flops: usize) -> usize {
    const WORTH_IT: usize = 500_000;
    let threads = rayon::current_num_threads();
    let even = rows.div_ceil(threads).next_multiple_of(16);
    even.max(WORTH_IT.div_ceil(flops.max(1))).clamp(1, rows.max(1))
}
