//! Bark's GPTs, which are nanoGPT's with two vocabularies: recognised, not read.

use crate::base::error::{Error, Result};
use crate::run::candidate::Candidate;
use crate::run::format::{Format, Given, Opened};

/// The format.
pub struct Bark;

/// The two sizes in `model_args`.
fn vocabularies(there: &Candidate) -> Option<(f64, f64)> {
    let file = there.torch()?;
    let size = |name: &str| file.number(file.find(&["model_args", name])?);
    Some((size("input_vocab_size")?, size("output_vocab_size")?))
}

impl Format for Bark {
    fn name(&self) -> &'static str {
        "bark"
    }

    fn about(&self) -> &'static str {
        "a GPT with two vocabularies, such as Bark's"
    }

    fn is_read(&self) -> bool {
        false
    }

    fn recognises(&self, there: &Candidate) -> bool {
        vocabularies(there).is_some()
    }

    fn open(&self, there: Candidate, _: &Given) -> Result<Box<dyn Opened>> {
        let (input, output) = vocabularies(&there).unwrap_or_default();
        Err(Error::file_hint(
            there.path(),
            format!(
                "is a model with two vocabularies (input_vocab_size {input}, output_vocab_size {output}), such as \
                 Bark's; nanoGPT's has one"
            ),
            "only GPTs with one vocabulary are read",
        ))
    }
}
