//! The model: parameters on a device, its loss, logits and gradient.

use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::fold::{Partial, fold};
use super::forward::Forward;
use super::layers::block::{self, Shape};
use super::layers::layer_norm;
use super::parameters::{GptLayers, Layout, Weights, WeightsDot};
use crate::architecture::GptConfig;
use crate::base::error::{Error, Result};
use crate::base::values::{DType, Values};
use crate::data::Batch;
use crate::kernels::attention::Heads;
use crate::kernels::{cross_entropy as head, embedding, linear};

/// A GPT with its parameters on a device; a copy shares them.
#[derive(Clone)]
pub struct Gpt {
    layout: Arc<Layout>,
    weights: Arc<Weights>,
    dtype: DType,
}

impl Gpt {
    /// A model of `config` with the parameters in `values` (flat, in the order of
    /// [`GptConfig::parameters`]), in their dtype.
    ///
    /// # Errors
    /// [`Error::Usage`] where the configuration is impossible or the lengths differ.
    pub fn new(config: &GptConfig, values: &Values, device: &Device) -> Result<Self> {
        config.validate()?;
        let layout = Arc::new(Layout::new(config, device));
        if values.len() != layout.n() {
            return Err(Error::usage(format!(
                "{} numbers were given for a model of {} parameters",
                values.len(),
                layout.n()
            )));
        }
        let weights = layout.weights(values).into();
        Ok(Gpt { layout, weights, dtype: values.dtype() })
    }

    /// The architecture.
    pub fn config(&self) -> &GptConfig {
        self.layout.config()
    }

    /// Where each parameter lies in a flat vector.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The precision of parameters and activations.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    pub(super) fn weights(&self) -> &Weights {
        &self.weights
    }

    /// Replaces the parameters.
    ///
    /// # Panics
    /// Where they are of another number or precision: a caller's mistake.
    pub fn set_parameters(&mut self, values: &Values) {
        *self = self.at(values);
    }

    /// The same model at other parameters.
    ///
    /// # Panics
    /// As [`set_parameters`](Self::set_parameters).
    pub fn at(&self, values: &Values) -> Self {
        assert_eq!((values.len(), values.dtype()), (self.layout.n(), self.dtype));
        Gpt { layout: self.layout.clone(), weights: self.layout.weights(values).into(), dtype: self.dtype }
    }

    /// The head's matrix: its own, or the token embedding.
    pub(super) fn head(&self) -> &Tensor<2> {
        self.weights.lm_head.as_ref().unwrap_or(&self.weights.wte)
    }

    pub(super) fn shape(&self, batch: &Batch) -> Shape {
        Shape {
            heads: Heads { batch: batch.batch_size(), seq: batch.seq(), n_head: self.config().n_head },
            activation: self.config().activation,
            eps: self.config().layer_norm_eps,
            residual: false,
        }
    }

    /// Checks that sequences fit the position table and ids the vocabulary.
    ///
    /// # Errors
    /// [`Error::Usage`] naming what does not fit.
    pub fn check(&self, batch: &Batch) -> Result<()> {
        if batch.seq() > self.config().block_size {
            return Err(Error::usage_hint(
                format!(
                    "sequences of {} tokens do not fit the model's block_size of {}",
                    batch.seq(),
                    self.config().block_size
                ),
                format!("use --block-size {}", self.config().block_size),
            ));
        }
        batch.check_vocabulary(self.config().vocab_size, "the batch")
    }

    /// The residual stream after all blocks and what the passes keep; `curvature` keeps second
    /// derivatives too.
    pub(super) fn forward(&self, batch: &Batch, curvature: bool) -> Forward {
        self.forward_shaped(batch, self.shape(batch), curvature)
    }

    pub(super) fn forward_shaped(&self, batch: &Batch, shape: Shape, curvature: bool) -> Forward {
        let ids = |ids: &[u32]| -> Tensor<1, Int> {
            let ids: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
            let n = ids.len();
            Tensor::from_data(TensorData::new(ids, [n]), self.layout.device())
        };
        let (tokens, targets) = (ids(batch.x()), ids(batch.y()));
        let mut x = embedding::embedding(&tokens, &self.weights.wte, &self.weights.wpe, batch.seq());
        let mut blocks = Vec::with_capacity(self.weights.h.len());
        for block in &self.weights.h {
            let (next, kept) = block.forward(&x, shape, curvature);
            x = next;
            blocks.push(kept);
        }
        let (h, ln_f) = self.weights.ln_f.forward(&x, shape.eps);
        let (nll, head) = head::cross_entropy(&h, self.head(), &targets);
        let nll = nll.into_data().iter::<f64>().collect();
        Forward { tokens, targets, shape, blocks, ln_f, h, head, nll }
    }

    /// Mean cross-entropy over all targets, in nats.
    ///
    /// # Errors
    /// [`Error::Usage`] where the batch does not fit the model.
    pub fn loss(&self, batch: &Batch, micro_batch: usize) -> Result<f64> {
        self.check(batch)?;
        let pieces = batch.micro_batches(micro_batch);
        let sum = fold(&pieces, |_, piece| self.forward(piece, false).nll.iter().sum::<f64>());
        Ok(sum / batch.num_tokens() as f64)
    }

    /// The mean loss of each sequence.
    ///
    /// # Errors
    /// [`Error::Usage`] where the batch does not fit the model.
    pub fn sequence_losses(&self, batch: &Batch, micro_batch: usize) -> Result<Vec<f64>> {
        self.check(batch)?;
        let seq = batch.seq();
        let mean = |tokens: &[f64]| tokens.iter().sum::<f64>() / seq as f64;
        let of = |piece: &Batch| self.forward(piece, false).nll.chunks(seq).map(mean).collect::<Vec<_>>();
        Ok(fold(&batch.micro_batches(micro_batch), |_, piece| of(piece)))
    }

    /// The logits (B, T, V), whole: for small models and tests.
    ///
    /// # Errors
    /// [`Error::Usage`] where the batch does not fit the model.
    pub fn logits(&self, batch: &Batch) -> Result<Vec<f64>> {
        self.check(batch)?;
        let z = linear::linear(&self.forward(batch, false).h, self.head(), None, None);
        Ok(z.into_data().iter::<f64>().collect())
    }

    /// (mean loss, its gradient as a flat vector).
    ///
    /// # Errors
    /// [`Error::Usage`] where the batch does not fit the model.
    pub fn gradient(&self, batch: &Batch, micro_batch: usize) -> Result<(f64, Values)> {
        let (loss, gradient, ()) = self.gradient_with(batch, micro_batch, false, |_, _| ())?;
        Ok((loss, gradient))
    }

    /// [`gradient`](Self::gradient), and what `look` makes of each micro-batch's forward pass and of what it adds to
    /// the gradient; `residual` measures the residual stream in the pass.
    pub(super) fn gradient_with<P: Partial>(
        &self,
        batch: &Batch,
        micro_batch: usize,
        residual: bool,
        mut look: impl FnMut(&Forward, &Values) -> P,
    ) -> Result<(f64, Values, P)> {
        self.check(batch)?;
        let weight = 1.0 / batch.num_tokens() as f64;
        let pass = |_, piece: &Batch| {
            let forward = self.forward_shaped(piece, Shape { residual, ..self.shape(piece) }, false);
            let (g_h, g_head) = head::cross_entropy_backward(
                &forward.h,
                self.head(),
                &forward.targets,
                &forward.head,
                weight,
            );
            let dot = self.backward(&forward, lift(g_h), g_head.unsqueeze_dim(0));
            let part = self.layout.collect(dot);
            let seen = look(&forward, part.values());
            (forward.nll.iter().sum::<f64>(), part, seen)
        };
        let (nll, gradient, seen) = fold(&batch.micro_batches(micro_batch), pass);
        Ok((nll * weight, gradient.into_values(), seen))
    }

    /// Parameter gradients from K gradients by the head's input (N, K, C) and matrix (K, V, C).
    pub(super) fn backward(&self, forward: &Forward, g_h: Tensor<3>, g_head: Tensor<3>) -> WeightsDot {
        let shape = forward.shape;
        let (mut g_x, ln_f) = self.weights.ln_f.backward(&forward.ln_f, &g_h, None);
        let mut h = Vec::with_capacity(self.weights.h.len());
        for (block, kept) in self.weights.h.iter().zip(&forward.blocks).rev() {
            let (next, gradient) = block.backward(kept, shape, &g_x);
            g_x = next;
            h.push(gradient);
        }
        h.reverse();
        self.join_embedding(&forward.tokens, g_x, h, ln_f, g_head, shape.heads.seq)
    }

    /// The gradient's layers, with the embedding's from g_x (N, K, C) and the head's where it belongs.
    pub(super) fn join_embedding(
        &self,
        tokens: &Tensor<1, Int>,
        g_x: Tensor<3>,
        h: Vec<block::BlockDot>,
        ln_f: layer_norm::LayerNormDot,
        g_head: Tensor<3>,
        seq: usize,
    ) -> WeightsDot {
        let (vocab_size, block_size) = (self.config().vocab_size, self.config().block_size);
        let (wte, wpe) = embedding::embedding_backward(tokens, &g_x, seq, vocab_size, block_size);
        let (wte, lm_head) =
            if self.config().tied_lm_head { (wte + g_head, None) } else { (wte, Some(g_head)) };
        GptLayers { wte, wpe, h, ln_f, lm_head }
    }
}

/// (N, C) as (N, 1, C): K = 1.
pub(super) fn lift(g: Tensor<2>) -> Tensor<3> {
    g.unsqueeze_dim(1)
}
