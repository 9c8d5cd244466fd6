//! What a report says about how it was made.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::flags::{Computing, Measuring};
use super::resources;
use crate::base::device::Device;
use crate::base::error::Result;
use crate::base::files;
use crate::base::settings::Settings;
use crate::base::simd;
use crate::data::{Batch, joint_sha256};
use crate::measure::training;
use crate::report::SCHEMA_VERSION;
use crate::run::Checkpoint;
use crate::snapshot::analysis::{Analysis, Options};
use crate::train::TrainConfig;

/// Everything needed to repeat the numbers; the same for the same command.
pub fn metadata(
    analysis: &dyn Analysis,
    options: String,
    checkpoint: &Checkpoint,
    settings: &Settings,
    batches: &[Batch],
    words: &str,
) -> BTreeMap<String, String> {
    let pairs = [
        ("schema_version", SCHEMA_VERSION.to_string()),
        ("version", env!("CARGO_PKG_VERSION").to_string()),
        ("analysis", analysis.name().to_string()),
        ("options", options),
        ("checkpoint_sha256", checkpoint.sha256.clone()),
        ("checkpoint_format", checkpoint.format.to_string()),
        ("batch", words.to_string()),
        ("batch_sha256", joint_sha256(batches)),
        ("num_parameters", checkpoint.config.num_parameters().to_string()),
        ("seed", settings.seed.to_string()),
        ("dtype", settings.dtype.to_string()),
        ("device", settings.device.to_string()),
        ("threads", resources::threads().to_string()),
        ("simd", simd::level().as_str().to_string()),
        ("notes", one_line(analysis.notes())),
    ];
    let several = (batches.len() > 1).then(|| {
        let hashes: Vec<String> = batches.iter().map(Batch::sha256).collect();
        let together = "values are means over the batches; batch_sha256, and the batch column of what is a mean, is \
                        the hash of the hashes in batches_sha256";
        [("batches_sha256", hashes.join(" ")), ("repeat_batches", one_line(together))]
    });
    let pairs = pairs.into_iter().chain(several.into_iter().flatten());
    pairs.map(|(key, value)| (format!("warmlab.{key}"), value)).collect()
}

/// Everything that may be typed and that changes numbers, but for what has a key of its own, in one order: the
/// analysis's options, defaults filled in, and of all others the seed and those that were given. How sequences are
/// chosen is in the batch's hash.
pub fn options(
    options: &Options,
    measuring: &Measuring,
    computing: &Computing,
    threads: Option<usize>,
) -> String {
    let given = [
        ("memory", measuring.memory.map(|bytes| bytes.to_string())),
        ("micro-batch", measuring.micro_batch.map(|size| size.to_string())),
        ("seed", Some(computing.seed.to_string())),
        ("threads", threads.map(|threads| threads.to_string())),
    ];
    let given = given.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value?)));
    std::iter::once(options.normalised())
        .filter(|own| !own.is_empty())
        .chain(given)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Says that searches began where those of the report before, in the file `stem`, ended.
pub fn start(step: u64, stem: &str) -> (String, String) {
    ("warmlab.start".into(), format!("near what was found at step {step}, {stem}"))
}

/// The same of an analysis of training steps, whose batches are the run's.
pub fn tracking_metadata(
    analysis: &dyn Analysis,
    options: &Options,
    config: &TrainConfig,
    device: Device,
) -> BTreeMap<String, String> {
    run_metadata(analysis.name(), options.normalised(), analysis.notes(), config, device)
}

fn run_metadata(
    name: &str,
    options: String,
    notes: &str,
    config: &TrainConfig,
    device: Device,
) -> BTreeMap<String, String> {
    let pairs = [
        ("schema_version", SCHEMA_VERSION.to_string()),
        ("version", env!("CARGO_PKG_VERSION").to_string()),
        ("analysis", name.to_string()),
        ("options", options),
        ("batch", format!("training batches of {}", config.data)),
        ("num_parameters", config.model.num_parameters().to_string()),
        ("run_sha256", config.sha256()),
        ("seed", config.seed.to_string()),
        ("dtype", config.dtype.to_string()),
        ("device", device.to_string()),
        ("threads", resources::threads().to_string()),
        ("simd", simd::level().as_str().to_string()),
        ("notes", one_line(notes)),
    ];
    pairs.into_iter().map(|(key, value)| (format!("warmlab.{key}"), value)).collect()
}

/// The same of what the training loop itself knows.
pub fn training_metadata(config: &TrainConfig, device: Device) -> BTreeMap<String, String> {
    run_metadata(training::NAME, String::new(), training::NOTES, config, device)
}

/// Adds the batch that is the same at every step.
pub fn add_probe(meta: &mut BTreeMap<String, String>, probe: &Batch, data: &str) {
    let words = format!("the first {} sequences of {} tokens of {data}", probe.batch_size(), probe.seq());
    meta.insert("warmlab.probe".into(), words);
    meta.insert("warmlab.probe_sha256".into(), probe.sha256());
}

/// Text without line breaks.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What changes from run to run lies apart from the report: timings, memory, the command line.
///
/// # Errors
/// Where the folder cannot be written.
pub fn write_command(path: &Path, elapsed: Duration) -> Result<()> {
    let command: Vec<String> = std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect();
    let value = json!({
        "command": command,
        "seconds": elapsed.as_secs_f64(),
        "peak_memory_bytes": resources::peak_memory(),
    });
    files::write_bytes(path, format!("{value:#}\n").as_bytes())
}
