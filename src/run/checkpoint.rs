//! A run at one step, in memory.

use std::path::PathBuf;

use crate::config::GptConfig;
use crate::values::Values;

/// Parameters, optimizer state and what else is known of a run at one step.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// Where it was read from.
    pub path: PathBuf,
    /// The run's name.
    pub run: String,
    /// Its format: "native" or "nanogpt".
    pub format: &'static str,
    /// Updates applied, N.
    pub step: u64,
    /// The architecture.
    pub config: GptConfig,
    /// All parameters, flat, in the order of [`GptConfig::parameters`].
    pub parameters: Values,
    /// The optimizer's hyperparameters and moments, where the checkpoint has them.
    pub optimizer: Option<OptimizerState>,
    /// Norm of the gradient of update N+1 before clipping, where the run's log has it.
    pub next_grad_norm: Option<f64>,
    /// Training loss, where the checkpoint has it.
    pub loss: Option<f64>,
    /// The seed that batches are drawn from, for runs of our own.
    pub seed: Option<u64>,
    /// What the reader had to assume; said on stderr.
    pub notes: Vec<String>,
    /// SHA-256 of the files, in hexadecimal.
    pub sha256: String,
}

/// What an optimizer carries from one update to the next.
#[derive(Debug, Clone)]
pub struct OptimizerState {
    /// "adamw".
    pub name: String,
    /// Updates it has made, N of every bias correction: fewer than the run's step where some were skipped.
    pub updates: u64,
    /// Learning rate of the next update.
    pub lr: f64,
    /// Learning rate of the last update, where it is known.
    pub last_lr: Option<f64>,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to √v̂.
    pub eps: f64,
    /// Decoupled weight decay of matrices.
    pub weight_decay: f64,
    /// Gradient norm above which gradients are scaled down, where it is known; 0 is never.
    pub grad_clip: Option<f64>,
    /// First moment m, flat; absent where only hyperparameters are known.
    pub exp_avg: Option<Values>,
    /// Second moment v, flat.
    pub exp_avg_sq: Option<Values>,
}
