//! A run at one step, in memory.

use std::path::PathBuf;

use super::optimizer::OptimizerState;
use crate::architecture::GptConfig;
use crate::base::values::Values;

/// Parameters, optimizer state and what else is known of a run at one step.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// Where it was read from.
    pub path: PathBuf,
    /// The run's name.
    pub run: String,
    /// Its format's name.
    pub format: &'static str,
    /// Updates applied, as the run counts them.
    pub step: u64,
    /// The architecture.
    pub config: GptConfig,
    /// All parameters, flat, in the order of [`GptConfig::parameters`].
    pub parameters: Values,
    /// The optimizer's hyperparameters and moments, where the checkpoint has them.
    pub optimizer: Option<OptimizerState>,
    /// Norm of the gradient of update N+1 before clipping, where the run's log has it.
    pub next_grad_norm: Option<f64>,
    /// Why there is no optimizer, for whoever needs one.
    pub without_optimizer: Option<NoOptimizer>,
    /// Training loss, where the checkpoint has it.
    pub loss: Option<f64>,
    /// The seed that batches are drawn from, for runs of our own.
    pub seed: Option<u64>,
    /// What the reader had to assume; said on stderr and in the reports' metadata.
    pub notes: Vec<String>,
    /// SHA-256 of the files, in hexadecimal.
    pub sha256: String,
}

/// Which of an optimizer's vectors something reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moments {
    /// None.
    None,
    /// Those that its preconditioner is made of.
    Second,
    /// All.
    Both,
}

/// Why a checkpoint has no optimizer to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoOptimizer {
    /// What is missing or wrong, a clause.
    pub reason: String,
    /// What to do about it.
    pub hint: &'static str,
}
