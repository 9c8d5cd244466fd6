//! Curvature followed through training: what its rows say, and that a cut run says the same.

use std::fs;
use std::path::Path;

use warmlab::report::read_parquet;
use warmlab::row::{Row, Status};

use crate::support::{stderr, train, warmlab};

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
        let path = folder.path().join(format!("again/r/hessian/step_{step}.parquet"));
        let measured = read_parquet(&path).unwrap().rows;
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
