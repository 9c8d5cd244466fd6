//! nanoGPT's tensors without the settings beside them, which have the number of heads: recognised, not read.

use crate::base::error::{Error, Result};
use crate::run::candidate::Candidate;
use crate::run::format::{Format, Given, Opened};
use crate::run::pytorch::plain;
use crate::run::unknown::OWN;

/// The format.
pub struct Headless;

impl Format for Headless {
    fn name(&self) -> &'static str {
        "weights"
    }

    fn about(&self) -> &'static str {
        "nanoGPT's tensors without model_args"
    }

    fn is_read(&self) -> bool {
        false
    }

    fn recognises(&self, there: &Candidate) -> bool {
        there.torch().is_some_and(|file| {
            let tensors = file.tensors(file.pickle().root());
            tensors.iter().any(|(name, _)| plain(name).ends_with("h.0.attn.c_attn.weight"))
        })
    }

    fn open(&self, there: Candidate, _: &Given) -> Result<Box<dyn Opened>> {
        let has_model = there.torch().is_some_and(|file| file.find(&["model"]).is_some());
        let missing = if has_model { "model_args" } else { "model and model_args" };
        Err(Error::file_hint(
            there.path(),
            format!("holds nanoGPT's tensors but no {missing}, so its number of heads is not known"),
            format!("save the whole checkpoint of train.py, or {OWN}"),
        ))
    }
}
