//! A GPT in a PyTorch file under nanoGPT's names, whoever wrote it: its weights, and its sizes, which the tensors' shapes
//! tell where the settings do not.

use std::sync::Arc;

use super::format::Given;
use super::head::{EMBEDDING, HEAD, Head};
use super::pytorch::{Named, TorchFile, plain};
use super::tensor_map::TensorMap;
use super::tensors::TensorFile;
use crate::architecture::{Activation, GPT2, GptConfig};
use crate::base::error::{Error, Result};
use crate::base::pickle::Id;

/// The tensors of the model `id` by plain names, without buffers; the head only where it is not the embedding.
///
/// # Errors
/// Where a name stands for two tensors.
pub fn weights(file: &Arc<TorchFile>, id: Id) -> Result<Named> {
    let mut named = Named::new(file.clone());
    for (name, tensor) in file.tensors(id) {
        let name = plain(&name);
        // the causal mask, a buffer of old versions
        if !(name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias")) {
            named.insert(name, tensor)?;
        }
    }
    let head = Head::of(&named)?;
    if head != Head::Own
        && let Some(tensor) = named.remove(HEAD)
        && head == Head::Only
    {
        named.insert(EMBEDDING.into(), tensor)?;
    }
    Ok(named)
}

/// Where a file keeps the sizes of its model.
pub struct Settings<'a> {
    /// The dictionary, or the object.
    pub fields: Id,
    /// What users know it as.
    pub name: &'a str,
    /// The nonlinearity, of which they say nothing.
    pub activation: Activation,
}

/// The architecture.
///
/// # Errors
/// Naming the size that is missing or impossible, or a tensor that such a model does not have.
pub fn config(file: &TorchFile, weights: &Named, settings: &Settings, given: &Given) -> Result<GptConfig> {
    let (path, called) = (file.path(), settings.name);
    let field = |name: &str| whole(file, settings.fields, name);
    let shape = |name: &str, axis: usize| weights.get(name).and_then(|t| t.shape.get(axis).copied());
    let names = weights.names().into_iter();
    let blocks = names.filter_map(|n| n.strip_prefix("transformer.h.")?.split('.').next()?.parse().ok());
    let missing = |name: &str| {
        Error::file_hint(
            path,
            format!("is a checkpoint whose {called} have no `{name}`"),
            match name {
                "n_head" => "no tensor tells it: say it with --n-head",
                _ => "save the whole checkpoint, or write config.json and model.safetensors in a folder",
            },
        )
    };
    let config = GptConfig {
        arch: &GPT2,
        n_layer: field("n_layer")?
            .or(blocks.max().map(|last: usize| last + 1))
            .ok_or_else(|| missing("n_layer"))?,
        n_head: field("n_head")?.or(given.n_head).ok_or_else(|| missing("n_head"))?,
        n_embd: field("n_embd")?.or(shape(EMBEDDING, 1)).ok_or_else(|| missing("n_embd"))?,
        block_size: field("block_size")?
            .or(shape("transformer.wpe.weight", 0))
            .ok_or_else(|| missing("block_size"))?,
        vocab_size: field("vocab_size")?.or(shape(EMBEDDING, 0)).ok_or_else(|| missing("vocab_size"))?,
        // before the option there always were biases
        bias: file
            .pickle()
            .get(settings.fields, "bias")
            .and_then(|id| file.truth(id))
            .unwrap_or_else(|| weights.get("transformer.ln_f.bias").is_some()),
        activation: settings.activation,
        layer_norm_eps: 1e-5,
        tied_lm_head: weights.get(HEAD).is_none(),
    };
    config.validate().map_err(|e| Error::file(path, format!("has impossible {called}: {e}")))?;
    // a tensor that the sizes do not ask for means another architecture
    match TensorMap::of(&config).stranger(weights) {
        Some(name) => {
            let problem = format!("is not a parameter of nanoGPT's model with these {called}");
            Err(Error::tensor(path, name, problem))
        }
        None => Ok(config),
    }
}

fn whole(file: &TorchFile, fields: Id, name: &str) -> Result<Option<usize>> {
    let Some(id) = file.pickle().get(fields, name) else { return Ok(None) };
    match file.count(id) {
        Some(count) => Ok(Some(count as usize)),
        None => Err(Error::file(file.path(), format!("has a `{name}` that is no whole number"))),
    }
}
