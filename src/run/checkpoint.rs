//! A run at one step, in memory.

use std::path::PathBuf;

use crate::architecture::GptConfig;
use crate::base::row::Status;
use crate::base::values::Values;

/// Parameters, optimizer state and what else is known of a run at one step.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// Where it was read from.
    pub path: PathBuf,
    /// The run's name.
    pub run: String,
    /// Its format: "native" or "nanogpt".
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
    /// Why there is no optimizer, in words for whoever needs one.
    pub without_optimizer: Option<String>,
    /// Training loss, where the checkpoint has it.
    pub loss: Option<f64>,
    /// The seed that batches are drawn from, for runs of our own.
    pub seed: Option<u64>,
    /// What the reader had to assume; said on stderr and in the reports' metadata.
    pub notes: Vec<String>,
    /// SHA-256 of the files, in hexadecimal.
    pub sha256: String,
}

/// Which of Adam's moments something reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moments {
    /// Neither.
    None,
    /// v, or what the optimizer has in its place.
    Second,
    /// m and v.
    Both,
}

impl Checkpoint {
    /// Without the moments that nothing reads: each is as large as the parameters.
    pub fn with_moments(mut self, moments: Moments) -> Self {
        if let Some(optimizer) = &mut self.optimizer {
            if moments != Moments::Both {
                optimizer.exp_avg = None;
            }
            if moments == Moments::None {
                (optimizer.exp_avg_sq, optimizer.max_exp_avg_sq) = (None, None);
            }
        }
        self
    }
}

/// What an optimizer carries from one update to the next.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OptimizerState {
    /// "adamw", "adam" (decay is part of the gradient), "amsgrad", "radam", "nadam", "sgd", ...
    pub name: String,
    /// Whether decay is added to the gradient, and so is in the moments.
    pub coupled: bool,
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
    /// Weight decay of matrices.
    pub weight_decay: f64,
    /// Rates and decays of each tensor, where the checkpoint says more than the rule: one rate, decay for
    /// matrices alone.
    pub per_tensor: Option<PerTensor>,
    /// Gradient norm above which gradients are scaled down, where it is known; 0 is never.
    pub grad_clip: Option<f64>,
    /// First moment m, flat; absent where only hyperparameters are known.
    pub exp_avg: Option<Values>,
    /// Second moment v, flat.
    pub exp_avg_sq: Option<Values>,
    /// The largest v so far, which AMSGrad divides by.
    pub max_exp_avg_sq: Option<Values>,
    /// Why the moments cannot be trusted, where that is so.
    pub doubt: Option<String>,
}

/// Numbers of each tensor, in the order of [`GptConfig::parameters`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PerTensor {
    /// Learning rates of the next update.
    pub rates: Vec<f64>,
    /// Weight decays.
    pub decays: Vec<f64>,
}

impl OptimizerState {
    /// The rate of the last update, and whether it is known or had to be guessed.
    pub fn last_rate(&self) -> (f64, Status) {
        match self.last_lr {
            Some(lr) => (lr, Status::Ok),
            None => (self.lr, Status::Unresolved),
        }
    }

    /// How far numbers made of the moments can be trusted.
    pub fn moments_status(&self) -> Status {
        if self.doubt.is_some() { Status::Unresolved } else { Status::Ok }
    }

    /// The learning rate of the next update, where all tensors have the same.
    pub fn only_rate(&self) -> Option<f64> {
        let rates = self.per_tensor.iter().flat_map(|tensors| &tensors.rates);
        rates.into_iter().all(|rate| *rate == self.lr).then_some(self.lr)
    }

    /// The second moment that updates divide by.
    pub fn dividing_sq(&self) -> Option<&Values> {
        self.max_exp_avg_sq.as_ref().or(self.exp_avg_sq.as_ref())
    }

    fn decays(&self) -> bool {
        self.weight_decay != 0.0
    }

    /// Whether the last update was −η(m̂/(√v̂ + ε) + λθ) with the stored moments, the decay λθ decoupled.
    ///
    /// # Errors
    /// Why not, a sentence.
    pub fn last_update_is_adams(&self) -> Result<(), String> {
        match self.name.as_str() {
            "adamw" | "adam" | "amsgrad" => Ok(()),
            name => Err(format!("the checkpoint's optimizer is {name}, whose updates are not Adam's")),
        }
    }

    /// Whether the next update follows from a gradient as AdamW's does.
    ///
    /// # Errors
    /// Why not, a sentence.
    pub fn next_update_is_adams(&self) -> Result<(), String> {
        self.last_update_is_adams()?;
        if self.name == "amsgrad" {
            return Err("the checkpoint's optimizer is amsgrad, whose next update is not formed here".into());
        }
        self.moments_are_of_gradients()
    }

    /// Whether m and v are running means of gradients and their squares alone.
    ///
    /// # Errors
    /// Why not, a sentence.
    pub fn moments_are_of_gradients(&self) -> Result<(), String> {
        if self.coupled && self.decays() {
            return Err(format!(
                "the checkpoint's optimizer is {} with weight decay in the gradient, which its moments contain",
                self.name
            ));
        }
        Ok(())
    }

    /// How many moments it holds.
    pub fn moments(&self) -> usize {
        [&self.exp_avg, &self.exp_avg_sq, &self.max_exp_avg_sq].into_iter().flatten().count()
    }
}
