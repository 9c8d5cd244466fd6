//! A product cut into blocks that stay in the caches, and those into tiles.
//!
//! The right factor is copied, a block at a time, into panels as wide as a tile, so that the micro-kernel reads
//! it from one end to the other; the left one is read where it lies, since the micro-kernel takes single numbers
//! of it and every one of them for a whole row of the tile. Reference: Van Zee and van de Geijn 2015, BLIS.

use std::cell::Cell;

use pulp::{Simd, WithSimd};

use super::super::float::Float;
use super::register::lanes;
use super::tile::{ACROSS, LARGEST, Rows, Strided, columns, rows, tile};
use super::{Mat, MatMut};

/// Bytes of the right factor's block: half of a second-level cache of 1 MiB.
const BLOCK: usize = 512 << 10;
/// Terms summed before the sums go to memory.
const DEPTH: usize = 256;
/// Rows of the left factor that meet a panel before the next one.
const ROWS: usize = 240;
/// Rows for which copying the right factor costs more than reading it where it lies.
const FEW: usize = 96;

thread_local! {
    /// A thread's panels, aligned for either float type. Memory of their own for each product would have to be
    /// fetched from the system again and again.
    static PANELS: Cell<Vec<f64>> = const { Cell::new(Vec::new()) };
}

/// dst = scale · a b, or dst += scale · a b.
pub struct Product<'a, E> {
    pub dst: MatMut<'a, E>,
    pub accumulate: bool,
    pub scale: E,
    pub a: Mat<'a, E>,
    pub b: Mat<'a, E>,
}

impl<E: Float> WithSimd for Product<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (a, b) = (self.a, self.b);
        let width = columns::<E, S>();
        let direct = b.col_stride == 1 && a.rows <= FEW && b.cols.is_multiple_of(lanes::<E, S>());
        let depth = DEPTH.min(a.cols);
        let block =
            (BLOCK / size_of::<E>() / depth).next_multiple_of(width).min(b.cols.next_multiple_of(width));
        let mut buffer = PANELS.take();
        let size = if direct { 0 } else { (block * depth * size_of::<E>()).div_ceil(size_of::<f64>()) };
        if buffer.len() < size {
            buffer.resize(size, 0.0);
        }
        let panels: &mut [E] = bytemuck::cast_slice_mut(&mut buffer);
        for first in (0..b.cols).step_by(block) {
            let cols = block.min(b.cols - first);
            for start in (0..a.cols).step_by(depth) {
                let depth = depth.min(a.cols - start);
                if !direct {
                    pack(panels, width, b.part(start, depth, first, cols));
                }
                let panel = |at: usize| match direct {
                    true => (&b.data[start * b.row_stride + first + at..], b.row_stride),
                    false => (&panels[at * depth..], width),
                };
                let accumulate = self.accumulate || start > 0;
                for top in (0..a.rows).step_by(ROWS) {
                    let a = a.part(top, ROWS.min(a.rows - top), start, depth);
                    for at in (0..cols).step_by(width) {
                        let (b, stride) = panel(at);
                        let b = Rows { at: b.as_ptr(), stride };
                        let offset = top * self.dst.row_stride + first + at;
                        // SAFETY: the block lies in `dst`, whose size `gemm` compared with the factors'
                        #[allow(unsafe_code)]
                        unsafe {
                            let dst = Rows { at: self.dst.start.add(offset), stride: self.dst.row_stride };
                            column_of_tiles(simd, a, b, width.min(cols - at), dst, accumulate, self.scale);
                        }
                    }
                }
            }
        }
        PANELS.set(buffer);
    }
}

/// The product of a block of rows with one panel of `cols` columns.
///
/// # Safety
/// As for [`tile`], for all rows of `a` and `cols` columns; `b` has full registers.
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn column_of_tiles<E: Float, S: Simd>(
    simd: S,
    a: Mat<'_, E>,
    b: Rows<*const E>,
    cols: usize,
    dst: Rows<*mut E>,
    accumulate: bool,
    scale: E,
) {
    let lanes = lanes::<E, S>();
    let mut edge = [E::ZERO; LARGEST];
    let mut top = 0;
    while top < a.rows {
        let rows = rows::<S>().min(a.rows - top);
        let from =
            Strided { at: a.data[top * a.row_stride..].as_ptr(), row: a.row_stride, column: a.col_stride };
        // SAFETY: as the caller promises; a tile that is not whole goes by way of `edge`, which holds the largest
        unsafe {
            let to = Rows { at: dst.at.add(top * dst.stride), ..dst };
            let whole = cols.is_multiple_of(lanes);
            let across = cols.div_ceil(lanes);
            if whole {
                of_rows(simd, rows, across, a.cols, from, b, to, accumulate, scale);
            } else {
                let width = ACROSS * lanes;
                let buffer = Rows { at: edge.as_mut_ptr(), stride: width };
                of_rows(simd, rows, across, a.cols, from, b, buffer, false, scale);
                for r in 0..rows {
                    for c in 0..cols {
                        let to = &mut *to.at.add(r * to.stride + c);
                        let sum = edge[r * width + c];
                        *to = if accumulate { *to + sum } else { sum };
                    }
                }
            }
        }
        top += rows;
    }
}

/// [`tile`] of so many rows and registers.
///
/// # Safety
/// As for [`tile`].
#[inline(always)]
#[allow(unsafe_code)]
unsafe fn of_rows<E: Float, S: Simd>(
    simd: S,
    rows: usize,
    across: usize,
    depth: usize,
    a: Strided<*const E>,
    b: Rows<*const E>,
    dst: Rows<*mut E>,
    accumulate: bool,
    scale: E,
) {
    macro_rules! by_size {
        ($($r:literal)+) => {
            match (rows, across) {
                // SAFETY: as the caller promises
                $(($r, 1) => unsafe { tile::<E, S, $r, 1>(simd, depth, a, b, dst, accumulate, scale) },
                ($r, _) => unsafe { tile::<E, S, $r, 2>(simd, depth, a, b, dst, accumulate, scale) },)+
                _ => unreachable!("a tile has at most 12 rows"),
            }
        };
    }
    by_size!(1 2 3 4 5 6 7 8 9 10 11 12);
}

/// Copies a block into panels of `width` columns, each row by row; zeros fill the last one up.
#[inline(always)]
fn pack<E: Float>(panels: &mut [E], width: usize, block: Mat<'_, E>) {
    let size = block.rows * width;
    for (first, panel) in (0..block.cols).step_by(width).zip(panels.chunks_exact_mut(size)) {
        let cols = width.min(block.cols - first);
        if block.col_stride == 1 {
            for (k, row) in panel.chunks_exact_mut(width).enumerate() {
                let (row, rest) = row.split_at_mut(cols);
                row.copy_from_slice(&block.data[k * block.row_stride + first..][..cols]);
                rest.fill(E::ZERO);
            }
        } else {
            if cols < width {
                panel.fill(E::ZERO);
            }
            transpose(panel, width, block.part(0, block.rows, first, cols));
        }
    }
}

/// Copies a matrix whose columns are contiguous, four by four.
#[inline(always)]
fn transpose<E: Float>(panel: &mut [E], width: usize, block: Mat<'_, E>) {
    let column = |c: usize| &block.data[c * block.col_stride..][..block.rows];
    let (even_rows, even_cols) = (block.rows / 4 * 4, block.cols / 4 * 4);
    for c in (0..even_cols).step_by(4) {
        let pieces = |c: usize| column(c).as_chunks::<4>().0.iter().copied();
        let columns = pieces(c).zip(pieces(c + 1)).zip(pieces(c + 2).zip(pieces(c + 3)));
        for (rows, ((a, b), (x, y))) in panel.chunks_exact_mut(4 * width).zip(columns) {
            let square = E::transpose([a, b, x, y]);
            for k in 0..4 {
                rows[k * width + c..][..4].copy_from_slice(&square[k]);
            }
        }
    }
    for c in 0..block.cols {
        let from = if c < even_cols { even_rows } else { 0 };
        for (k, x) in column(c).iter().enumerate().skip(from) {
            panel[k * width + c] = *x;
        }
    }
}
