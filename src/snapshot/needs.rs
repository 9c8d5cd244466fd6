//! What is asked of the pass on a snapshot's batch beside the loss and its gradient.

use rand::seq::index;

use crate::base::random;

/// What an analysis needs of the pass; whoever makes it makes all of it at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// The linear layers' inputs for this many tokens; 0 is all.
    pub token_rows: Option<usize>,
    /// What the forward pass sees of attention and the residual stream.
    pub statistics: bool,
    /// The moments of the gradients of micro-batches, where the batch has several.
    pub micro_batches: bool,
}

impl Needs {
    /// What serves both.
    pub fn or(self, other: Needs) -> Needs {
        let token_rows = match (self.token_rows, other.token_rows) {
            (Some(a), Some(b)) => Some(if a == 0 || b == 0 { 0 } else { a.max(b) }),
            (a, b) => a.or(b),
        };
        Needs {
            token_rows,
            statistics: self.statistics || other.statistics,
            micro_batches: self.micro_batches || other.micro_batches,
        }
    }
}

/// Which `wanted` (0: all) of a batch's tokens are looked at at `step`, ascending.
pub fn sample_tokens(seed: u64, step: u64, tokens: usize, wanted: usize) -> Vec<usize> {
    if wanted == 0 || wanted >= tokens {
        return (0..tokens).collect();
    }
    let random = &mut random::stream(seed, step, "representation change");
    let mut chosen = index::sample(random, tokens, wanted).into_vec();
    chosen.sort_unstable();
    chosen
}
