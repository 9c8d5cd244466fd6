//! Curvature followed through training: what its rows say, and that a cut run says the same.

use std::fs;
use std::path::Path;

use burn::tensor::Device;
use ndarray::{Array2, Axis};
use warmlab::base::random::stream;
use warmlab::base::row::{Row, Status};
use warmlab::base::values::Values;
use warmlab::data::{Corpus, Split, sampling};
use warmlab::linalg::dense;
use warmlab::model::Gpt;
use warmlab::report::read_parquet;
use warmlab::run;
use warmlab::snapshot::Snapshot;
use warmlab::train::{StepLog, TrainConfig};

use crate::support::{analysis, measure, report_of, settings as support_settings, stderr, train, warmlab};

/// Rows of all reports of an analysis below `folder`.
fn rows(folder: &Path) -> Vec<Row> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "parquet") {
            found.extend(read_parquet(&path).unwrap().rows);
        }
    }
    found.sort_by_key(|row| row.step);
    found
}

fn find<'a>(rows: &'a [Row], quantity: &str, step: u64) -> Option<&'a Row> {
    rows.iter().find(|row| &*row.quantity == quantity && row.step == step && row.index.unwrap_or(1) == 1)
}

const OPERATORS: &str = "hessian,preconditioned,preconditioned-next";

#[test]
fn what_is_followed_is_what_checkpoints_have() {
    let folder = tempfile::tempdir().unwrap();
    let output = train(folder.path(), "r", &["--steps", "30", "--track", OPERATORS, "--save-every", "10"]);
    assert!(output.status.success(), "{output:?}");
    let told = rows(&folder.path().join("reports/r/hessian"));
    assert!(told.iter().all(|row| row.value.is_some() && row.status != Status::Unconverged));
    for step in [1u64, 2, 4, 8, 10, 16, 30] {
        let ckpt = format!("step_{step}");
        let arguments = ["hessian", "--ckpt", &ckpt, "--operator", "hessian", "--operator", "preconditioned"];
        let output =
            warmlab(folder.path(), &[&arguments[..], &["--out", "again", "--allow-unconverged"]].concat());
        assert!(output.status.success(), "{output:?}");
        let measured = read_parquet(&report_of(&folder.path().join("again/r/hessian"), step)).unwrap().rows;
        for operator in ["hessian", "preconditioned"] {
            let name = format!("{operator}/lambda");
            let a = find(&told, &name, step).unwrap();
            let b = find(&measured, &name, step).unwrap();
            let (x, y) = (a.value.unwrap(), b.value.unwrap());
            let allowed = a.uncertainty.unwrap() + b.uncertainty.unwrap();
            assert!((x - y).abs() <= allowed, "{step} {operator}: {a:?} {b:?}");
            assert!(a.uncertainty.unwrap() <= 1e-2 * x && a.n.is_some_and(|n| (2..=40).contains(&n)));
        }
        for name in ["sharpness/threshold", "sharpness/threshold_t"] {
            let values = [&told, &measured].map(|rows| find(rows, name, step).unwrap().value.unwrap());
            assert!((values[0] / values[1] - 1.0).abs() < 1e-12, "{step} {name}: {values:?}");
        }
        let energies =
            told.iter().filter(|r| r.step == step && r.quantity.ends_with("hessian/gradient_energy"));
        let energies: Vec<f64> = energies.map(|row| row.value.unwrap()).collect();
        assert!(energies.len() == 2 && energies.is_sorted() && energies[1] <= 1.0, "{energies:?}");
    }
    // stamped with the updates before the batch, while update < 2/(1−β2)
    let next: Vec<u64> =
        told.iter().filter(|r| &*r.quantity == "preconditioned_next/lambda").map(|r| r.step).collect();
    assert_eq!(next, (0..30).collect::<Vec<u64>>());
}

/// λ1 on a training batch, its gradient in v, and the norm of every matrix: as a checkpoint says it of that batch.
#[test]
fn training_batches_and_norms_are_what_checkpoints_have() {
    let folder = tempfile::tempdir().unwrap();
    let settings = ["--steps", "12", "--save-early", "12", "--grad-clip", "0.3", "--dtype", "f64"];
    let track = format!("hessian:track-probes=40:operator={}", OPERATORS.replace(',', "|"));
    let output = train(folder.path(), "r", &[&settings[..], &["--track", &track]].concat());
    assert!(output.status.success(), "{output:?}");
    let told = rows(&folder.path().join("reports/r/hessian"));
    let run = folder.path().join("runs/r");
    let config = TrainConfig::read(&run.join("run.toml")).unwrap();
    let corpus = Corpus::open(&config.data, &[]).unwrap();
    let clipped = StepLog::read(&run.join("steps.jsonl")).unwrap().iter().filter(|line| line.clipped).count();
    assert!(clipped > 6, "{clipped} of 12 updates were clipped");
    let mut within = 0;
    for step in [1u64, 4, 7, 10] {
        let checkpoint = run::open(&run.join(format!("checkpoints/step_{step}")), config.dtype).unwrap();
        let random = &mut stream(config.seed, step + 1, "training batch");
        let (tokens, seq) = (corpus.tokens(Split::Train), config.model.block_size);
        let next = sampling::random(tokens, config.batch_size, seq, random).unwrap();
        let probe = sampling::sequential(corpus.tokens(Split::Val), 0, 8, seq).unwrap();
        for (operator, name, batch) in
            [("preconditioned-next", "preconditioned_next/", next), ("hessian", "", probe)]
        {
            let snapshot = Snapshot::new(checkpoint.clone(), batch, support_settings(config.dtype, None, 1));
            let measured =
                measure(analysis("hessian"), &snapshot, &[("operator", operator), ("exact", "true")]);
            let prefix = operator.replace('-', "_");
            let a = find(&told, &format!("{prefix}/lambda"), step).unwrap();
            let b = find(&measured, &format!("{prefix}/lambda"), step).unwrap();
            let difference = (a.value.unwrap() - b.value.unwrap()).abs();
            assert!(difference <= a.uncertainty.unwrap() + 1e-9 * b.value.unwrap(), "{a:?} {b:?}");
            let a = find(&told, &format!("{name}condition/rms"), step).unwrap();
            let b = find(&measured, &format!("{name}condition/rms"), step).unwrap();
            let (difference, error) = ((a.value.unwrap() - b.value.unwrap()).abs(), a.uncertainty.unwrap());
            within += u32::from(difference <= error);
            assert!(difference <= 4.0 * error && error <= 0.05 * b.value.unwrap(), "{a:?} {b:?}");
        }
    }
    // two thirds are to be expected; two or fewer of eight have a chance of one in fifty
    assert!((3..=8).contains(&within), "{within} of 8 within one standard error");
}

/// What is followed is the curvature of the loss: its matrix from differences of gradients, its preconditioner by hand
/// from the checkpoint's second moment, and its spectrum whole. Neither products nor search have a part in it.
#[test]
fn what_is_followed_is_the_curvature_of_the_loss() {
    let folder = tempfile::tempdir().unwrap();
    let settings = ["--steps", "6", "--save-early", "6", "--dtype", "f64"];
    let track = "hessian:track-tol=1e-6:track-max-matvecs=200:operator=hessian|preconditioned";
    let output = train(folder.path(), "r", &[&settings[..], &["--track", track]].concat());
    assert!(output.status.success(), "{output:?}");
    let told = rows(&folder.path().join("reports/r/hessian"));
    let run = folder.path().join("runs/r");
    let config = TrainConfig::read(&run.join("run.toml")).unwrap();
    let corpus = Corpus::open(&config.data, &[]).unwrap();
    let probe = sampling::sequential(corpus.tokens(Split::Val), 0, 8, config.model.block_size).unwrap();
    let step = 6;
    let checkpoint = run::open(&run.join(format!("checkpoints/step_{step}")), config.dtype).unwrap();
    let parameters = checkpoint.parameters.to_f64();
    let n = parameters.len();
    let gradient = |i: usize, by: f64| {
        let mut moved = parameters.clone();
        moved[i] += by;
        let gpt = Gpt::new(&checkpoint.config, &Values::F64(moved), &Device::flex()).unwrap();
        ndarray::Array1::from(gpt.gradient(&probe, 8).unwrap().1.to_f64())
    };
    let (mut matrix, by) = (Array2::zeros((n, n)), 1e-5);
    for i in 0..n {
        matrix.row_mut(i).assign(&((gradient(i, by) - gradient(i, -by)) / (2.0 * by)));
    }
    let matrix = (&matrix + &matrix.t()) / 2.0;
    let optimizer = checkpoint.optimizer.unwrap();
    let root = |v: f64| {
        1.0 / ((v / (1.0 - optimizer.constant("beta2").powi(step as i32))).sqrt() + optimizer.constant("eps"))
            .sqrt()
    };
    let v = optimizer.vectors["exp_avg_sq"].clone();
    let p: ndarray::Array1<f64> = (0..n).map(|i| root(v.get(i))).collect();
    let turned = &(&matrix * &p) * &p.clone().insert_axis(Axis(1));
    for (name, matrix) in [("hessian", matrix), ("preconditioned", turned)] {
        let spectrum = dense::eigh(&matrix).unwrap().0;
        let truth = spectrum[n - 1];
        let row = find(&told, &format!("{name}/lambda"), step).unwrap();
        let (value, error) = (row.value.unwrap(), row.uncertainty.unwrap());
        assert!(row.status == Status::Ok && error <= 1e-6 * truth.abs() * 1.1, "{row:?}");
        // differences of gradients: 1e-10 of truncation, 1e-11 of rounding, over n coordinates
        assert!((value / truth - 1.0).abs() < 1e-5, "{name} at {step}: {row:?} {truth}");
    }
}

#[test]
fn a_followed_run_cut_anywhere_is_completed_bit_for_bit() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let settings = ["--steps", "27", "--save-growth", "1", "--save-every", "9", "--track", OPERATORS];
    for folder in [a.path(), b.path()] {
        assert!(train(folder, "r", &settings).status.success());
    }
    // killed on the way to the last checkpoint, then once more while it was written
    for (removed, left) in [(vec![27], None), (vec![27], Some("checkpoints/.writing-x"))] {
        for step in removed {
            fs::remove_dir_all(b.path().join(format!("runs/r/checkpoints/step_{step}"))).unwrap();
        }
        if let Some(left) = left {
            fs::create_dir(b.path().join("runs/r").join(left)).unwrap();
        }
        let output = warmlab(b.path(), &["train", "--resume", "runs/r"]);
        assert!(output.status.success() && !stderr(&output).contains("anew"), "{output:?}");
        let (x, y) = (a.path().join("reports/r/hessian"), b.path().join("reports/r/hessian"));
        for entry in fs::read_dir(&x).unwrap() {
            let name = entry.unwrap().file_name();
            assert!(fs::read(x.join(&name)).unwrap() == fs::read(y.join(&name)).unwrap(), "{name:?}");
        }
    }
    // an older checkpoint has lost its vectors: said, and settled all the same
    for step in [18, 27] {
        fs::remove_dir_all(b.path().join(format!("runs/r/checkpoints/step_{step}"))).unwrap();
    }
    let output = warmlab(b.path(), &["train", "--resume", "runs/r"]);
    assert!(output.status.success() && stderr(&output).contains("anew"), "{output:?}");
    let [x, y] = [a.path(), b.path()].map(|folder| rows(&folder.join("reports/r/hessian")));
    for step in [10, 20, 27] {
        let [x, y] = [&x, &y].map(|rows| find(rows, "hessian/lambda", step).unwrap());
        let difference = (x.value.unwrap() - y.value.unwrap()).abs();
        assert!(difference <= x.uncertainty.unwrap() + y.uncertainty.unwrap(), "{x:?} {y:?}");
    }
}

#[test]
fn tracking_curvature_changes_nothing_of_the_run() {
    let folder = tempfile::tempdir().unwrap();
    assert!(train(folder.path(), "plain", &["--steps", "5"]).status.success());
    assert!(train(folder.path(), "seen", &["--steps", "5", "--track", OPERATORS]).status.success());
    let model = |name: &str| {
        fs::read(folder.path().join(format!("runs/{name}/checkpoints/step_5/model.safetensors"))).unwrap()
    };
    assert!(model("plain") == model("seen"));
}
