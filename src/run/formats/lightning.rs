//! Checkpoints of PyTorch Lightning: recognised, not read.

use crate::base::error::{Error, Result};
use crate::run::candidate::Candidate;
use crate::run::format::{Format, Given, Opened};
use crate::run::unknown::OWN;

/// The format.
pub struct Lightning;

impl Format for Lightning {
    fn name(&self) -> &'static str {
        "lightning"
    }

    fn about(&self) -> &'static str {
        "a PyTorch Lightning checkpoint"
    }

    fn is_read(&self) -> bool {
        false
    }

    fn recognises(&self, there: &Candidate) -> bool {
        let has = |key: &str| there.torch().is_some_and(|file| file.find(&[key]).is_some());
        has("pytorch-lightning_version") || has("state_dict")
    }

    fn open(&self, there: Candidate, _: &Given) -> Result<Box<dyn Opened>> {
        Err(Error::file_hint(there.path(), "is a PyTorch Lightning checkpoint, which is not read", OWN))
    }
}
