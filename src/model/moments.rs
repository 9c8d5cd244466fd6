//! Of the gradients of parts of a batch, what their noise follows from: ‖g_i‖² and g_i·ḡ of every parameter tensor,
//! with ḡ the gradient of the whole batch.
//!
//! From the primal pass that curvature keeps, which has the inputs and the output gradients of every layer, they
//! follow without a gradient of each part ([`kernels::moments`](crate::kernels::moments)): about one GEMM of each
//! layer, some 40 % of a gradient, and no vector of n numbers but ḡ.

use burn::tensor::Tensor;
use rayon::prelude::*;

use super::fold::Partial;
use super::gpt::Gpt;
use super::parameters::{GptLayers, Weights};
use super::primal::Primal;
use crate::architecture::Parameter;
use crate::base::values::Values;
use crate::kernels::moments as kernel;

/// For every parameter tensor, in the order of the flat vector, and every sample: [‖g_i‖², g_i·ḡ].
#[derive(Debug, Clone, PartialEq)]
pub struct GradientMoments {
    tensors: Vec<Vec<[f64; 2]>>,
}

impl GradientMoments {
    /// Of no sample yet, for a model of `parameters`.
    pub fn new(parameters: &[Parameter]) -> Self {
        GradientMoments { tensors: vec![vec![]; parameters.len()] }
    }

    /// Of each tensor, those of the samples.
    pub fn tensors(&self) -> &[Vec<[f64; 2]>] {
        &self.tensors
    }

    /// How many samples.
    pub fn samples(&self) -> usize {
        self.tensors.first().map_or(0, Vec::len)
    }

    /// Adds a sample whose gradient is at hand, flat, as is their mean.
    pub fn push(&mut self, parameters: &[Parameter], gradient: &Values, mean: &Values) {
        self.tensors.par_iter_mut().zip(parameters).for_each(|(moments, parameter)| {
            let dot = |other| gradient.dot(other, parameter.range());
            moments.push([dot(gradient), dot(mean)]);
        });
    }

    /// Of one sample.
    pub fn of(parameters: &[Parameter], gradient: &Values, mean: &Values) -> Self {
        let mut moments = Self::new(parameters);
        moments.push(parameters, gradient, mean);
        moments
    }

    /// Of gradients `factor` times as large; ḡ stays.
    pub fn scale(&mut self, factor: f64) {
        for [own, with_mean] in self.tensors.iter_mut().flatten() {
            *own *= factor * factor;
            *with_mean *= factor;
        }
    }
}

impl Partial for GradientMoments {
    fn add(&mut self, next: Self) {
        self.tensors.iter_mut().zip(next.tensors).for_each(|(moments, next)| moments.extend(next));
    }
}

impl Primal {
    /// Of each `sequences` sequences in turn, what they contribute to the gradient: its squared norm and its
    /// product with `mean`, which is of the parameters' shapes.
    ///
    /// # Panics
    /// Where the pass is not of a multiple of `sequences`: a caller's mistake.
    pub fn moments(&self, gpt: &Gpt, mean: &Weights, sequences: usize) -> GradientMoments {
        let Primal { forward, weight, g_h, blocks, g_x } = self;
        let heads = forward.shape.heads;
        assert!(heads.batch.is_multiple_of(sequences));
        let rows = sequences * heads.seq;
        let tokens = &forward.tokens;
        let head = |mean: &Tensor<2>, tied| {
            let (h, w) = (&forward.h, gpt.head());
            kernel::head(h, w, &forward.targets, &forward.head, *weight, tied, mean, rows)
        };
        let (wte, lm_head) = match &mean.lm_head {
            Some(lm_head) => (kernel::scatter(tokens, g_x, &mean.wte, rows), Some(head(lm_head, None))),
            None => (head(&mean.wte, Some((tokens, g_x))), None),
        };
        // a position's row is the sum over the sequences: a bias of the sequences laid out in rows
        let [_, c] = g_x.dims();
        let by_sequence = g_x.clone().reshape([heads.batch, heads.seq * c]);
        let positions = mean.wpe.clone().slice([0..heads.seq, 0..c]).reshape([heads.seq * c]);
        let wpe = kernel::sum(&by_sequence, None, &positions, sequences);
        let h = mean.h.iter().zip(&forward.blocks).zip(blocks);
        let layers = GptLayers {
            wte,
            wpe,
            h: h.map(|((mean, kept), gradients)| mean.moments(kept, gradients, rows)).collect(),
            ln_f: mean.ln_f.moments(&forward.ln_f, g_h, rows),
            lm_head,
        };
        GradientMoments { tensors: gpt.layout().pairs(layers) }
    }
}
