//! The inputs of the linear layers, as a forward pass meets them, for a sample of tokens.

use burn::tensor::Tensor;

use super::forward::Forward;
use super::gpt::Gpt;
use crate::architecture::{Parameter, Role};
use crate::base::error::Result;
use crate::base::values::Values;
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
        let mut inputs = self.no_inputs(batch, tokens);
        let mut seen = 0;
        for micro in batch.micro_batches(micro_batch) {
            let forward = self.forward(&micro, false);
            self.pick(&forward, seen, tokens, &mut inputs);
            seen += forward.nll.len();
        }
        Ok(inputs)
    }

    /// What `pick` appends to.
    pub(super) fn no_inputs(&self, batch: &Batch, tokens: &[usize]) -> LayerInputs {
        let head = if self.config().tied_lm_head { Role::TokenEmbedding } else { Role::Head };
        let list = self.layout().by_layer();
        let weights = list.iter().filter(|p| p.is_linear()).chain(list.iter().filter(|p| p.role == head));
        let none = |p: &Parameter| (p.name.clone(), Values::zeros(0, self.dtype()));
        let layers = weights.map(none).collect();
        LayerInputs { tokens: batch.num_tokens(), rows: tokens.len(), layers }
    }

    /// Appends the inputs of those tokens that lie in this micro-batch, which begins at token `first`.
    pub(super) fn pick(&self, forward: &Forward, first: usize, tokens: &[usize], inputs: &mut LayerInputs) {
        let last = first + forward.nll.len();
        let here: Vec<usize> =
            tokens.iter().filter(|t| (first..last).contains(t)).map(|t| t - first).collect();
        if here.is_empty() {
            return;
        }
        let all = forward.blocks.iter().flat_map(|block| block.inputs()).chain([&forward.h]);
        for ((_, picked), x) in inputs.layers.iter_mut().zip(all) {
            append(picked, x, &here);
        }
    }
}

/// Appends rows of x, picked on the host.
fn append(picked: &mut Values, x: &Tensor<2>, rows: &[usize]) {
    let [_, columns] = x.dims();
    let data = x.to_data();
    match picked {
        Values::F32(picked) => pick(picked, data.as_slice().expect("one dtype"), columns, rows),
        Values::F64(picked) => pick(picked, data.as_slice().expect("one dtype"), columns, rows),
    }
}

fn pick<T: Copy>(picked: &mut Vec<T>, x: &[T], columns: usize, rows: &[usize]) {
    rows.iter().for_each(|row| picked.extend_from_slice(&x[row * columns..(row + 1) * columns]));
}
