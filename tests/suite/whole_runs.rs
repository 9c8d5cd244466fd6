//! An analysis over the checkpoints of a run: each search starts near the last one's answer, a report that is there
//! is left alone when asked, and the numbers are those of a checkpoint alone.

use std::fs;
use std::path::Path;

use warmlab::report::{Report, read_parquet};

use crate::support::{report_of, reports_of, stderr, stdout, train, warmlab};

const OPERATORS: [&str; 8] =
    ["--operator", "hessian", "--operator", "preconditioned", "--bottom", "0", "--tol", "1e-4"];

fn report(folder: &Path, step: u64) -> Report {
    read_parquet(&report_of(&folder.join("r/hessian"), step)).unwrap()
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
        let before = report_of(&folder.path().join("reports/r/hessian"), step.max(22) - 2);
        let stem = before.file_stem().unwrap().to_string_lossy();
        let expected = format!("near what was found at step {}, {stem}", step - 2);
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
    let path = report_of(&folder.path().join("reports/r/attention"), 22);
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
        let path = report_of(&folder.path().join("reports/r/hessian"), step);
        fs::metadata(path).unwrap().modified().unwrap()
    };
    measure(&["--steps", "0,1,2"]);
    let first = written(1);
    let (all, skipped) = measure(&["--resume"]);
    assert_eq!(skipped, 3);
    assert_eq!(written(1), first);
    // what is printed is whole all the same
    for step in 0..=4 {
        let of_step = |line: &str| line.split(',').nth(3) == Some(&step.to_string());
        assert!(all.lines().any(of_step), "{step}\n{all}");
    }
    // another batch, another option, a damaged report: measured again
    assert_eq!(measure(&["--resume", "--batch-size", "3"]).1, 0);
    assert_eq!(measure(&["--resume", "--batch-size", "3"]).1, 5);
    assert_eq!(measure(&["--resume", "--batch-size", "3", "--top", "2"]).1, 0);
    let newest = reports_of(&folder.path().join("reports/r/hessian"), 2)
        .into_iter()
        .max_by_key(|path| fs::metadata(path).unwrap().modified().unwrap());
    fs::write(newest.unwrap(), b"PAR1 and rubbish").unwrap();
    assert_eq!(measure(&["--resume", "--batch-size", "3", "--top", "2"]).1, 4);
    // without being asked, everything
    assert_eq!(measure(&["--batch-size", "3", "--top", "2"]).1, 0);
}

/// Every report below a folder, by its path there.
fn all(folder: &Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let reports = entries.filter(|path| path.extension().is_some_and(|e| e == "parquet"));
    reports
        .map(|path| (path.file_name().unwrap().to_string_lossy().into(), fs::read(&path).unwrap()))
        .collect()
}

#[test]
fn a_command_that_was_killed_goes_on_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    assert!(train(folder.path(), "r", &["--steps", "8", "--save-early", "8"]).status.success());
    let arguments = |out: &'static str| {
        [&["hessian", "--run", "runs/r", "--allow-unconverged", "--out", out], &OPERATORS[..4]].concat()
    };
    let fine = |arguments: &[&str]| {
        let output = warmlab(folder.path(), arguments);
        assert!(output.status.success(), "{output:?}");
    };
    fine(&[&arguments("uncut")[..], &["--steps", "1-8"]].concat());
    let uncut = all(&folder.path().join("uncut/r/hessian"));
    assert_eq!(uncut.len(), 8);
    let cut = folder.path().join("cut/r/hessian");
    for wanted in [1, 3, 6] {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_warmlab"))
            .args([&arguments("cut")[..], &["--steps", "1-8", "--resume"]].concat())
            .current_dir(folder.path())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        while all(&cut).len() < wanted && child.try_wait().unwrap().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    fine(&[&arguments("cut")[..], &["--steps", "1-8", "--resume"]].concat());
    assert!(all(&cut) == uncut, "{:?} and {:?}", all(&cut).keys(), uncut.keys());
    // what only a command that goes on needs is gone
    let beside = fs::read_dir(folder.path().join("cut/r/.commands/hessian")).unwrap();
    assert!(beside.flatten().all(|entry| entry.path().is_file()));
}
