//! The inputs of the linear layers, as a forward pass meets them, for a sample of tokens.

use burn::tensor::Tensor;

use super::forward::Forward;
use super::gpt::Gpt;
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
        let mut inputs = LayerInputs { tokens: batch.num_tokens(), rows: tokens.len(), layers: vec![] };
        let mut seen = 0;
        for micro in batch.micro_batches(micro_batch) {
            let forward = self.forward(&micro, false);
            self.pick(&forward, seen, tokens, &mut inputs);
            seen += forward.nll.len();
        }
        Ok(inputs)
    }

    /// Appends the inputs of those tokens that lie in this micro-batch, which begins at token `first`.
    pub(super) fn pick(&self, forward: &Forward, first: usize, tokens: &[usize], inputs: &mut LayerInputs) {
        let last = first + forward.nll.len();
        let here: Vec<usize> =
            tokens.iter().filter(|t| (first..last).contains(t)).map(|t| t - first).collect();
        if here.is_empty() {
            return;
        }
        let head = if self.config().tied_lm_head { "transformer.wte.weight" } else { "lm_head.weight" };
        let blocks = forward.blocks.iter().enumerate().flat_map(|(layer, kept)| {
            let name = move |part: &str| format!("transformer.h.{layer}.{part}.weight");
            kept.inputs().map(|(part, x)| (name(part), x))
        });
        let all = blocks.chain([(head.to_string(), &forward.h)]);
        for (i, (name, x)) in all.enumerate() {
            if inputs.layers.len() == i {
                let none = if self.dtype() == DType::F32 { Values::F32(vec![]) } else { Values::F64(vec![]) };
                inputs.layers.push((name, none));
            }
            append(&mut inputs.layers[i].1, x, &here);
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
