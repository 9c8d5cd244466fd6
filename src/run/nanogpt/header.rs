//! The plain values of a checkpoint: its architecture and its step.

use std::collections::HashSet;

use super::kind;
use super::names::plain;
use crate::architecture::{Activation, GPT2, GptConfig};
use crate::base::error::{Error, Result};
use crate::base::pickle::Id;
use crate::run::find::step_in_name;
use crate::run::pytorch::{Named, TorchFile};
use crate::run::tensors::TensorFile;

const HEAD: &str = "lm_head.weight";
const WTE: &str = "transformer.wte.weight";

/// What a checkpoint says beside its weights.
pub struct Header {
    /// The architecture.
    pub config: GptConfig,
    /// `iter_num`.
    pub step: u64,
    /// What had to be assumed.
    pub notes: Vec<String>,
}

/// The model's tensors by plain names, without buffers; the head only where it is not the embedding.
///
/// # Errors
/// Where the file holds no such model.
pub fn weights(file: &TorchFile) -> Result<Named<'_>> {
    let mut named = Named::new(file);
    let Some(model) = file.find(&["model"]) else { return Err(kind::refusal(file)) };
    for (name, tensor) in file.tensors(model) {
        let name = plain(&name);
        // the causal mask, a buffer of old versions
        if !(name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias")) {
            named.insert(name, tensor)?;
        }
    }
    let tied = match (named.get(HEAD), named.get(WTE)) {
        // of two names of one tensor some writers keep the other
        (Some(head), None) => {
            let head = head.clone();
            named.insert(WTE.into(), head)?;
            true
        }
        (Some(head), Some(wte)) => {
            head == wte
                || head.shape == wte.shape
                    && head.kind == wte.kind
                    && named.bytes(HEAD)? == named.bytes(WTE)?
        }
        (None, _) => true,
    };
    if tied {
        named.remove(HEAD);
    }
    Ok(named)
}

/// Reads the header, from the tensors' shapes where the file does not say.
///
/// # Errors
/// Naming the field that is missing, or the kind of file it is instead.
pub fn read(file: &TorchFile, weights: &Named) -> Result<Header> {
    let path = file.path();
    let mut notes = Vec::new();
    let (fields, activation) = match (file.find(&["model_args"]), file.find(&["config", "n_head"])) {
        (Some(fields), _) => (fields, Activation::Gelu),
        // build-nanogpt: a pickled configuration, and tanh
        (None, Some(_)) => {
            notes.push("a checkpoint of build-nanogpt: its GELU is the tanh approximation".into());
            (file.find(&["config"]).unwrap_or_default(), Activation::GeluTanh)
        }
        (None, None) => return Err(kind::refusal(file)),
    };
    let field = |name: &str| whole(file, fields, name);
    if let (Some(input), Some(output)) = (field("input_vocab_size")?, field("output_vocab_size")?) {
        return Err(Error::file_hint(
            path,
            format!(
                "is a model with two vocabularies (input_vocab_size {input}, output_vocab_size {output}), such as \
                 Bark's; nanoGPT's has one"
            ),
            "only GPTs with one vocabulary are read",
        ));
    }
    let shape = |name: &str, axis: usize| weights.get(name).and_then(|t| t.shape.get(axis).copied());
    let blocks =
        weights.names().filter_map(|n| n.strip_prefix("transformer.h.")?.split('.').next()?.parse().ok());
    let missing = |name: &str| {
        Error::file_hint(
            path,
            format!("is a nanoGPT checkpoint whose model_args have no `{name}`"),
            "save it with train.py, or write config.json and model.safetensors in a folder",
        )
    };
    let config = GptConfig {
        arch: &GPT2,
        n_layer: field("n_layer")?
            .or(blocks.max().map(|last: usize| last + 1))
            .ok_or_else(|| missing("n_layer"))?,
        n_head: field("n_head")?.ok_or_else(|| missing("n_head"))?,
        n_embd: field("n_embd")?.or(shape(WTE, 1)).ok_or_else(|| missing("n_embd"))?,
        block_size: field("block_size")?
            .or(shape("transformer.wpe.weight", 0))
            .ok_or_else(|| missing("block_size"))?,
        vocab_size: field("vocab_size")?.or(shape(WTE, 0)).ok_or_else(|| missing("vocab_size"))?,
        // before the option there always were biases
        bias: flag(file, fields, "bias").unwrap_or_else(|| weights.get("transformer.ln_f.bias").is_some()),
        activation,
        layer_norm_eps: 1e-5,
        tied_lm_head: weights.get(HEAD).is_none(),
    };
    config.validate().map_err(|e| Error::file(path, format!("has impossible model_args: {e}")))?;
    refuse_unknown(file, weights, &config)?;
    if !config.tied_lm_head {
        notes.push("`lm_head.weight` differs from the token embedding: the head is untied".into());
    }
    let step = match step(file) {
        Some(step) => step,
        None => {
            let named = step_in_name(path);
            notes.push(format!(
                "the checkpoint has no iter_num; its step is taken to be {}",
                named.map_or("0".into(), |step| format!("{step}, from its name"))
            ));
            named.unwrap_or(0)
        }
    };
    Ok(Header { config, step, notes })
}

/// The run's own number: `iter_num`, or build-nanogpt's `step`.
pub fn step(file: &TorchFile) -> Option<u64> {
    let id = file.find(&["iter_num"]).or_else(|| file.find(&["step"]))?;
    let step = file.number(id)?;
    (step >= 0.0 && step.fract() == 0.0 && step < 1e15).then_some(step as u64)
}

fn whole(file: &TorchFile, fields: Id, name: &str) -> Result<Option<usize>> {
    let Some(id) = file.pickle().get(fields, name) else { return Ok(None) };
    match file.number(id) {
        Some(x) if x >= 0.0 && x.fract() == 0.0 && x < 1e15 => Ok(Some(x as usize)),
        _ => Err(Error::file(file.path(), format!("has a `{name}` that is no whole number"))),
    }
}

fn flag(file: &TorchFile, fields: Id, name: &str) -> Option<bool> {
    let id = file.pickle().get(fields, name)?;
    file.truth(id)
}

/// Any tensor of the model that the configuration does not know means another architecture.
fn refuse_unknown(file: &TorchFile, weights: &Named, config: &GptConfig) -> Result<()> {
    let known: HashSet<String> = config.parameters().into_iter().map(|p| p.name).collect();
    match weights.names().find(|name| !known.contains(*name)) {
        Some(name) => Err(Error::tensor(
            file.path(),
            name,
            "is not a parameter of nanoGPT's model with these model_args",
        )),
        None => Ok(()),
    }
}
