//! What an update meets under gradient clipping: c from the run's log, from the batch, or from nowhere; and what
//! contains it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use warmlab::base::row::{Row, Status};
use warmlab::report::read_parquet;
use warmlab::train::StepLog;

use crate::support::{stderr, stdout, train, warmlab};

const CLIP: f64 = 0.3;

/// A run of 12 updates, most of them clipped.
fn clipped_run(more: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let settings = ["--steps", "12", "--save-early", "12", "--grad-clip", "0.3", "--dtype", "f64"];
    let output = train(folder.path(), "r", &[&settings[..], more].concat());
    assert!(output.status.success(), "{output:?}");
    folder
}

/// c of each update, as the log has it: the first is that of update 1.
fn factors(folder: &Path) -> Vec<f64> {
    let lines = StepLog::read(&folder.join("runs/r/steps.jsonl")).unwrap();
    lines.iter().map(|line| (CLIP / (line.grad_norm + 1e-6)).min(1.0)).collect()
}

/// The rows of an analysis of a checkpoint, and what was said on stderr.
fn analyse(folder: &Path, analysis: &str, ckpt: &str, more: &[&str]) -> (Vec<Value>, Value, String) {
    let arguments = [analysis, "--ckpt", ckpt, "--dtype", "f64", "--format", "json", "--data", "synthetic"];
    let output = warmlab(folder, &[&arguments[..], more].concat());
    assert!(output.status.code().is_some_and(|code| code < 2), "{output:?}");
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    (report["rows"].as_array().unwrap().clone(), report["meta"].clone(), stderr(&output))
}

fn row<'a>(rows: &'a [Value], quantity: &str) -> &'a Value {
    rows.iter().find(|row| row["quantity"] == quantity).unwrap_or_else(|| panic!("no {quantity}"))
}

fn value(rows: &[Value], quantity: &str) -> f64 {
    row(rows, quantity)["value"].as_f64().unwrap()
}

/// The checkpoint of a run as a loose folder, with another threshold in its state.json, or without one.
fn loose(folder: &Path, step: u64, grad_clip: Option<f64>) -> PathBuf {
    let to = folder.join(format!("loose-{grad_clip:?}"));
    fs::create_dir(&to).unwrap();
    for entry in fs::read_dir(folder.join(format!("runs/r/checkpoints/step_{step}"))).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
    edit(&to.join("state.json"), |state| match grad_clip {
        Some(grad_clip) => state["optimizer"]["grad_clip"] = grad_clip.into(),
        None => {
            state["optimizer"].as_object_mut().unwrap().remove("grad_clip");
        }
    });
    to
}

fn edit(path: &Path, change: impl Fn(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

const PRECONDITIONED: [&str; 4] = ["--operator", "preconditioned", "--operator", "preconditioned-next"];

#[test]
fn margins_of_checkpoints_contain_the_clip_factor_of_the_update_after_them() {
    let folder = clipped_run(&[]);
    let factors = factors(folder.path());
    assert!(factors[4] < 0.9, "update 5 was clipped: {factors:?}");
    let (rows, meta, _) = analyse(folder.path(), "hessian", "step_4", &PRECONDITIONED);
    let clip = row(&rows, "sharpness/clip_factor");
    assert!((clip["value"].as_f64().unwrap() / factors[4] - 1.0).abs() < 1e-12 && clip["status"] == "ok");
    assert!(meta["warmlab.clip_factor"].as_str().unwrap().contains("log"), "{meta}");
    let margins = ["preconditioned", "preconditioned_next"].map(|prefix| {
        let lambda = value(&rows, &format!("{prefix}/lambda"));
        let of = if prefix == "preconditioned" { String::new() } else { format!("{prefix}/") };
        let expected = value(&rows, &format!("{of}sharpness/threshold_t")) / (factors[4] * lambda);
        let margin = row(&rows, &format!("{of}sharpness/margin"));
        assert!((margin["value"].as_f64().unwrap() / expected - 1.0).abs() < 1e-12, "{margin} {expected}");
        margin["status"].clone()
    });
    assert!(margins.iter().all(|status| status == "ok"), "{margins:?}");

    // the same weights and moments without the log: c is that of the batch, and so is what contains it
    let own = loose(folder.path(), 4, Some(CLIP));
    let (estimated, _, said) = analyse(folder.path(), "hessian", own.to_str().unwrap(), &PRECONDITIONED);
    let expected = (CLIP / (value(&rows, "gradient/norm") + 1e-6)).min(1.0);
    for (quantity, expected) in [
        ("sharpness/clip_factor", expected),
        ("sharpness/margin", value(&rows, "sharpness/margin") * factors[4] / expected),
    ] {
        let row = row(&estimated, quantity);
        assert!((row["value"].as_f64().unwrap() / expected - 1.0).abs() < 1e-9, "{row} {expected}");
        assert_eq!(row["status"], "unresolved");
    }
    assert!(said.contains("estimated"), "{said}");
    assert_eq!(value(&estimated, "preconditioned/lambda"), value(&rows, "preconditioned/lambda"));

    for (grad_clip, status) in [(None, "unresolved"), (Some(0.0), "ok")] {
        let path = loose(folder.path(), 4, grad_clip);
        let (rows, _, said) = analyse(folder.path(), "hessian", path.to_str().unwrap(), &PRECONDITIONED);
        let clip = row(&rows, "sharpness/clip_factor");
        assert!(clip["value"] == 1.0 && clip["status"] == status, "{grad_clip:?}: {clip}");
        assert_eq!(row(&rows, "sharpness/margin")["status"], status);
        assert_eq!(said.contains("not known"), grad_clip.is_none(), "{said}");
    }
}

#[test]
fn the_quotient_of_the_gradient_contains_the_clip_factor() {
    let folder = clipped_run(&[]);
    let with_log = analyse(folder.path(), "sharpness", "step_6", &[]).0;
    let own = loose(folder.path(), 6, Some(CLIP));
    let without = analyse(folder.path(), "sharpness", own.to_str().unwrap(), &[]).0;
    // P is of the batch's own clipped gradient on both sides: what differs is c alone
    let [a, b] = [&with_log, &without]
        .map(|rows| value(rows, "sharpness/gradient_adam") / value(rows, "sharpness/clip_factor"));
    assert!((a / b - 1.0).abs() < 1e-12, "{a} {b}");
    assert!((value(&with_log, "sharpness/clip_factor") / factors(folder.path())[6] - 1.0).abs() < 1e-12);
    let statuses = [&with_log, &without].map(|rows| row(rows, "sharpness/gradient_adam")["status"].clone());
    assert_eq!(statuses, ["ok", "unresolved"]);
}

/// Rows of all reports below `folder`.
fn tracked(folder: &Path) -> Vec<Row> {
    let entries = fs::read_dir(folder.join("reports/r/hessian")).unwrap();
    let paths = entries.map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "parquet"));
    paths.flat_map(|path| read_parquet(&path).unwrap().rows).collect()
}

fn at(rows: &[Row], quantity: &str) -> Vec<(u64, f64)> {
    let found = rows.iter().filter(|row| &*row.quantity == quantity && row.index.unwrap_or(1) == 1);
    let mut found: Vec<(u64, f64)> = found
        .map(|row| {
            assert_eq!(row.status, Status::Ok, "{row:?}");
            (row.step, row.value.unwrap())
        })
        .collect();
    found.sort_by_key(|(step, _)| *step);
    found
}

#[test]
fn tracked_margins_contain_the_factor_of_the_next_update_whatever_the_cadence() {
    for (every, steps) in [(1, (1..=12).collect::<Vec<u64>>()), (4, vec![4, 8, 12])] {
        let track = format!("hessian:operator=preconditioned:early=0:every={every}");
        let folder = clipped_run(&["--track", &track]);
        let (rows, factors) = (tracked(folder.path()), factors(folder.path()));
        let lambda = at(&rows, "preconditioned/lambda");
        assert_eq!(lambda.iter().map(|(step, _)| *step).collect::<Vec<_>>(), steps);
        let threshold = at(&rows, "sharpness/threshold_t");
        let margin = at(&rows, "sharpness/margin");
        // the last update has none after it
        assert_eq!(margin.len(), steps.len() - 1);
        for ((step, margin), ((_, lambda), (_, threshold))) in
            margin.iter().zip(lambda.iter().zip(&threshold))
        {
            let expected = threshold / (factors[*step as usize] * lambda);
            assert!((margin / expected - 1.0).abs() < 1e-12, "step {step}: {margin} {expected}");
        }
        for (step, clip) in at(&rows, "sharpness/clip_factor") {
            assert!((clip / factors[step as usize] - 1.0).abs() < 1e-12, "step {step}: {clip}");
        }
    }
}

#[test]
fn a_rate_of_zero_has_thresholds_without_values_and_says_so() {
    let folder = clipped_run(&[]);
    let own = loose(folder.path(), 2, Some(0.0));
    edit(&own.join("state.json"), |state| state["optimizer"]["lr"] = 0.0.into());
    for (analysis, more) in [("hessian", &PRECONDITIONED[..]), ("sharpness", &[])] {
        let (rows, meta, said) = analyse(folder.path(), analysis, own.to_str().unwrap(), more);
        for name in ["sharpness/threshold", "sharpness/threshold_t"] {
            assert!(row(&rows, name)["value"].is_null() && row(&rows, name)["status"] == "nonfinite");
        }
        // what is not defined is no failure
        let ckpt = own.to_str().unwrap();
        let again =
            warmlab(folder.path(), &[&[analysis, "--ckpt", ckpt, "--data", "synthetic"], more].concat());
        assert_eq!(again.status.code(), Some(0), "{again:?}");
        assert!(said.contains("not defined (η=0)"), "{said}");
        assert!(meta["warmlab.threshold"].as_str().unwrap().contains("η=0"), "{meta}");
    }
}
