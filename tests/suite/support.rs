//! What several tests need: the golden folder, small models, the binary.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rand::RngExt;
use warmlab::analyses::ANALYSES;
use warmlab::architecture::GptConfig;
use warmlab::base::observer::Silent;
use warmlab::base::random::{Random, stream};
use warmlab::base::row::Row;
use warmlab::base::settings::Settings;
use warmlab::base::values::{DType, Values};
use warmlab::data::Batch;
use warmlab::snapshot::Snapshot;
use warmlab::snapshot::analysis::Analysis;

/// A golden folder or file, or `None` with a word on stderr.
pub fn golden(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/golden").join(name);
    if !path.exists() {
        eprintln!("{} is absent: what needs it is skipped", path.display());
        return None;
    }
    Some(path)
}

/// Small checkpoints with numbers made by PyTorch beside them: this project's own, which
/// tests/fixtures/make.py makes, and the golden ones where they are.
pub fn references() -> Vec<PathBuf> {
    let names = ["tiny-bias", "tiny-nobias"];
    let ours = names.map(|name| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name));
    ours.into_iter().chain(names.iter().filter_map(|name| golden(name))).collect()
}

pub fn config(json: &str) -> GptConfig {
    serde_json::from_str(json).unwrap()
}

/// A model small enough for dense matrices, in every variant.
pub fn tiny(bias: bool, tied: bool, activation: &str) -> GptConfig {
    config(&format!(
        r#"{{"n_layer": 2, "n_head": 2, "n_embd": 6, "block_size": 7, "vocab_size": 9,
            "bias": {bias}, "tied_lm_head": {tied}, "activation": "{activation}"}}"#
    ))
}

/// Parameters far from initialisation, so that no derivative is small by accident.
pub fn parameters(config: &GptConfig, seed: u64) -> Values {
    let mut flat = vec![0.0; config.num_parameters()];
    let random = &mut stream(seed, 0, "test parameters");
    for p in config.parameters() {
        let norm = p.name.contains("ln_") && p.name.ends_with("weight");
        flat[p.range()]
            .iter_mut()
            .for_each(|x| *x = random.random_range(-0.6..0.6) + if norm { 1.0 } else { 0.0 });
    }
    Values::F64(flat)
}

pub fn batch(config: &GptConfig, batch_size: usize, seq: usize, seed: u64) -> Batch {
    let random = &mut stream(seed, 0, "test batch");
    let mut ids =
        || (0..batch_size * seq).map(|_| random.random_range(0..config.vocab_size as u32)).collect();
    Batch::new(ids(), ids(), seq)
}

pub fn numbers(random: &mut Random, n: usize) -> Vec<f64> {
    (0..n).map(|_| random.random_range(-1.0..1.0)).collect()
}

/// ‖a − b‖/‖b‖.
pub fn relative(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let difference: f64 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
    (difference / b.iter().map(|b| b * b).sum::<f64>()).sqrt()
}

/// An entry of the catalogue.
pub fn analysis(name: &str) -> &'static dyn Analysis {
    *ANALYSES.iter().find(|a| a.name() == name).unwrap()
}

/// Settings with room for everything.
pub fn settings(dtype: DType, micro_batch: Option<usize>, seed: u64) -> Settings {
    Settings { dtype, device: Default::default(), micro_batch, memory: 4 << 30, seed }
}

/// An analysis with its defaults but for `options`.
pub fn measure(analysis: &dyn Analysis, snapshot: &Snapshot, options: &[(&str, &str)]) -> Vec<Row> {
    let chosen = analysis.options().parse(options.iter().copied()).unwrap();
    analysis.run(snapshot, &chosen, &Silent).unwrap()
}

/// Every report of a step in an analysis's folder.
pub fn reports_of(folder: &Path, step: u64) -> Vec<PathBuf> {
    let start = format!("step_{step}-");
    let entries = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = entries
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(&start))
        .filter(|path| path.extension().is_some_and(|e| e == "parquet"))
        .collect();
    found.sort();
    found
}

/// The only report of a step in an analysis's folder.
pub fn report_of(folder: &Path, step: u64) -> PathBuf {
    match reports_of(folder, step).as_slice() {
        [one] => one.clone(),
        others => panic!("{} has {others:?} of step {step}", folder.display()),
    }
}

/// Runs the binary in `folder`.
pub fn warmlab(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_warmlab")).args(arguments).current_dir(folder).output().unwrap()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A run of a few steps of a tiny model.
pub fn train(folder: &Path, name: &str, more: &[&str]) -> Output {
    let mut arguments = vec![
        "train",
        "--name",
        name,
        "--n-layer",
        "1",
        "--n-head",
        "2",
        "--n-embd",
        "8",
        "--block-size",
        "8",
        "--batch-size",
        "2",
        "--eval-every",
        "0",
        "--warmup",
        "2",
    ];
    arguments.extend(more);
    warmlab(folder, &arguments)
}
