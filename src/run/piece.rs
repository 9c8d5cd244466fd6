//! Rows of a parameter as a tensor of a file has them: all or some, as they are or transposed.

use std::ops::Range;

use super::tensors::{Stored, TensorFile, decode};
use crate::base::error::{Error, Result};

/// Rows of a parameter, as a file has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    tensor: String,
    /// As the file has it.
    shape: Vec<usize>,
    transposed: bool,
    /// Of the tensor, after it was transposed.
    rows: Range<usize>,
}

impl Piece {
    /// A whole tensor of that name and shape, as it is.
    pub fn whole(tensor: impl Into<String>, shape: &[usize]) -> Self {
        let rows = 0..shape.first().copied().unwrap_or(1);
        Piece { tensor: tensor.into(), shape: shape.into(), transposed: false, rows }
    }

    /// The transpose of a whole matrix.
    pub fn transposed(mut self) -> Self {
        self.transposed = !self.transposed;
        self.rows = 0..self.extents().first().copied().unwrap_or(1);
        self
    }

    /// Some of the rows, counted after transposing.
    pub fn rows(mut self, rows: Range<usize>) -> Self {
        self.rows = rows;
        self
    }

    /// The tensor's name.
    pub fn tensor(&self) -> &str {
        &self.tensor
    }

    /// Gives the tensor another name.
    pub fn rename(&mut self, name: impl Fn(&str) -> String) {
        self.tensor = name(&self.tensor);
    }

    /// Numbers of the whole tensor.
    pub fn total(&self) -> usize {
        self.shape.iter().product()
    }

    /// Extents of the tensor with rows first.
    fn extents(&self) -> Vec<usize> {
        let turned = self.shape.iter().rev().copied();
        if self.transposed { turned.collect() } else { self.shape.clone() }
    }

    /// Numbers in a row.
    fn row(&self) -> usize {
        self.extents().iter().skip(1).product()
    }

    /// How many numbers it gives.
    pub fn count(&self) -> usize {
        self.rows.len() * self.row()
    }

    /// Whether its rows are rows of the tensor; only matrices are transposed.
    pub fn fits(&self) -> bool {
        let turns = !self.transposed || self.shape.len() == 2;
        turns
            && self.rows.start <= self.rows.end
            && self.rows.end <= self.extents().first().copied().unwrap_or(1)
    }

    /// What the file says of the tensor's type.
    ///
    /// # Errors
    /// Where the tensor is missing, is no float, or has another shape.
    pub fn stored(&self, file: &dyn TensorFile) -> Result<Stored> {
        let wrong = |problem: String| Error::tensor(file.path(), &self.tensor, problem);
        let Some((kind, shape)) = file.describe(&self.tensor) else {
            return Err(wrong(format!(
                "is missing; the configuration asks for it with shape {:?}",
                self.shape
            )));
        };
        let kind =
            kind.map_err(|kind| wrong(format!("is of type {kind}; expected f32, f64, f16 or bf16")))?;
        if shape != self.shape {
            return Err(wrong(format!("has shape {shape:?}; the configuration asks for {:?}", self.shape)));
        }
        Ok(kind)
    }

    /// Its numbers' bytes.
    fn bytes(&self, file: &dyn TensorFile, kind: Stored) -> Result<Vec<u8>> {
        let mut bytes = file.bytes(&self.tensor)?;
        let expected = self.total() * kind.size();
        if bytes.len() != expected {
            let problem = format!("holds {} bytes of {expected}", bytes.len());
            return Err(Error::tensor(file.path(), &self.tensor, problem));
        }
        if let ([rows, columns], true) = (&self.shape[..], self.transposed) {
            bytes = transpose(&bytes, *rows, *columns, kind.size());
        }
        let row = self.row() * kind.size();
        bytes.truncate(self.rows.end * row);
        Ok(bytes.split_off(self.rows.start * row))
    }

    /// The indices in the file's tensor of the piece's number `at`.
    fn place(&self, at: usize) -> Vec<usize> {
        let mut at = self.rows.start * self.row() + at;
        let mut indices: Vec<usize> = self
            .extents()
            .iter()
            .rev()
            .map(|&extent| {
                let i = at % extent;
                at /= extent;
                i
            })
            .collect();
        if !self.transposed {
            indices.reverse();
        }
        indices
    }
}

/// The bytes of a matrix of numbers of `size` bytes, transposed.
fn transpose(bytes: &[u8], rows: usize, columns: usize, size: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for column in 0..columns {
        for row in 0..rows {
            let at = (row * columns + column) * size;
            out.extend_from_slice(&bytes[at..at + size]);
        }
    }
    out
}

/// Writes the numbers of pieces one after the other; none may be infinite or no number.
///
/// # Errors
/// Naming the tensor, and where in it the problem is.
pub fn fill<T: Copy + Into<f64>>(
    file: &dyn TensorFile,
    pieces: &[Piece],
    mut out: &mut [T],
    cast: impl Fn(f64) -> T,
) -> Result<()> {
    for piece in pieces {
        let kind = piece.stored(file)?;
        let bytes = piece.bytes(file, kind)?;
        let (numbers, rest) = out.split_at_mut(piece.count());
        decode(&bytes, kind, numbers, &cast);
        let mut wrong = (0..numbers.len()).filter(|&i| !numbers[i].into().is_finite());
        if let Some(first) = wrong.next() {
            let (number, place, count) = (numbers[first].into(), piece.place(first), 1 + wrong.count());
            let problem = format!("holds {number} at {place:?}: {count} of its numbers are not finite");
            return Err(Error::tensor(file.path(), &piece.tensor, problem));
        }
        out = rest;
    }
    Ok(())
}
