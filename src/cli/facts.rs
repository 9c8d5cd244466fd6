//! What is known of a run beside its numbers: from its description and from the metadata of its reports.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::architecture::Activation;
use crate::report::Facts;
use crate::train::TrainConfig;

/// The facts of the run in `folder`; `metas` is the metadata of its reports.
pub fn facts(folder: &Path, name: &str, metas: &[BTreeMap<String, String>]) -> Facts {
    let mut facts = Vec::new();
    if let Ok(config) = TrainConfig::read(&folder.join("run.toml")) {
        facts.push(("model", model(&config)));
        facts.push(("data", data(&config)));
        facts.push(("learning rate", config.schedule.words()));
        facts.push(("optimizer", optimizer(&config)));
        facts.push(("updates", config.steps.to_string()));
        facts.push(("trained by", format!("warmlab {}, {}", config.warmlab, config.dtype)));
    }
    let mut of = |fact: &'static str, keys: &[&str]| {
        let all: BTreeSet<String> = metas.iter().filter_map(|meta| words(meta, keys)).collect();
        if !all.is_empty() {
            facts.push((fact, all.into_iter().collect::<Vec<_>>().join("; ")));
        }
    };
    of("parameters", &["num_parameters"]);
    of("checkpoints", &["checkpoint_format"]);
    of("measured on", &["batch"]);
    of("measured by", &["version", "dtype", "device", "simd"]);
    Facts { run: name.into(), facts }
}

/// Some values of the metadata, as far as there are any.
fn words(meta: &BTreeMap<String, String>, keys: &[&str]) -> Option<String> {
    let value = |key: &&str| {
        let value = meta.get(&format!("warmlab.{key}"))?;
        Some(if *key == "version" { format!("warmlab {value}") } else { value.clone() })
    };
    let values: Vec<String> = keys.iter().filter_map(value).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

fn model(config: &TrainConfig) -> String {
    let m = &config.model;
    let activation = match m.activation {
        Activation::Gelu => "gelu",
        Activation::GeluTanh => "gelu_tanh",
    };
    format!(
        "{}: {} blocks, {} heads, width {}, {} tokens, vocabulary {}, {} biases, {activation}, head {}",
        m.arch,
        m.n_layer,
        m.n_head,
        m.n_embd,
        m.block_size,
        m.vocab_size,
        if m.bias { "with" } else { "without" },
        if m.tied_lm_head { "tied" } else { "of its own" }
    )
}

fn data(config: &TrainConfig) -> String {
    let accumulated = match config.grad_accumulation {
        1 => String::new(),
        count => format!("{count} × "),
    };
    format!(
        "{}; {accumulated}{} sequences of {} tokens per update, seed {}",
        config.data, config.batch_size, config.model.block_size, config.seed
    )
}

fn optimizer(config: &TrainConfig) -> String {
    let clip = if config.grad_clip > 0.0 {
        format!("clipping at norm {}", config.grad_clip)
    } else {
        "no clipping".into()
    };
    format!("{}, {clip}", config.optimizer.words())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_without_a_description_is_known_by_its_reports() {
        let meta = |batch: &str| {
            let pairs = [("version", "0.1.0"), ("dtype", "f32"), ("device", "flex"), ("batch", batch)];
            pairs.map(|(key, value)| (format!("warmlab.{key}"), value.to_string())).into()
        };
        let facts = facts(Path::new("no such run"), "loose", &[meta("first"), meta("second"), meta("first")]);
        let expected = [("measured on", "first; second"), ("measured by", "warmlab 0.1.0, f32, flex")];
        assert_eq!(facts.facts, expected.map(|(name, fact)| (name, fact.to_string())));
    }
}
