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
    let _ = fs::remove_dir_all(cut.join("checkpoints/.writing-abc"));
    same(&folder.path().join("runs/whole"), &cut);
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
