//! What a forward pass says besides the loss: the softmax rows of every attention head, the residual stream,
//! and the head's normaliser.
//!
//! All of it falls out of passes that run anyway (entropy is log Z minus the mean logit, from the softmax's own
//! sums), but for the residual stream, which is read once more, and only when it is asked for.

use std::sync::Arc;

use burn::tensor::{DType, Tensor};

use super::fold::{Partial, fold};
use super::forward::Forward;
use super::gpt::Gpt;
use super::layers::block::{Kept, Shape};
use super::parameters::Layout;
use crate::base::error::Result;
use crate::data::Batch;

/// One row of one head's softmax: query position i sees keys 0 to i.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RowStatistics {
    /// −Σ p ln p, nats.
    pub entropy: f64,
    /// The largest logit q·k/√d among the keys seen.
    pub largest_logit: f64,
    /// Euclidean norm of the logits of the keys seen.
    pub logit_norm: f64,
}

/// One block of the model.
#[derive(Debug, Clone, PartialEq)]
struct LayerStatistics {
    module: Arc<str>,
    /// (B, H, T).
    rows: Vec<RowStatistics>,
    /// Of each token the three mean squares of the residual stream.
    residual: Vec<[f64; 3]>,
}

/// What was seen in the forward passes of one batch.
#[derive(Debug, Clone, PartialEq)]
pub struct ForwardStatistics {
    seq: usize,
    n_head: usize,
    layers: Vec<LayerStatistics>,
    /// Sum of log Z over tokens.
    log_z: f64,
    tokens: usize,
}

impl ForwardStatistics {
    /// Of one forward pass.
    pub(super) fn new(forward: &Forward, layout: &Layout) -> Self {
        let of = |(module, block): (&Arc<str>, &Kept)| {
            let rows = numbers(&block.attn.statistics);
            let row = |&[entropy, largest_logit, logit_norm]: &[f64; 3]| RowStatistics {
                entropy,
                largest_logit,
                logit_norm,
            };
            let residual = block.residual.iter().flat_map(|r| numbers(r).as_chunks().0.to_vec());
            LayerStatistics {
                module: module.clone(),
                rows: rows.as_chunks().0.iter().map(row).collect(),
                residual: residual.collect(),
            }
        };
        let heads = forward.shape.heads;
        ForwardStatistics {
            seq: heads.seq,
            n_head: heads.n_head,
            layers: layout.blocks().zip(&forward.blocks).map(of).collect(),
            log_z: numbers(&forward.head.lse).iter().sum(),
            tokens: forward.nll.len(),
        }
    }

    /// T.
    pub fn seq(&self) -> usize {
        self.seq
    }

    /// B·T.
    pub fn num_tokens(&self) -> usize {
        self.tokens
    }

    /// Blocks.
    pub fn n_layer(&self) -> usize {
        self.layers.len()
    }

    /// The name of block `layer`.
    pub fn module(&self, layer: usize) -> &Arc<str> {
        &self.layers[layer].module
    }

    /// Heads per block.
    pub fn n_head(&self) -> usize {
        self.n_head
    }

    /// The rows of one head, sequence after sequence, (B·T): row r has query position r modulo T.
    pub fn rows(&self, layer: usize, head: usize) -> Vec<RowStatistics> {
        let sequences = self.layers[layer].rows.chunks(self.seq).skip(head).step_by(self.n_head);
        sequences.flatten().copied().collect()
    }

    /// Mean over tokens of log Σ exp z of the logits z, nats.
    pub fn log_z(&self) -> f64 {
        self.log_z / self.tokens as f64
    }

    /// Root mean square, over tokens and channels, of the stream that enters block `layer`, of what attention
    /// adds to it, and of what the MLP adds to that.
    pub fn residual_rms(&self, layer: usize) -> [f64; 3] {
        let mut squares = [0.0; 3];
        for token in &self.layers[layer].residual {
            squares = std::array::from_fn(|i| squares[i] + token[i]);
        }
        squares.map(|square: f64| (square / self.tokens as f64).sqrt())
    }
}

impl Partial for ForwardStatistics {
    fn add(&mut self, next: Self) {
        self.log_z += next.log_z;
        self.tokens += next.tokens;
        for (layer, next) in self.layers.iter_mut().zip(next.layers) {
            layer.rows.extend(next.rows);
            layer.residual.extend(next.residual);
        }
    }
}

impl Gpt {
    /// What a forward pass says about attention and the residual stream.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::base::error::Error::Usage) where the batch does not fit the model.
    pub fn statistics(&self, batch: &Batch, micro_batch: usize) -> Result<ForwardStatistics> {
        self.check(batch)?;
        Ok(fold(&batch.micro_batches(micro_batch), |_, piece| {
            let shape = Shape { residual: true, ..self.shape(piece) };
            ForwardStatistics::new(&self.forward_shaped(piece, shape, false), self.layout())
        }))
    }
}

/// A tensor's numbers, widened.
fn numbers<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    let data = tensor.to_data();
    match data.dtype() {
        DType::F32 => data.as_slice::<f32>().map(|v| v.iter().map(|&x| f64::from(x)).collect()),
        _ => data.as_slice::<f64>().map(<[f64]>::to_vec),
    }
    .expect("the kernels compute in f32 and f64")
}
