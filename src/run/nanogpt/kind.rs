//! What a PyTorch file is that is not nanoGPT's.

use super::names::plain;
use crate::base::error::Error;
use crate::run::pytorch::{Tensor, TorchFile};

/// The refusal of such a file: what it is, and what to do with it.
pub fn refusal(file: &TorchFile) -> Error {
    let keys = keys(file);
    let tensors = file.tensors(file.pickle().root());
    let (what, hint) = recognise(&keys, &tensors);
    Error::file_hint(file.path(), what, hint)
}

fn recognise(keys: &[String], tensors: &[(String, Tensor)]) -> (String, String) {
    let has = |key: &str| keys.iter().any(|k| k == key);
    let own =
        "write its weights with nanoGPT's names and shapes: config.json and model.safetensors in a folder";
    let named = |end: &str| tensors.iter().find(|(name, _)| plain(name).ends_with(end));
    if let Some((name, tensor)) = named("h.0.attn.c_attn.weight")
        && let [rows, columns] = tensor.shape[..]
        && columns == 3 * rows
    {
        return (
            format!(
                "looks like a Hugging Face GPT-2: its `{name}` is {rows} x {columns}, where nanoGPT's is \
                 {columns} x {rows}"
            ),
            format!("Hugging Face checkpoints are not read yet; transpose the linear layers and {own}"),
        );
    }
    if has("param_groups") && has("state") {
        return (
            "is the state of an optimizer, without a model".into(),
            "give the checkpoint that holds the model".into(),
        );
    }
    if has("pytorch-lightning_version") || has("state_dict") {
        return ("is a PyTorch Lightning checkpoint, which is not read".into(), own.into());
    }
    if has("model") && has("args") && has("optimizer") {
        return ("looks like a Megatron checkpoint, which is not read".into(), own.into());
    }
    if named("h.0.attn.c_attn.weight").is_some() {
        let missing = if has("model") { "model_args" } else { "model and model_args" };
        return (
            format!("holds nanoGPT's tensors but no {missing}, so its number of heads is not known"),
            format!("save the whole checkpoint of train.py, or {own}"),
        );
    }
    let list = |names: &[String]| match names {
        [] => "none".to_string(),
        names => names.iter().take(8).map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", "),
    };
    let names: Vec<String> = tensors.iter().map(|(name, _)| name.clone()).collect();
    (
        format!(
            "is a PyTorch file but not a nanoGPT checkpoint: its keys are {}; it holds {} tensors ({})",
            list(keys),
            names.len(),
            list(&names[..names.len().min(2)])
        ),
        "a nanoGPT checkpoint is a dictionary with model, model_args and iter_num; `warmlab inspect FILE` lists \
         this one's tensors"
            .into(),
    )
}

/// The keys of the file's dictionary.
fn keys(file: &TorchFile) -> Vec<String> {
    let pickle = file.pickle();
    let entries = pickle.entries(pickle.root()).iter();
    entries.filter_map(|(key, _)| pickle.text(*key).map(String::from)).collect()
}
