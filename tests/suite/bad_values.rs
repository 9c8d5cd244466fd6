//! Files that are well formed and say impossible things: refused in a sentence or measured, never a panic, and no
//! number that is not finite is called ok.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use warmlab::analyses::ANALYSES;
use warmlab::base::error::Result;
use warmlab::base::observer::Silent;
use warmlab::base::values::{DType, Values};
use warmlab::data::{Batch, read_batch};
use warmlab::run;
use warmlab::snapshot::Snapshot;

use crate::support::settings;

fn fixture() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiny-bias")
}

/// A copy of the fixture with one file's JSON changed.
fn changed(file: &str, change: impl Fn(&mut Value)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixture()).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    let path = folder.path().join(file);
    let mut value: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
    folder
}

/// Measures everything there is; what is ok is finite.
fn measure_all(checkpoint: run::Checkpoint, batch: &Batch, about: &str) {
    measure(checkpoint, batch, about, &["hessian", "attention", "adam", "angular", "snr", "sharpness"]);
}

fn measure(checkpoint: run::Checkpoint, batch: &Batch, about: &str, names: &[&str]) {
    let snapshot = Snapshot::new(checkpoint, batch.clone(), settings(DType::F64, None, 1));
    for analysis in ANALYSES.iter().filter(|analysis| names.contains(&analysis.name())) {
        let few = [("operator", "preconditioned"), ("top", "1"), ("max-matvecs", "30")];
        let given = if analysis.name() == "hessian" { &few[..] } else { &[] };
        let options = analysis.options().parse(given.iter().copied()).unwrap();
        let Ok(rows) = analysis.run(&snapshot, &options, &Silent) else { continue };
        for row in rows {
            let name = format!("{about}: {}", row.quantity);
            assert_eq!(row.value.is_none(), row.status.as_str() == "nonfinite", "{name}");
            assert!(row.value.is_none_or(f64::is_finite), "{name}");
        }
    }
}

#[test]
fn impossible_configurations_are_refused() {
    let good = read_batch(&fixture().join("batch.safetensors")).unwrap();
    for key in ["n_layer", "n_head", "n_embd", "block_size", "vocab_size"] {
        for value in [
            json!(0),
            json!(-1),
            json!(1.5),
            json!(1u64 << 40),
            json!(u64::MAX),
            json!("4"),
            json!(null),
            json!(3),
        ] {
            let folder = changed("config.json", |config| config[key] = value.clone());
            // a block size of 3 or a head more may fit the tensors; nothing else does
            if let Ok(checkpoint) = run::open(folder.path(), DType::F64) {
                assert_eq!(value, json!(3), "{key} {value}");
                measure_all(checkpoint, &good, key);
            }
        }
    }
    for (key, value) in [
        ("layer_norm_eps", json!(0)),
        ("layer_norm_eps", json!(-1e-5)),
        ("activation", json!("swish")),
        ("arch", json!("llama")),
        ("rope", json!(true)),
        ("bias", json!(false)),
        ("tied_lm_head", json!(false)),
    ] {
        let folder = changed("config.json", |config| config[key] = value.clone());
        let error = run::open(folder.path(), DType::F64).expect_err("impossible").to_string();
        assert!(!error.is_empty() && !error.contains('\n'), "{error}");
    }
}

#[test]
fn impossible_optimizers_are_refused_or_measured_without_a_panic() {
    let batch = read_batch(&fixture().join("batch.safetensors")).unwrap();
    let numbers = [json!(0), json!(-1), json!(1), json!(1.5), json!(1e300)];
    // what reads the optimizer
    let names = ["hessian", "adam", "angular"];
    for key in ["lr", "last_lr", "beta1", "beta2", "eps", "weight_decay", "grad_clip", "updates"] {
        for value in &numbers {
            let folder = changed("state.json", |state| state["optimizer"][key] = value.clone());
            if let Ok(checkpoint) = run::open(folder.path(), DType::F64) {
                measure(checkpoint, &batch, &format!("{key} {value}"), &names);
            }
        }
    }
    for step in [0, 1, u64::from(u32::MAX), 1 << 53, i64::MAX as u64, u64::MAX] {
        let folder = changed("state.json", |state| state["step"] = json!(step));
        if let Ok(checkpoint) = run::open(folder.path(), DType::F64) {
            measure(checkpoint, &batch, &format!("step {step}"), &names);
        }
    }
}

#[test]
fn moments_and_weights_at_the_ends_of_their_range_make_no_panic() {
    let batch = read_batch(&fixture().join("batch.safetensors")).unwrap();
    let good = run::open(&fixture(), DType::F64).unwrap();
    for number in [0.0, -1.0, 1e-320, 1e-30, 1e150, f64::MAX, f64::INFINITY, f64::NAN] {
        let mut checkpoint = good.clone();
        let optimizer = checkpoint.optimizer.as_mut().unwrap();
        let n = checkpoint.parameters.len();
        optimizer.vectors.insert("exp_avg_sq".into(), Values::F64(vec![number; n]));
        measure_all(checkpoint.clone(), &batch, &format!("v = {number}"));
        let vectors = &mut checkpoint.optimizer.as_mut().unwrap().vectors;
        vectors.insert("exp_avg".into(), Values::F64(vec![number; n]));
        measure_all(checkpoint, &batch, &format!("m = v = {number}"));
        let mut checkpoint = good.clone();
        checkpoint.parameters = Values::F64(vec![number; n]);
        measure_all(checkpoint, &batch, &format!("all weights {number}"));
    }
}

#[test]
fn batches_that_do_not_fit_the_model_are_refused() -> Result<()> {
    let good = run::open(&fixture(), DType::F64)?;
    // more tokens than positions, and ids beyond the vocabulary: said before anything is computed
    let batch = Batch::new(vec![6; 12], vec![7; 12], 12);
    assert!(batch.check_vocabulary(good.config.vocab_size, "b").is_err());
    let batch = Batch::new(vec![0; 12], vec![1; 12], 12);
    assert!(batch.seq() > good.config.block_size);
    let snapshot = Snapshot::new(good, batch, settings(DType::F64, None, 1));
    for analysis in ANALYSES.iter().filter(|a| ["hessian", "attention", "snr"].contains(&a.name())) {
        let error = analysis.run(&snapshot, &analysis.options().defaults().unwrap(), &Silent);
        assert!(error.is_err(), "{}", analysis.name());
    }
    Ok(())
}
