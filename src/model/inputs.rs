//! The inputs of the linear layers, as a forward pass meets them, for a sample of tokens.

use burn::tensor::{Element, Tensor, TensorData};

use super::fold::{Partial, fold};
use super::forward::Forward;
use super::gpt::Gpt;
use crate::architecture::Role;
use crate::base::error::Result;
use crate::base::values::{DType, Values};
use crate::data::Batch;

/// What enters each linear layer for some tokens of a batch.
#[derive(Debug, Clone)]
pub struct LayerInputs {
    /// Tokens of the whole batch.
    pub tokens: usize,
    /// Tokens looked at, R.
    pub rows: usize,
    /// (the layer's weight, its inputs (R, I) row-major); a tied head is its embedding.
    pub layers: Vec<(String, Values)>,
}

impl Gpt {
    /// The linear layers' inputs for `tokens`, positions in the batch, ascending.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::base::error::Error::Usage) where the batch does not fit the model.
    pub fn inputs(&self, batch: &Batch, micro_batch: usize, tokens: &[usize]) -> Result<LayerInputs> {
        self.check(batch)?;
        let mut first = 0;
        Ok(fold(&batch.micro_batches(micro_batch), |_, piece| {
            let forward = self.forward(piece, false);
            let inputs = self.inputs_of(&forward, first, tokens);
            first += inputs.tokens;
            inputs
        }))
    }

    /// The inputs of those tokens that lie in this micro-batch, which begins at token `first`.
    pub(super) fn inputs_of(&self, forward: &Forward, first: usize, tokens: &[usize]) -> LayerInputs {
        let here = first..first + forward.nll.len();
        let rows: Vec<usize> = tokens.iter().filter(|t| here.contains(t)).map(|t| t - first).collect();
        let head = if self.config().tied_lm_head { Role::TokenEmbedding } else { Role::Head };
        let list = self.layout().by_layer();
        let weights = list.iter().filter(|p| p.is_linear()).chain(list.iter().filter(|p| p.role == head));
        let inputs = forward.blocks.iter().flat_map(|block| block.inputs()).chain([&forward.h]);
        let layers =
            weights.zip(inputs).map(|(p, x)| (p.name.clone(), pick(x, self.dtype(), &rows))).collect();
        LayerInputs { tokens: here.len(), rows: rows.len(), layers }
    }
}

impl Partial for LayerInputs {
    fn add(&mut self, next: Self) {
        self.tokens += next.tokens;
        self.rows += next.rows;
        for ((_, x), (_, next)) in self.layers.iter_mut().zip(next.layers) {
            x.append(next);
        }
    }
}

/// Rows of x, picked on the host.
fn pick(x: &Tensor<2>, dtype: DType, rows: &[usize]) -> Values {
    fn of<T: Copy + Element>(data: &TensorData, columns: usize, rows: &[usize]) -> Vec<T> {
        let x = data.as_slice().expect("one dtype");
        rows.iter().flat_map(|row| &x[row * columns..(row + 1) * columns]).copied().collect()
    }
    if rows.is_empty() {
        return Values::zeros(0, dtype);
    }
    let ([_, columns], data) = (x.dims(), x.to_data());
    match dtype {
        DType::F32 => Values::F32(of(&data, columns, rows)),
        DType::F64 => Values::F64(of(&data, columns, rows)),
    }
}
