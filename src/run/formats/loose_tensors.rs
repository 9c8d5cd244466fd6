//! A safetensors file given without the folder it belongs to: recognised, not read.

use std::path::Path;

use crate::base::error::{Error, Result};
use crate::run::candidate::Candidate;
use crate::run::format::{Format, Given, Opened};

/// The format.
pub struct LooseTensors;

impl Format for LooseTensors {
    fn name(&self) -> &'static str {
        "safetensors"
    }

    fn about(&self) -> &'static str {
        "a safetensors file without its folder"
    }

    fn is_read(&self) -> bool {
        false
    }

    fn recognises(&self, there: &Candidate) -> bool {
        // a length of eight bytes, then JSON; a file that is cut off is told by its name
        let named = there.path().extension().is_some_and(|e| e == "safetensors");
        !there.is_folder() && (there.start().get(8) == Some(&b'{') || named && !there.start().is_empty())
    }

    fn open(&self, there: Candidate, _: &Given) -> Result<Box<dyn Opened>> {
        let folder = there.path().parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Err(Error::file_hint(
            there.path(),
            "is a file of tensors, not a checkpoint",
            format!("give the folder that holds it and its config.json: --ckpt {}", folder.display()),
        ))
    }
}
