//! One training step as it happens: what an analysis can measure without a checkpoint.
//!
//! A number belongs to the step whose checkpoint determines it. What follows from the state after update t
//! is stamped t; what needs the gradient or a forward pass at the parameters before it is stamped t−1.

use std::sync::Arc;

use rand::seq::index;

use crate::architecture::GptConfig;
use crate::base::random;
use crate::base::row::{Origin, Row};
use crate::base::values::Values;
use crate::data::Batch;
use crate::model::{ForwardStatistics, Gpt, GradientMoments, LayerInputs};
use crate::optim::UpdateStatistics;

/// An update just applied.
pub struct Step<'a> {
    /// The run's name.
    pub run: &'a Arc<str>,
    /// The architecture.
    pub config: &'a GptConfig,
    /// The optimizer's name.
    pub optimizer: &'a str,
    /// Sums over each tensor; knows the update's number, rates and hyperparameters.
    pub update: &'a UpdateStatistics,
    /// Learning rate of the update after it.
    pub next_lr: f64,
    /// Gradient norm above which the run scales gradients down; 0 is never.
    pub grad_clip: f64,
    /// Its batch.
    pub batch: &'a Batch,
    /// The model before it.
    pub gpt: &'a Gpt,
    /// Mean loss of its batch before the update.
    pub loss: f64,
    /// Norm of its gradient before clipping.
    pub grad_norm: f64,
    /// The gradient before clipping, flat.
    pub gradient: &'a Values,
    /// Parameters after the update, flat.
    pub parameters: &'a Values,
    /// First moment after the update, flat.
    pub exp_avg: &'a Values,
    /// Second moment after the update, flat.
    pub exp_avg_sq: &'a Values,
    /// Inputs of the linear layers before the update, where they were asked for.
    pub inputs: Option<&'a LayerInputs>,
    /// What the forward pass before the update saw, where it was asked for.
    pub statistics: Option<&'a ForwardStatistics>,
    /// Of the gradients of its micro-batches before the update, where they were asked for and there are several.
    pub micro_batches: Option<&'a GradientMoments>,
}

impl Step<'_> {
    /// The rows with run, analysis, batch and step: `state` belongs to the parameters after the update,
    /// `gradient` to those before it.
    pub fn stamp(&self, analysis: &str, gradient: Vec<Row>, state: Vec<Row>) -> Vec<Row> {
        let after = Origin::new(self.run.clone(), analysis, self.batch.id(), self.update.step);
        let before = Origin { step: after.step - 1, ..after.clone() };
        let gradient = gradient.into_iter().map(|row| row.stamp(&before));
        gradient.chain(state.into_iter().map(|row| row.stamp(&after))).collect()
    }
}

/// What an analysis asks of a step beside the update itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The linear layers' inputs for this many tokens; 0 is all.
    pub token_rows: Option<usize>,
    /// What the forward pass sees of attention and the residual stream.
    pub statistics: bool,
    /// The moments of the gradients of micro-batches, where the batch has several.
    pub micro_batches: bool,
}

impl Wanted {
    /// What serves both.
    pub fn or(self, other: Wanted) -> Wanted {
        let token_rows = match (self.token_rows, other.token_rows) {
            (Some(a), Some(b)) => Some(if a == 0 || b == 0 { 0 } else { a.max(b) }),
            (a, b) => a.or(b),
        };
        Wanted {
            token_rows,
            statistics: self.statistics || other.statistics,
            micro_batches: self.micro_batches || other.micro_batches,
        }
    }
}

/// Which `wanted` (0: all) of a batch's tokens are looked at where `updates` updates are applied, ascending.
pub fn sample_tokens(seed: u64, updates: u64, tokens: usize, wanted: usize) -> Vec<usize> {
    if wanted == 0 || wanted >= tokens {
        return (0..tokens).collect();
    }
    let random = &mut random::stream(seed, updates, "representation change");
    let mut chosen = index::sample(random, tokens, wanted).into_vec();
    chosen.sort_unstable();
    chosen
}
