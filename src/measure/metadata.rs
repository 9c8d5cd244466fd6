//! What a report says about how it was made: the same for the same command.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::batches::Chosen;
use super::request::Computing;
use super::training;
use crate::base::device::Device;
use crate::base::error::Result;
use crate::base::files;
use crate::base::resources;
use crate::base::simd;
use crate::base::values::DType;
use crate::data::{Batch, joint_sha256};
use crate::report::SCHEMA_VERSION;
use crate::run::Checkpoint;
use crate::snapshot::analysis::Analysis;
use crate::snapshot::options::Options;
use crate::train::TrainConfig;

/// `warmlab.*` keys.
pub type Meta = BTreeMap<String, String>;

/// Of an analysis of a checkpoint: everything needed to repeat the numbers.
pub fn of_checkpoint(
    analysis: &dyn Analysis,
    options: &Options,
    computing: &Computing,
    checkpoint: &Checkpoint,
    chosen: &Chosen,
) -> Meta {
    let Chosen { batches, words } = chosen;
    // everything that may be typed and that changes numbers, but for what has a key of its own: the analysis's options,
    // defaults filled in, and of all others the seed and those that were given. How sequences are chosen is in the
    // batch's hash.
    let own = Some(options.normalised().to_string()).filter(|own| !own.is_empty());
    let options = own.into_iter().chain(computing.options()).collect::<Vec<_>>().join(" ");
    let num_parameters = checkpoint.config.num_parameters();
    let mut meta = common(
        (analysis.name(), analysis.notes()),
        options,
        num_parameters,
        (computing.seed, computing.dtype, computing.device),
    );
    add(
        &mut meta,
        [
            ("checkpoint_sha256", checkpoint.sha256.clone()),
            ("checkpoint_format", checkpoint.format.to_string()),
            ("batch", words.clone()),
            ("batch_sha256", joint_sha256(batches)),
        ],
    );
    if batches.len() > 1 {
        let hashes: Vec<String> = batches.iter().map(Batch::sha256).collect();
        let together = "values are means over the batches; batch_sha256, and the batch column of what is a mean, is \
                        the hash of the hashes in batches_sha256";
        add(&mut meta, [("batches_sha256", hashes.join(" ")), ("repeat_batches", one_line(together))]);
    }
    meta
}

/// Of an analysis of training steps, whose batches are the run's.
pub fn of_tracking(analysis: &dyn Analysis, options: &Options, config: &TrainConfig, device: Device) -> Meta {
    of_run((analysis.name(), analysis.notes()), options.normalised().to_string(), config, device)
}

/// Of what the training loop itself knows.
pub fn of_training(config: &TrainConfig, device: Device) -> Meta {
    of_run((training::NAME, training::NOTES), String::new(), config, device)
}

fn of_run(about: (&str, &str), options: String, config: &TrainConfig, device: Device) -> Meta {
    let how = (config.seed, config.dtype, device);
    let mut meta = common(about, options, config.model.num_parameters(), how);
    let batch = format!("training batches of {}", config.data);
    add(&mut meta, [("batch", batch), ("run_sha256", config.sha256())]);
    meta
}

/// What every report says: `about` is the analysis and how to read its numbers.
fn common(
    about: (&str, &str),
    options: String,
    num_parameters: usize,
    (seed, dtype, device): (u64, DType, Device),
) -> Meta {
    let (analysis, notes) = about;
    let mut meta = Meta::new();
    add(
        &mut meta,
        [
            ("schema_version", SCHEMA_VERSION.to_string()),
            ("version", env!("CARGO_PKG_VERSION").to_string()),
            ("analysis", analysis.to_string()),
            ("options", options),
            ("num_parameters", num_parameters.to_string()),
            ("seed", seed.to_string()),
            ("dtype", dtype.to_string()),
            ("device", device.to_string()),
            ("threads", resources::threads().to_string()),
            ("simd", simd::level().as_str().to_string()),
            ("notes", one_line(notes)),
        ],
    );
    meta
}

fn add<const N: usize>(meta: &mut Meta, pairs: [(&str, String); N]) {
    meta.extend(pairs.map(|(key, value)| (format!("warmlab.{key}"), value)));
}

/// Says that searches began where those of the report before, in the file `stem`, ended.
pub fn start(step: u64, stem: &str) -> (String, String) {
    ("warmlab.start".into(), format!("near what was found at step {step}, {stem}"))
}

/// Adds the batch that is the same at every step.
pub fn add_probe(meta: &mut Meta, probe: &Batch, data: &str) {
    let words = format!("the first {} sequences of {} tokens of {data}", probe.batch_size(), probe.seq());
    add(meta, [("probe", words), ("probe_sha256", probe.sha256())]);
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
