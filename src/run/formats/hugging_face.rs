//! Hugging Face's GPT-2, saved by `save_pretrained`, by the Trainer, or as a state dictionary: recognised, not read.

use crate::base::error::{Error, Result};
use crate::run::candidate::Candidate;
use crate::run::format::{Format, Given, Opened};
use crate::run::pytorch::{Tensor, plain};
use crate::run::unknown::OWN;

/// The format.
pub struct HuggingFace;

/// The first layer's queries, keys and values where they are stored as columns.
fn columns(there: &Candidate) -> Option<(String, Tensor)> {
    let file = there.torch()?;
    let mut tensors = file.tensors(file.pickle().root()).into_iter();
    tensors.find(|(name, tensor)| {
        plain(name).ends_with("h.0.attn.c_attn.weight")
            && matches!(tensor.shape[..], [rows, columns] if rows > 0 && columns == 3 * rows)
    })
}

impl Format for HuggingFace {
    fn name(&self) -> &'static str {
        "hugging-face"
    }

    fn about(&self) -> &'static str {
        "a Hugging Face folder or state dictionary"
    }

    fn is_read(&self) -> bool {
        false
    }

    fn recognises(&self, there: &Candidate) -> bool {
        let is_config = |config: serde_json::Value| {
            config.get("model_type").is_some() || config.get("architectures").is_some()
        };
        there.holds("pytorch_model.bin")
            || there.json("config.json").is_some_and(is_config)
            || columns(there).is_some()
    }

    fn open(&self, there: Candidate, _: &Given) -> Result<Box<dyn Opened>> {
        let Some((name, tensor)) = columns(&there) else {
            return Err(Error::file_hint(
                there.path(),
                "is a Hugging Face checkpoint, which is not read yet",
                "convert it to nanoGPT's `ckpt.pt`, or to config.json and model.safetensors with nanoGPT's names",
            ));
        };
        let (rows, columns) = (tensor.shape[0], tensor.shape[1]);
        Err(Error::file_hint(
            there.path(),
            format!(
                "looks like a Hugging Face GPT-2: its `{name}` is {rows} x {columns}, where nanoGPT's is \
                 {columns} x {rows}"
            ),
            format!("Hugging Face checkpoints are not read yet; transpose the linear layers and {OWN}"),
        ))
    }

    fn names(&self) -> &'static [&'static str] {
        &["checkpoint-N"]
    }
}
