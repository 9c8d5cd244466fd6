//! Matrices in slices.

use std::marker::PhantomData;

/// A matrix in a slice.
#[derive(Clone, Copy)]
pub struct Mat<'a, E> {
    pub(super) data: &'a [E],
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) row_stride: usize,
    pub(super) col_stride: usize,
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

    /// Rows `row..row + rows` of columns `column..column + columns`.
    pub(super) fn part(self, row: usize, rows: usize, column: usize, columns: usize) -> Self {
        assert!(row + rows <= self.rows && column + columns <= self.cols);
        let offset = row * self.row_stride + column * self.col_stride;
        Mat { data: &self.data[offset..], rows, cols: columns, ..self }
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
    pub(super) start: *mut E,
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) row_stride: usize,
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
