//! The state of an optimizer, whichever it is.

use std::collections::BTreeMap;

use crate::base::row::Status;
use crate::base::specification::Specification;
use crate::base::values::Values;
use crate::optim::{self, Optimizer, State};

/// What an optimizer carries from one update to the next.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OptimizerState {
    /// Its name ("adamw", "adam" whose decay is part of the gradient, "amsgrad", "radam", "sgd", ...) and constants, as the
    /// checkpoint tells them.
    pub told: Specification,
    /// Whether decay is added to the gradient, and so is in the moments.
    pub coupled: bool,
    /// Updates it has made, N of every bias correction: fewer than the run's step where some were skipped.
    pub updates: u64,
    /// Learning rate of the next update.
    pub lr: f64,
    /// Learning rate of the last update, where it is known.
    pub last_lr: Option<f64>,
    /// Rates and decays of each tensor, where the checkpoint says more than the rule: one rate, decay for
    /// matrices alone.
    pub per_tensor: Option<PerTensor>,
    /// Gradient norm above which gradients are scaled down, where it is known; 0 is never.
    pub grad_clip: Option<f64>,
    /// Its vectors by PyTorch's names, flat; none where only constants are known.
    pub vectors: BTreeMap<String, Values>,
    /// Why the vectors cannot be trusted, where that is so.
    pub doubt: Option<String>,
}

/// Numbers of each tensor, in the order of [`GptConfig::parameters`](crate::architecture::GptConfig::parameters).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PerTensor {
    /// Learning rates of the next update.
    pub rates: Vec<f64>,
    /// Weight decays.
    pub decays: Vec<f64>,
}

impl OptimizerState {
    /// Its name.
    pub fn name(&self) -> &str {
        self.told.name()
    }

    /// A constant by its key, 0 where it has none of that name.
    pub fn constant(&self, key: &str) -> f64 {
        self.told.get(key).and_then(|text| text.parse().ok()).unwrap_or(0.0)
    }

    /// One of its vectors.
    pub fn vector(&self, name: &str) -> Option<&Values> {
        self.vectors.get(name)
    }

    /// All that there are.
    pub fn state(&self) -> State<'_> {
        self.vectors.iter().map(|(name, values)| (name.as_str(), values)).collect()
    }

    /// How it updates, where that is known here.
    ///
    /// # Errors
    /// Why not, a sentence.
    pub fn rule(&self) -> Result<Optimizer, String> {
        let told = self.told.clone().with("coupled", self.coupled);
        match optim::measured(&told) {
            Ok(Some(rule)) => Ok(rule),
            Ok(None) => Err(format!(
                "the checkpoint's optimizer is {}, whose updates are not known here",
                self.name()
            )),
            Err(error) => {
                Err(format!("the checkpoint's optimizer is {}, and cannot be used: {error}", self.name()))
            }
        }
    }

    /// How it makes the next update, where that can be formed here.
    ///
    /// # Errors
    /// Why not, a sentence.
    pub fn next_update(&self) -> Result<Optimizer, String> {
        let rule = self.rule()?;
        rule.next_update_is_known()?;
        Ok(rule)
    }

    /// The rate of the last update, and whether it is known or had to be guessed.
    pub fn last_rate(&self) -> (f64, Status) {
        match self.last_lr {
            Some(lr) => (lr, Status::Ok),
            None => (self.lr, Status::Unresolved),
        }
    }

    /// How far numbers made of the vectors can be trusted.
    pub fn moments_status(&self) -> Status {
        if self.doubt.is_some() { Status::Unresolved } else { Status::Ok }
    }

    /// The learning rate of the next update, where all tensors have the same.
    pub fn only_rate(&self) -> Option<f64> {
        let rates = self.per_tensor.iter().flat_map(|tensors| &tensors.rates);
        rates.into_iter().all(|rate| *rate == self.lr).then_some(self.lr)
    }

    /// Whether its moments are running means of gradients and their squares alone.
    ///
    /// # Errors
    /// Why not, a sentence.
    pub fn moments_are_of_gradients(&self) -> Result<(), String> {
        let coupled = self.rule().map_or(self.coupled, |rule| rule.decay() == 0.0);
        if coupled && self.constant("weight_decay") != 0.0 {
            return Err(format!(
                "the checkpoint's optimizer is {} with weight decay in the gradient, which its moments contain",
                self.name()
            ));
        }
        Ok(())
    }
}
