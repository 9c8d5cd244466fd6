//! Checkpoints of Megatron: recognised, not read.

use crate::base::error::{Error, Result};
use crate::run::candidate::Candidate;
use crate::run::format::{Format, Given, Opened};
use crate::run::unknown::OWN;

/// The format.
pub struct Megatron;

impl Format for Megatron {
    fn name(&self) -> &'static str {
        "megatron"
    }

    fn about(&self) -> &'static str {
        "a Megatron checkpoint"
    }

    fn is_read(&self) -> bool {
        false
    }

    fn recognises(&self, there: &Candidate) -> bool {
        let has = |key: &str| there.torch().is_some_and(|file| file.find(&[key]).is_some());
        has("model") && has("args") && has("optimizer")
    }

    fn open(&self, there: Candidate, _: &Given) -> Result<Box<dyn Opened>> {
        Err(Error::file_hint(there.path(), "looks like a Megatron checkpoint, which is not read", OWN))
    }
}
