//! nanoGPT's `ckpt.pt`: parameters, and the optimizer state with its names recovered.
//!
//! The file is a pickle in a zip archive; it is parsed by `pytorch-reader`, which executes nothing.
//! - Every key of `model` may carry the prefix `_orig_mod.` of a compiled model.
//! - `lm_head.weight` shares its storage with `transformer.wte.weight` and is counted once.
//! - `optimizer.state` is keyed by position: nanoGPT gives AdamW two groups, all tensors of two or more
//!   dimensions and then the rest, each in the order of `named_parameters`. Every shape is verified
//!   against that rule, and names written by newer versions (`param_names`) take precedence.
//! - A checkpoint is saved at the top of the loop: `iter_num` updates are applied and the stored rate is
//!   that of the next update; the last applied one is recomputed from the schedule in `config`.

mod header;
mod rate;

use std::collections::HashMap;
use std::path::Path;

use pytorch_reader::PytorchReader;

use super::checkpoint::{Checkpoint, OptimizerState};
use super::tensors::{Stored, TensorFile, read_flat};
use crate::config::{Activation, GptConfig, Parameter};
use crate::error::{Error, Result};
use crate::files;
use crate::values::{DType, Values};
use header::{Header, Number, Optimizer};
use rate::{TrainConfig, last_rate};

struct Pt {
    reader: PytorchReader,
    /// Stored name by plain name, for keys with the prefix of a compiled model.
    names: HashMap<String, String>,
    path: std::path::PathBuf,
}

impl Pt {
    fn find(&self, name: &str) -> Option<&pytorch_reader::Tensor> {
        self.reader.get(self.names.get(name)?)
    }
}

impl TensorFile for Pt {
    fn describe(&self, name: &str) -> Option<(std::result::Result<Stored, String>, Vec<usize>)> {
        use pytorch_reader::DType as D;
        let tensor = self.find(name)?;
        let kind = match tensor.dtype() {
            D::F64 => Ok(Stored::F64),
            D::F32 => Ok(Stored::F32),
            D::F16 => Ok(Stored::F16),
            D::BF16 => Ok(Stored::Bf16),
            other => Err(format!("{other:?}").to_lowercase()),
        };
        Some((kind, tensor.shape().to_vec()))
    }

    fn bytes(&self, name: &str) -> Result<Vec<u8>> {
        let tensor = self.find(name).expect("described before it is read");
        tensor.read().map_err(|e| {
            // the reader's message names the whole way down; its end says what is wrong
            let text = e.to_string();
            let reason = text.rsplit(": ").next().unwrap_or("no reason given").to_lowercase();
            Error::tensor(&self.path, name, format!("cannot be read ({reason}); the file is damaged"))
        })
    }
}

/// Reads a `ckpt.pt`.
///
/// # Errors
/// Naming the file, the tensor and the problem.
pub fn read(path: &Path, dtype: DType) -> Result<Checkpoint> {
    let bad = |e: pytorch_reader::PytorchError| {
        Error::file_hint(
            path,
            format!("is not a readable PyTorch checkpoint: {e}"),
            "the file may be cut off; compare its size with the original",
        )
    };
    let reader = PytorchReader::new(path).map_err(bad)?;
    let header: Header = PytorchReader::load_config(path, None).map_err(|e| {
        Error::file_hint(
            path,
            format!("is a PyTorch file but not a nanoGPT checkpoint: {e}"),
            "a nanoGPT checkpoint is a dictionary with model, model_args and iter_num",
        )
    })?;
    let args = header.model_args;
    let plain = |key: &str| key.replace("_orig_mod.", "");
    let names = reader.keys().into_iter().map(|key| (plain(&key), key)).collect();
    let file = Pt { reader, names, path: path.into() };
    let config = GptConfig {
        arch: "gpt2".into(),
        n_layer: args.n_layer,
        n_head: args.n_head,
        n_embd: args.n_embd,
        block_size: args.block_size,
        vocab_size: args.vocab_size,
        bias: args.bias,
        activation: Activation::Gelu,
        layer_norm_eps: 1e-5,
        tied_lm_head: true,
    };
    config.validate().map_err(|e| Error::file(path, format!("has impossible model_args: {e}")))?;
    let parameters = config.parameters();
    refuse_unknown(&file, &parameters)?;
    let values = read_flat(&file, path, &parameters, dtype, |p| format!("model.{}", p.name))?;
    let head_is_tied = head_is_tied(&file)?;
    if !head_is_tied {
        return Err(Error::tensor(
            path,
            "lm_head.weight",
            "differs from transformer.wte.weight; nanoGPT ties them and this reader counts them once",
        ));
    }

    let mut notes = Vec::new();
    let optimizer = match header.optimizer {
        Some(optimizer) => Some(read_optimizer(
            &file,
            &parameters,
            &config,
            dtype,
            optimizer,
            &header.config,
            header.iter_num,
            &mut notes,
        )?),
        None => {
            notes.push(format!("`{}` holds no optimizer state", path.display()));
            None
        }
    };
    Ok(Checkpoint {
        path: path.into(),
        run: path.file_stem().map_or_else(|| "checkpoint".into(), |s| s.to_string_lossy().into_owned()),
        format: "nanogpt",
        step: header.iter_num,
        config,
        parameters: values,
        optimizer,
        next_grad_norm: None,
        loss: None,
        seed: None,
        notes,
        sha256: files::sha256_of_file(path)?,
    })
}

/// Any tensor of the model that the configuration does not know means another architecture.
fn refuse_unknown(file: &Pt, parameters: &[Parameter]) -> Result<()> {
    let mut names: Vec<&String> = file.names.keys().collect();
    names.sort();
    for name in names {
        let Some(tensor) = name.strip_prefix("model.") else { continue };
        let known = tensor == "lm_head.weight" || parameters.iter().any(|p| p.name == tensor);
        // the causal mask, a buffer of old versions
        let mask = tensor.ends_with(".attn.bias") || tensor.ends_with(".attn.masked_bias");
        if !known && !mask {
            return Err(Error::tensor(
                &file.path,
                tensor,
                "is not a parameter of nanoGPT's model with these model_args",
            ));
        }
    }
    Ok(())
}

fn head_is_tied(file: &Pt) -> Result<bool> {
    let (head, wte) = ("model.lm_head.weight", "model.transformer.wte.weight");
    if file.describe(head).is_none() {
        return Ok(true);
    }
    Ok(file.describe(head) == file.describe(wte) && file.bytes(head)? == file.bytes(wte)?)
}

/// Parameter names in the order of nanoGPT's `named_parameters`.
fn named_parameters(config: &GptConfig) -> Vec<String> {
    let mut names = vec!["transformer.wte.weight".to_string(), "transformer.wpe.weight".to_string()];
    let mut layer = |name: String| {
        names.push(format!("{name}.weight"));
        if config.bias {
            names.push(format!("{name}.bias"));
        }
    };
    for i in 0..config.n_layer {
        for part in ["ln_1", "attn.c_attn", "attn.c_proj", "ln_2", "mlp.c_fc", "mlp.c_proj"] {
            layer(format!("transformer.h.{i}.{part}"));
        }
    }
    layer("transformer.ln_f".into());
    names
}

fn read_optimizer(
    file: &Pt,
    parameters: &[Parameter],
    config: &GptConfig,
    dtype: DType,
    optimizer: Optimizer,
    train: &Option<TrainConfig>,
    iter_num: u64,
    notes: &mut Vec<String>,
) -> Result<OptimizerState> {
    let path = &file.path;
    let groups = &optimizer.param_groups;
    let Some(first) = groups.first() else {
        return Err(Error::file(path, "has an optimizer without parameter groups"));
    };
    let is_matrix = |name: &String| parameters.iter().any(|p| p.name == *name && p.shape.len() >= 2);
    let (matrices, vectors): (Vec<_>, Vec<_>) = named_parameters(config).into_iter().partition(is_matrix);
    let by_rule = [matrices, vectors];
    let mut index: HashMap<String, u64> = HashMap::new();
    for (i, group) in groups.iter().enumerate() {
        let names = match (&group.param_names, by_rule.get(i)) {
            (Some(names), _) => names.iter().map(|n| n.replace("_orig_mod.", "")).collect(),
            (None, Some(names)) => names.clone(),
            (None, None) => return Err(Error::file(path, "has more parameter groups than nanoGPT's two")),
        };
        if names.len() != group.params.len() {
            return Err(Error::file(
                path,
                format!(
                    "has {} parameters in optimizer group {i} where nanoGPT has {}",
                    group.params.len(),
                    names.len()
                ),
            ));
        }
        index.extend(names.into_iter().zip(group.params.iter().copied()));
    }
    if let Some(p) = parameters.iter().find(|p| !index.contains_key(&p.name)) {
        return Err(Error::tensor(path, &p.name, "belongs to no optimizer group"));
    }
    let stored = |kind: &str, p: &Parameter| format!("optimizer.state.{}.{kind}", index[&p.name]);
    let started = parameters.iter().any(|p| file.describe(&stored("exp_avg", p)).is_some());
    let (exp_avg, exp_avg_sq): (Option<Values>, Option<Values>) = if started || iter_num > 0 {
        let flat = |kind: &str| read_flat(file, path, parameters, dtype, |p| stored(kind, p));
        (Some(flat("exp_avg")?), Some(flat("exp_avg_sq")?))
    } else {
        (None, None)
    };
    let updates = match &exp_avg {
        Some(_) => read_updates(file, parameters, stored)?,
        None => 0,
    };
    if updates < iter_num {
        let skipped = iter_num - updates;
        notes.push(format!("the optimizer made {updates} of {iter_num} updates ({skipped} skipped)"));
    }
    let last_lr = train.as_ref().and_then(|train| last_rate(train, iter_num, first.lr.get()));
    if last_lr.is_none() && iter_num > 0 {
        notes.push(
            "the checkpoint's schedule does not give the stored learning rate; \
             the rate of the next update is used for the last one"
                .into(),
        );
    }
    Ok(OptimizerState {
        name: "adamw".into(),
        updates,
        lr: first.lr.get(),
        last_lr,
        beta1: first.betas.0.get(),
        beta2: first.betas.1.get(),
        eps: first.eps.get(),
        weight_decay: first.weight_decay.get(),
        grad_clip: train.as_ref().and_then(|t| t.grad_clip).map(Number::get),
        exp_avg,
        exp_avg_sq,
    })
}

/// The optimizer's own count of updates, which every tensor of its state carries.
fn read_updates(
    file: &Pt,
    parameters: &[Parameter],
    stored: impl Fn(&str, &Parameter) -> String,
) -> Result<u64> {
    let mut agreed: Option<(u64, &str)> = None;
    for p in parameters {
        let (name, one) = (stored("step", p), Parameter { shape: vec![], ..p.clone() });
        let one = Parameter { offset: 0, ..one };
        let count = read_flat(file, &file.path, &[one], DType::F64, |_| name.clone())?.get(0);
        let count = if count >= 0.0 && count.fract() == 0.0 { count as u64 } else { 0 };
        match agreed {
            Some((other, first)) if other != count => {
                return Err(Error::tensor(
                    &file.path,
                    &p.name,
                    format!(
                        "was updated {count} times and {first} {other} times; Adam's formulas need one count"
                    ),
                ));
            }
            Some(_) => {}
            None => agreed = Some((count, &p.name)),
        }
    }
    Ok(agreed.map_or(0, |(count, _)| count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_have_nanogpts_sizes() {
        for (bias, vectors) in [(true, 8 * 3 + 2), (false, 2 * 3 + 1)] {
            let config: GptConfig = serde_json::from_str(&format!(
                r#"{{"n_layer": 3, "n_head": 1, "n_embd": 2, "block_size": 2, "vocab_size": 3, "bias": {bias}}}"#
            ))
            .expect("valid");
            let names = named_parameters(&config);
            let parameters = config.parameters();
            let matrices = parameters.iter().filter(|p| p.shape.len() >= 2).count();
            assert_eq!((matrices, names.len() - matrices), (2 + 4 * 3, vectors));
            assert!(names.iter().all(|n| parameters.iter().any(|p| p.name == *n)));
        }
    }
}
