//! The state of a PyTorch optimizer alone: recognised, not read.

use crate::base::error::{Error, Result};
use crate::run::candidate::Candidate;
use crate::run::format::{Format, Given, Opened};

/// The format.
pub struct OptimizerAlone;

impl Format for OptimizerAlone {
    fn name(&self) -> &'static str {
        "optimizer"
    }

    fn about(&self) -> &'static str {
        "the state of an optimizer, without a model"
    }

    fn is_read(&self) -> bool {
        false
    }

    fn recognises(&self, there: &Candidate) -> bool {
        let has = |key: &str| there.torch().is_some_and(|file| file.find(&[key]).is_some());
        has("param_groups") && has("state")
    }

    fn open(&self, there: Candidate, _: &Given) -> Result<Box<dyn Opened>> {
        Err(Error::file_hint(
            there.path(),
            "is the state of an optimizer, without a model",
            "give the checkpoint that holds the model",
        ))
    }
}
