//! The parameters as an optimizer sees them: tensors in a flat vector, with their rates and decays.

use std::sync::Arc;

use crate::architecture::Parameter;

/// A parameter tensor in the flat vector, as rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// nanoGPT's name.
    pub name: Arc<str>,
    /// The transformer block it belongs to.
    pub layer: Option<u32>,
    /// Position of its first number.
    pub start: usize,
    /// Neurons of a matrix, 1 for a vector.
    pub rows: usize,
    /// Numbers per row.
    pub columns: usize,
    /// Whether it is a matrix, whose rows are neurons.
    pub matrix: bool,
    /// Its learning rate over the optimizer's: 1, unless the optimizer's groups differ.
    pub rate: f64,
    /// Its weight decay over the optimizer's: 1 where it decays and 0 where not, unless groups say otherwise.
    pub decay: f64,
}

impl Part {
    /// All parameters of a model.
    pub fn all(parameters: &[Parameter]) -> Vec<Part> {
        let part = |p: &Parameter| {
            let matrix = p.is_matrix();
            let rows = if matrix { p.shape[0] } else { 1 };
            let columns = p.len() / rows;
            Part {
                name: p.name.as_str().into(),
                layer: p.layer.map(|layer| layer as u32),
                start: p.offset,
                rows,
                columns,
                matrix,
                rate: 1.0,
                decay: if p.decayed { 1.0 } else { 0.0 },
            }
        };
        parameters.iter().map(part).collect()
    }

    /// A vector of n numbers, none of which decays: what a test or a study of one function optimizes.
    pub fn vector(name: &str, n: usize) -> Part {
        let name = name.into();
        Part { name, layer: None, start: 0, rows: 1, columns: n, matrix: false, rate: 1.0, decay: 0.0 }
    }

    /// How many numbers.
    pub fn len(&self) -> usize {
        self.rows * self.columns
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Numbers a thread takes at a time, about.
const PIECE: usize = 1 << 14;

/// A piece of a tensor.
pub(super) struct Piece<'a> {
    /// Which of the tensors.
    pub index: usize,
    /// The tensor.
    pub part: &'a Part,
    /// Numbers.
    pub len: usize,
}

/// Pieces of whole rows that cover all tensors in order, cut at fixed places: no sum over them depends on the number of
/// threads.
pub(super) fn pieces(parts: &[Part]) -> Vec<Piece<'_>> {
    let cut = |(index, part)| {
        let part: &Part = part;
        let stride = (PIECE / part.columns.max(1)).max(1) * part.columns.max(1);
        (0..part.len()).step_by(stride).map(move |at| Piece { index, part, len: stride.min(part.len() - at) })
    };
    parts.iter().enumerate().flat_map(cut).collect()
}

/// The first `len` numbers, which `rest` loses.
pub(super) fn take<'a, T>(rest: &mut &'a [T], len: usize) -> &'a [T] {
    let (head, tail) = rest.split_at(len);
    *rest = tail;
    head
}

/// [`take`], of numbers that may be changed.
pub(super) fn take_mut<'a, T>(rest: &mut &'a mut [T], len: usize) -> &'a mut [T] {
    let (head, tail) = std::mem::take(rest).split_at_mut(len);
    *rest = tail;
    head
}
