//! Files of results: the same command writes the same file, another command never touches it, and no reader mixes
//! what was measured on different batches or checkpoints.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use warmlab::report::read_parquet;

use crate::support::{report_of, reports_of, stderr, stdout, train, warmlab};

/// Every Parquet file below a folder with its bytes.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|e| e == "parquet") {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

fn measured(folder: &Path, arguments: &[&str]) {
    let output = warmlab(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}

#[test]
fn no_command_touches_the_report_of_another_and_each_repeats_its_own() {
    let folder = tempfile::tempdir().unwrap();
    assert!(train(folder.path(), "r", &["--steps", "3"]).status.success());
    let reports = folder.path().join("reports/r/hessian");
    let hessian = |more: &[&str]| {
        let base = ["hessian", "--ckpt", "step_3", "--top", "1", "--allow-unconverged"];
        measured(folder.path(), &[&base[..], more].concat());
    };
    // everything that changes numbers, if only their roundings
    let commands: &[&[&str]] = &[
        &[],
        &["--scope", "layers"],
        &["--scope", "heads"],
        &["--operator", "ggn"],
        &["--operator", "preconditioned"],
        &["--tol", "1e-2"],
        &["--batch-size", "3"],
        &["--block-size", "4"],
        &["--sampling", "random"],
        &["--sampling", "random", "--seed", "1"],
        &["--seed", "1"],
        &["--repeat-batches", "2"],
        &["--batch-size", "16"],
        &["--dtype", "f64"],
        &["--micro-batch", "1"],
        &["--memory", "512MiB"],
        &["--threads", "1"],
        &["--no-completeness"],
        &["--trace"],
    ];
    let mut before = BTreeMap::new();
    for (i, more) in commands.iter().enumerate() {
        hessian(more);
        let after = files(&reports);
        assert_eq!(after.len(), i + 1, "{more:?}");
        assert!(before.iter().all(|(path, bytes)| after.get(path) == Some(bytes)), "{more:?}");
        before = after;
    }
    for more in commands {
        hessian(more);
    }
    // what is typed differently and means the same
    for more in [
        &["--tol", "0.010"][..],
        &["--bottom", "auto", "--scope", "all", "--operator", "hessian", "--operator", "hessian"],
        &["--batch-size", "8", "--format", "json", "--quiet"],
        &["--memory", "0.5GiB"],
        &["--data", "synthetic"],
    ] {
        hessian(more);
    }
    assert!(files(&reports) == before, "a repeated command has other files or bytes");
    let order = |a: &str, b: &str| hessian(&["--operator", a, "--operator", b]);
    order("ggn", "preconditioned");
    let one = files(&reports);
    order("preconditioned", "ggn");
    assert!(one.len() == before.len() + 1 && files(&reports) == one, "the order of operators matters");
}

#[test]
fn a_report_says_of_which_batch_its_rows_are() {
    let folder = tempfile::tempdir().unwrap();
    assert!(train(folder.path(), "r", &["--steps", "3"]).status.success());
    let read = |analysis: &str, more: &[&str]| {
        let out = tempfile::tempdir_in(folder.path()).unwrap();
        let path = out.path().display().to_string();
        let base = [analysis, "--ckpt", "step_3", "--allow-unconverged", "--out", &path];
        measured(folder.path(), &[&base[..], more].concat());
        let report = read_parquet(&report_of(&out.path().join("r").join(analysis), 3)).unwrap();
        let hash = report.meta["warmlab.batch_sha256"].clone();
        assert!(report.rows.iter().all(|row| &*row.analysis == analysis));
        let others = report.rows.iter().filter_map(|row| row.batch.clone());
        let others: Vec<_> = others.filter(|batch| !hash.starts_with(&**batch)).collect();
        let none = report.rows.iter().filter(|row| row.batch.is_none());
        let none: std::collections::BTreeSet<String> = none.map(|row| row.quantity.to_string()).collect();
        (hash, none, others, report)
    };
    let (hash, none, others, _) = read("adam", &[]);
    assert!(hash.len() == 64 && others.is_empty());
    assert!(none.contains("adam/v_mean") && none.contains("adam/update_rms"), "{none:?}");
    assert!(!none.contains("adam/rms_ratio") && !none.contains("adam/cos_update_gradient"), "{none:?}");
    // the same batch, whatever is measured on it; another for another size
    assert_eq!(read("sharpness", &[]).0, hash);
    assert_ne!(read("sharpness", &["--batch-size", "4"]).0, hash);
    let (joint, none, others, report) = read("hessian", &["--repeat-batches", "2", "--density"]);
    assert_ne!(joint, hash);
    assert_eq!(
        report.meta["warmlab.batches_sha256"].split(' ').next(),
        Some(&*hash),
        "the first is the same"
    );
    assert!(!none.contains("sharpness/threshold"), "only the preconditioned operators compare: {none:?}");
    // what is no mean is of the first batch
    assert!(!others.is_empty() && others.iter().all(|batch| hash.starts_with(&**batch)));
    let first =
        |row: &&warmlab::base::row::Row| row.batch.as_deref().is_some_and(|batch| hash.starts_with(batch));
    assert!(report.rows.iter().filter(first).all(|row| row.quantity.contains("density")));
}

#[test]
fn checkpoints_of_one_name_and_step_are_two_runs() {
    let folder = tempfile::tempdir().unwrap();
    for (name, seed) in [("a", "1"), ("b", "2")] {
        assert!(train(folder.path(), name, &["--steps", "2", "--seed", seed]).status.success());
        let (from, to) = (format!("runs/{name}/checkpoints/step_2"), folder.path().join(name));
        fs::create_dir_all(&to).unwrap();
        fs::rename(folder.path().join(from), to.join("step_2")).unwrap();
        let ckpt = format!("{name}/step_2");
        measured(folder.path(), &["attention", "--ckpt", &ckpt, "--data", "synthetic"]);
    }
    for name in ["a-step_2", "b-step_2"] {
        let report = read_parquet(&report_of(&folder.path().join("reports").join(name).join("attention"), 2));
        assert!(report.unwrap().rows.iter().all(|row| &*row.run == name));
    }
}

#[test]
fn what_was_typed_and_what_it_took_lies_apart() {
    let folder = tempfile::tempdir().unwrap();
    assert!(train(folder.path(), "r", &["--steps", "1"]).status.success());
    measured(folder.path(), &["attention", "--ckpt", "step_1"]);
    let report = report_of(&folder.path().join("reports/r/attention"), 1);
    let beside = fs::read_dir(report.parent().unwrap()).unwrap().count();
    assert_eq!(beside, 1, "something beside the report");
    let stem = report.file_stem().unwrap().to_string_lossy();
    let command = folder.path().join(format!("reports/r/.commands/attention/{stem}.json"));
    let value: serde_json::Value = serde_json::from_str(&fs::read_to_string(command).unwrap()).unwrap();
    assert_eq!(value["command"].as_array().unwrap().last().unwrap(), "step_1");
    assert!(value["seconds"].as_f64().unwrap() > 0.0);
}

#[test]
fn what_the_data_cannot_tell_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    assert!(train(folder.path(), "r", &["--steps", "40", "--save-at", "40"]).status.success());
    // two sequences late in training: φ does not stand out of its noise
    let output =
        warmlab(folder.path(), &["snr", "--ckpt", "step_40", "--batch-size", "2", "--format", "csv"]);
    assert!(stdout(&output).contains(",unresolved"), "{output:?}");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(stderr(&output).contains("these data cannot tell"), "{output:?}");
}

#[test]
fn one_checkpoint_that_fails_is_told_by_the_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    assert!(train(folder.path(), "r", &["--steps", "3", "--save-early", "3"]).status.success());
    fs::write(folder.path().join("runs/r/checkpoints/step_2/model.safetensors"), b"rubbish").unwrap();
    let arguments = ["attention", "--run", "runs/r", "--format", "csv", "--allow-unconverged"];
    let output = warmlab(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let steps: std::collections::BTreeSet<String> =
        stdout(&output).lines().skip(1).map(|line| line.split(',').nth(3).unwrap().to_string()).collect();
    assert_eq!(steps.into_iter().collect::<Vec<_>>(), ["0", "1", "3"]);
    assert!(stderr(&output).contains("step_2"), "{output:?}");
}

#[cfg(unix)]
#[test]
fn what_is_finished_when_the_user_stops_it_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let settings = ["--steps", "60", "--save-early", "60", "--n-embd", "32", "--block-size", "32"];
    assert!(train(folder.path(), "r", &settings).status.success());
    let child = Command::new(env!("CARGO_BIN_EXE_warmlab"))
        .args(["hessian", "--run", "runs/r", "--format", "csv", "--tol", "1e-5", "--threads", "1"])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let reports = folder.path().join("reports/r/hessian");
    let start = Instant::now();
    while reports_of(&reports, 1).is_empty() && start.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    let kept = files(&reports).len();
    assert!((2..61).contains(&kept), "{kept} reports");
    let text = stdout(&output);
    let steps: std::collections::BTreeSet<&str> =
        text.lines().skip(1).map(|line| line.split(',').nth(3).unwrap()).collect();
    assert_eq!(steps.len(), kept, "{text}");
}

#[test]
fn several_answers_are_told_and_never_mixed() {
    let folder = tempfile::tempdir().unwrap();
    assert!(train(folder.path(), "r", &["--steps", "3", "--save-early", "3"]).status.success());
    let hessian = |more: &[&str]| {
        let base = ["hessian", "--run", "runs/r", "--top", "1", "--bottom", "0", "--allow-unconverged"];
        measured(folder.path(), &[&base[..], more].concat());
    };
    hessian(&["--batch-size", "3", "--steps", "1,2"]);
    hessian(&["--steps", "1-3"]);
    hessian(&["--scope", "layers"]);
    hessian(&["--operator", "ggn"]);
    let reports = folder.path().join("reports/r");
    // an older version's, and one that is no report
    let old = reports.join("hessian/step_3.parquet");
    let mut report = read_parquet(&reports_of(&reports.join("hessian"), 1)[0]).unwrap();
    report.meta.insert("warmlab.schema_version".into(), "1".into());
    report.rows.iter_mut().for_each(|row| row.value = Some(1e9));
    warmlab::report::write_parquet(&old, &report).unwrap();
    fs::write(reports.join("hessian/step_2.parquet"), b"PAR1 and rubbish").unwrap();
    let output = warmlab(folder.path(), &["report", "runs/r"]);
    assert!(output.status.success(), "{output:?}");
    let said = stderr(&output);
    for text in ["step_3.parquet", "schema 1", "step_2.parquet", "several answers at 2 steps", "batch ("] {
        assert!(said.contains(text), "{text}: {said}");
    }
    // the batch of most steps is shown at all of them, and what other commands measured is still there
    let (table, mut shown) = (stdout(&output), Vec::new());
    let header: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    assert!(header.contains(&"λ1"), "{table}");
    for step in 1..=3 {
        let of = |path: &PathBuf| read_parquet(path).unwrap();
        let eight = reports_of(&reports.join("hessian"), step).iter().map(of).find(|report| {
            report.meta["warmlab.batch"].contains("8 sequences")
                && report.rows.iter().any(|row| &*row.quantity == "hessian/lambda" && &*row.scope == "all")
        });
        let rows = eight.unwrap().rows;
        let row = rows.iter().find(|row| &*row.quantity == "hessian/lambda").unwrap();
        shown.push(format!("{:.2}", row.value.unwrap()));
    }
    for value in &shown {
        assert!(table.contains(&value[..value.len() - 1]), "{value} is not in\n{table}");
    }
    assert!(!table.contains("1000000000"), "{table}");
}

#[test]
fn inspect_tells_what_a_folder_holds() {
    let folder = tempfile::tempdir().unwrap();
    assert!(train(folder.path(), "r", &["--steps", "3", "--track", "adam"]).status.success());
    measured(folder.path(), &["attention", "--run", "runs/r", "--steps", "1,2"]);
    let inspect = |path: &str| {
        let output = warmlab(folder.path(), &["inspect", path]);
        assert!(output.status.success(), "{path}: {output:?}");
        (stdout(&output), stderr(&output))
    };
    let (run, _) = inspect("runs/r");
    for text in ["3 of 3", "synthetic", "n_layer 1", "checkpoints", "steps 0, 1, 2, 3", "reports/r/attention"]
    {
        assert!(run.contains(text), "{text}: {run}");
    }
    assert!(inspect("runs").0.contains("runs/r"));
    for path in ["reports", "reports/r", "reports/r/attention"] {
        let (text, _) = inspect(path);
        assert!(text.contains("2 of steps 1, 2") && text.contains("8 sequences"), "{path}: {text}");
    }
    let path = report_of(&folder.path().join("reports/r/attention"), 1);
    let mut report = read_parquet(&path).unwrap();
    report.meta.insert("warmlab.schema_version".into(), "1".into());
    warmlab::report::write_parquet(&path, &report).unwrap();
    let (text, said) = inspect(&path.display().to_string());
    assert!(text.contains("warmlab.batch_sha256") && said.contains("schema 1"), "{text} {said}");
    let (text, _) = inspect("reports/r");
    assert!(text.contains("not read") && text.contains("schema 1"), "{text}");
}
