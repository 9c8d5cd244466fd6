//! An analysis over the checkpoints of a run: each search starts near the last one's answer, a report that is there
//! is left alone when asked, and the numbers are those of a checkpoint alone.

use std::fs;
use std::path::Path;

use warmlab::report::{Report, read_parquet};

use crate::support::{stderr, stdout, train, warmlab};

const OPERATORS: [&str; 8] =
    ["--operator", "hessian", "--operator", "preconditioned", "--bottom", "0", "--tol", "1e-4"];

fn report(folder: &Path, step: u64) -> Report {
    read_parquet(&folder.join(format!("r/hessian/step_{step}.parquet"))).unwrap()
}

#[test]
fn warm_starts_save_products_and_change_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let settings = ["--steps", "40", "--save-early", "0", "--save-growth", "1", "--save-every", "2"];
    assert!(train(folder.path(), "r", &settings).status.success());
    let steps = "--steps=20,22,24,26,28,30,32,34,36,38,40";
    let measure = |more: &[&str]| {
        let arguments = [&["hessian"], &OPERATORS[..], &["--allow-unconverged"], more].concat();
        let output = warmlab(folder.path(), &arguments);
        assert!(output.status.success(), "{output:?}");
    };
    measure(&["--run", "runs/r", steps]);
    let (mut warm, mut cold) = (0, 0);
    for step in (20..=40).step_by(2) {
        measure(&["--ckpt", &format!("step_{step}"), "--out", "alone"]);
        let [a, b] = ["reports", "alone"].map(|out| report(&folder.path().join(out), step));
        let start = a.meta.get("warmlab.start").map(String::as_str);
        let expected = format!("near what was found at step {}", step - 2);
        assert_eq!(start, (step > 20).then_some(expected.as_str()));
        assert_eq!(b.meta.get("warmlab.start"), None);
        assert_eq!(a.rows.len(), b.rows.len());
        for (a, b) in a.rows.iter().zip(&b.rows) {
            assert_eq!((&a.quantity, a.index, a.status), (&b.quantity, b.index, b.status));
            let difference = (a.value.unwrap() - b.value.unwrap()).abs();
            let allowed = a.uncertainty.unwrap_or(0.0) + b.uncertainty.unwrap_or(0.0);
            assert!(difference <= allowed + 1e-6 * a.value.unwrap().abs(), "{a:?} {b:?}");
            if step > 20 && a.quantity.ends_with("/lambda") && a.index == Some(1) {
                warm += a.n.unwrap();
                cold += b.n.unwrap();
            }
        }
    }
    assert!(warm < cold, "{warm} products with hints, {cold} without");
    // what starts nowhere does not say that it did
    assert!(warmlab(folder.path(), &["attention", "--run", "runs/r", "--steps", "20,22"]).status.success());
    let path = folder.path().join("reports/r/attention/step_22.parquet");
    assert_eq!(read_parquet(&path).unwrap().meta.get("warmlab.start"), None);
}

#[test]
fn a_run_half_measured_is_finished_and_what_changed_is_measured_again() {
    let folder = tempfile::tempdir().unwrap();
    assert!(train(folder.path(), "r", &["--steps", "4", "--save-early", "4"]).status.success());
    let measure = |more: &[&str]| {
        let arguments =
            ["hessian", "--run", "runs/r", "--bottom", "0", "--allow-unconverged", "--format", "csv"];
        let output = warmlab(folder.path(), &[&arguments, more].concat());
        assert!(output.status.success(), "{output:?}");
        (stdout(&output), stderr(&output).matches("already").count())
    };
    let written = |step: u64| {
        let path = folder.path().join(format!("reports/r/hessian/step_{step}.run.json"));
        fs::metadata(path).unwrap().modified().unwrap()
    };
    measure(&["--steps", "0,1,2"]);
    let first = written(1);
    let (all, skipped) = measure(&["--resume"]);
    assert_eq!(skipped, 3);
    assert_eq!(written(1), first);
    // what is printed is whole all the same
    for step in 0..=4 {
        assert!(all.lines().any(|line| line.starts_with(&format!("r,{step},"))), "{step}\n{all}");
    }
    // another batch, another option, a damaged report: measured again
    assert_eq!(measure(&["--resume", "--batch-size", "3"]).1, 0);
    assert_eq!(measure(&["--resume", "--batch-size", "3"]).1, 5);
    assert_eq!(measure(&["--resume", "--batch-size", "3", "--top", "2"]).1, 0);
    fs::write(folder.path().join("reports/r/hessian/step_2.parquet"), b"PAR1 and rubbish").unwrap();
    assert_eq!(measure(&["--resume", "--batch-size", "3", "--top", "2"]).1, 4);
    // without being asked, everything
    assert_eq!(measure(&["--batch-size", "3", "--top", "2"]).1, 0);
}
