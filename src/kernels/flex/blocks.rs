//! Where the heads of packed tensors lie, and the blocks of rows that attention is computed by.
//!
//! P and its companions hold, per sequence, head and direction, the blocks one after the other: rows of a block
//! have as many entries as its last row sees keys, those above the diagonal zero. Nothing right of a block exists,
//! so that all that is handed out is written, and long sequences take half the memory of (T, T).

use super::float::Float;
use super::gemm::{Mat, MatMut, Shared};
use crate::kernels::heads::{BLOCK, Heads, kept};

/// The rows of one sequence and head in packed tensors.
#[derive(Clone, Copy)]
pub struct Place {
    pub heads: Heads,
    /// Directions in the tensor, and which.
    pub k: usize,
    pub j: usize,
    pub b: usize,
    pub h: usize,
    /// Channels of a head.
    pub d: usize,
}

impl Place {
    /// Offset and row stride of part `part` of `parts` in a tensor (N, K, parts·C).
    fn strides(self, part: usize, parts: usize) -> (usize, usize) {
        let c = self.heads.n_head * self.d;
        let width = parts * c;
        ((self.b * self.heads.seq * self.k + self.j) * width + part * c + self.h * self.d, self.k * width)
    }

    pub fn view<E: Float>(self, tensor: &[E], part: usize, parts: usize) -> Mat<'_, E> {
        let (offset, stride) = self.strides(part, parts);
        Mat::new(&tensor[offset..], self.heads.seq, self.d, stride)
    }

    /// Rows `start..start + count` of the same part, to be written.
    ///
    /// # Safety
    /// Tasks have different places, and a task uses one part at a time.
    #[allow(unsafe_code)]
    pub unsafe fn rows<'a, E>(
        self,
        tensor: Shared<'a, E>,
        part: usize,
        parts: usize,
        start: usize,
        count: usize,
    ) -> MatMut<'a, E> {
        let (offset, stride) = self.strides(part, parts);
        // SAFETY: different places and parts have no entry in common
        unsafe { tensor.part(offset + start * stride, count, self.d, stride) }
    }

    pub fn q<E: Float>(self, qkv: &[E]) -> Mat<'_, E> {
        self.view(qkv, 0, 3)
    }
    pub fn k<E: Float>(self, qkv: &[E]) -> Mat<'_, E> {
        self.view(qkv, 1, 3)
    }
    pub fn v<E: Float>(self, qkv: &[E]) -> Mat<'_, E> {
        self.view(qkv, 2, 3)
    }
}

/// Place of task `index` among (B, H, K).
pub fn place(index: usize, k: usize, heads: Heads, d: usize) -> Place {
    let (pair, j) = (index / k, index % k);
    Place { heads, k, j, b: pair / heads.n_head, h: pair % heads.n_head, d }
}

/// The same sequence and head in a tensor without directions.
pub fn primal(place: Place) -> Place {
    Place { k: 1, j: 0, ..place }
}

/// A block of rows of P.
#[derive(Clone, Copy)]
pub struct Block {
    /// Its first row.
    pub start: usize,
    pub rows: usize,
    pub cols: usize,
    /// Where it begins among a task's numbers.
    pub at: usize,
}

impl Block {
    /// Its numbers, (rows, cols), among those of a task.
    pub fn of<E>(self, all: &[E]) -> &[E] {
        &all[self.at..][..self.rows * self.cols]
    }

    pub fn of_mut<E>(self, all: &mut [E]) -> &mut [E] {
        &mut all[self.at..][..self.rows * self.cols]
    }
}

/// Every block, from the top.
pub fn blocks(seq: usize) -> impl DoubleEndedIterator<Item = Block> {
    (0..seq.div_ceil(BLOCK)).map(move |i| {
        let (start, cols) = (i * BLOCK, seq.min((i + 1) * BLOCK));
        Block { start, rows: cols - start, cols, at: kept(start) }
    })
}

/// The numbers of a task in P or one of its companions.
pub fn task<E: Float>(all: &[E], index: usize, seq: usize) -> &[E] {
    &all[index * kept(seq)..][..kept(seq)]
}
