//! Training that is interrupted goes on as if it had not been.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{stderr, train, warmlab};

/// Every file below a folder but the ones that differ by nature, with its content.
fn content(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(content(&path));
        } else {
            found.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

fn same(a: &Path, b: &Path) {
    let strip = |root: &Path, files: Vec<(String, Vec<u8>)>| -> Vec<(String, Vec<u8>)> {
        files.into_iter().map(|(p, c)| (p.replace(&root.display().to_string(), ""), c)).collect()
    };
    let (a, b) = (strip(a, content(a)), strip(b, content(b)));
    let names = |files: &[(String, Vec<u8>)]| files.iter().map(|(n, _)| n.clone()).collect::<Vec<_>>();
    assert_eq!(names(&a), names(&b));
    for ((name, x), (_, y)) in a.iter().zip(&b) {
        assert!(x == y, "{name} differs");
    }
}

const SETTINGS: [&str; 10] = [
    "--steps",
    "12",
    "--save-early",
    "1",
    "--save-every",
    "5",
    "--eval-every",
    "4",
    "--grad-accumulation",
    "2",
];

#[test]
fn a_run_cut_anywhere_is_completed_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let settings: Vec<&str> = SETTINGS.to_vec();
    assert!(train(folder.path(), "whole", &settings).status.success());
    assert!(train(folder.path(), "cut", &settings).status.success());
    let cut = folder.path().join("runs/cut");
    // as kill -9 leaves it: no checkpoint after step 5, the log a few steps further and cut off mid-line
    for step in [8, 10, 12] {
        let _ = fs::remove_dir_all(cut.join(format!("checkpoints/step_{step}")));
    }
    let log = fs::read_to_string(cut.join("steps.jsonl")).unwrap();
    let kept: String = log.split_inclusive('\n').take(8).collect();
    fs::write(cut.join("steps.jsonl"), kept + "{\"step\":9,\"loss\":3.").unwrap();
    fs::create_dir(cut.join("checkpoints/.writing-abc")).unwrap();

    let output = warmlab(folder.path(), &["train", "--resume", "runs/cut"]);
    assert!(output.status.success(), "{output:?}");
    assert!(!stderr(&output).contains("differs"), "{output:?}");
    same(&folder.path().join("runs/whole"), &cut);
}

#[test]
fn tracked_steps_survive_kill_9_and_are_not_doubled() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut settings = SETTINGS.to_vec();
    settings.extend(["--track", "adam:every=2,angular:rrc-every=3"]);
    for folder in [a.path(), b.path()] {
        assert!(train(folder, "r", &settings).status.success());
    }
    let (run, reports) = (b.path().join("runs/r"), b.path().join("reports/r"));
    let names = |analysis: &str| {
        let mut names: Vec<String> = fs::read_dir(reports.join(analysis))
            .unwrap()
            .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };
    assert_eq!(
        names("angular"),
        [
            "journal.jsonl",
            "steps_11_12.parquet",
            "steps_1_1.parquet",
            "steps_2_2.parquet",
            "steps_3_4.parquet",
            "steps_5_5.parquet",
            "steps_6_8.parquet",
            "steps_9_10.parquet"
        ]
    );
    // the last checkpoint is 5; reports and a cut journal reach further
    for step in [8, 10, 12] {
        fs::remove_dir_all(run.join(format!("checkpoints/step_{step}"))).unwrap();
    }
    fs::write(reports.join("angular/journal.jsonl"), "{\"update\":13,\"run\":\"r").unwrap();
    let output = warmlab(b.path(), &["train", "--resume", "runs/r"]);
    assert!(output.status.success(), "{output:?}");
    same(&a.path().join("reports"), &b.path().join("reports"));
    same(&a.path().join("runs/r/checkpoints"), &run.join("checkpoints"));
    // tracking changes nothing of the run
    let plain = tempfile::tempdir().unwrap();
    assert!(train(plain.path(), "r", &SETTINGS).status.success());
    same(&plain.path().join("runs/r/checkpoints"), &run.join("checkpoints"));
}

#[test]
fn what_cannot_be_tracked_is_refused_before_training() {
    let folder = tempfile::tempdir().unwrap();
    let output = train(folder.path(), "r", &["--track", "sharpness"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--track takes "), "{output:?}");
    assert!(!folder.path().join("runs/r").exists());
}

#[test]
fn ctrl_c_saves_and_says_how_to_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_warmlab"))
        .args([
            "train",
            "--name",
            "long",
            "--steps",
            "100000",
            "--n-layer",
            "1",
            "--n-head",
            "1",
            "--n-embd",
            "8",
        ])
        .args([
            "--block-size",
            "8",
            "--batch-size",
            "1",
            "--eval-every",
            "0",
            "--save-growth",
            "1",
            "--save-every",
            "0",
        ])
        .current_dir(folder.path())
        .stderr(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let log = folder.path().join("runs/long/steps.jsonl");
    let deadline = Instant::now() + Duration::from_secs(60);
    while fs::read_to_string(&log).map_or(0, |t| t.lines().count()) < 20 {
        assert!(Instant::now() < deadline, "no steps after a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    let lines = fs::read_to_string(&log).unwrap().lines().count() as u64;
    let saved = folder.path().join(format!("runs/long/checkpoints/step_{lines}"));
    assert!(saved.is_dir(), "no checkpoint of the last step {lines}");
}

#[test]
fn a_run_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    assert!(train(folder.path(), "r", &["--steps", "1"]).status.success());
    let again = train(folder.path(), "r", &["--steps", "1"]);
    assert_eq!(again.status.code(), Some(2));
    assert!(stderr(&again).contains("--resume"));
}
