//! Schedules and how they are told: flags, `--schedule`, run.toml.

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::support::{stderr, warmlab};

const SMALL: &[&str] = &[
    "--steps",
    "6",
    "--save-at",
    "3",
    "--n-layer",
    "1",
    "--n-head",
    "2",
    "--n-embd",
    "16",
    "--block-size",
    "16",
    "--batch-size",
    "2",
    "--eval-every",
    "0",
];

fn train(folder: &Path, name: &str, more: &[&str]) -> Output {
    warmlab(folder, &[&["train", "--data", "synthetic", "--name", name], SMALL, more].concat())
}

/// The learning rate of each update, as steps.jsonl has it.
fn rates(folder: &Path, name: &str) -> Vec<f64> {
    let log = warmlab::train::StepLog::read(&folder.join("runs").join(name).join("steps.jsonl")).unwrap();
    log.iter().map(|line| line.lr).collect()
}

#[test]
fn flags_are_short_for_warmup_cosine() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--learning-rate", "3e-3", "--warmup", "2", "--lr-decay-steps", "5", "--track", "adam"];
    let schedule = ["--schedule", "warmup-cosine:warmup=2,peak=0.003,steps=5", "--track", "adam"];
    for (name, told) in [("flags", &flags[..]), ("schedule", &schedule)] {
        let output = train(folder.path(), name, told);
        assert!(output.status.success(), "{output:?}");
    }
    for file in
        ["run.toml", "steps.jsonl", "checkpoints/step_6/model.safetensors", "checkpoints/step_6/state.json"]
    {
        let read = |name: &str| fs::read(folder.path().join("runs").join(name).join(file)).unwrap();
        assert!(read("flags") == read("schedule"), "{file} differs");
    }
    let expected = [0.0015, 0.003, 0.002325, 0.000975, 0.0003, 0.0003];
    for (rate, expected) in rates(folder.path(), "flags").iter().zip(expected) {
        assert!((rate / expected - 1.0).abs() < 1e-12, "{rate} {expected}");
    }
}

#[test]
fn a_run_with_an_old_table_goes_on_to_the_same_bytes_and_reports() {
    let folder = tempfile::tempdir().unwrap();
    let told = ["--learning-rate", "3e-3", "--warmup", "2", "--track", "adam"];
    assert!(train(folder.path(), "whole", &told).status.success());
    let path = folder.path().join("runs/whole");
    let state = fs::read(path.join("checkpoints/step_6/model.safetensors")).unwrap();
    let reports = || {
        let mut files =
            fs::read_dir(folder.path().join("reports/whole/adam")).unwrap().map(|e| e.unwrap().path());
        let files = files.by_ref().filter(|path| path.extension().is_some_and(|e| e == "parquet"));
        let mut files: Vec<_> = files.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
        files.sort();
        files
    };
    let before = reports();
    // as version 0.1 wrote run.toml, and stopped after update 3
    let text = fs::read_to_string(path.join("run.toml")).unwrap();
    let start = text.find("[schedule]").unwrap();
    let end = text[start + 1..].find("\n[").map_or(text.len(), |at| start + 1 + at);
    let old = "[schedule]\npeak = 0.003\nwarmup = 2\ndecay = 6\nmin_lr = 0.00030000000000000003\n";
    fs::write(path.join("run.toml"), format!("{}{old}{}", &text[..start], &text[end..])).unwrap();
    fs::remove_dir_all(path.join("checkpoints/step_6")).unwrap();
    let resumed =
        warmlab(folder.path(), &["train", "--resume", "whole", "--schedule", "warmup-cosine:warmup=2"]);
    assert!(resumed.status.success(), "{resumed:?}");
    assert!(state == fs::read(path.join("checkpoints/step_6/model.safetensors")).unwrap());
    assert!(before == reports(), "the reports differ");
}

#[test]
fn a_constant_rate_is_trained_with_resumed_and_extended() {
    let folder = tempfile::tempdir().unwrap();
    let told = ["--schedule", "constant:peak=2e-3"];
    assert!(train(folder.path(), "r", &told).status.success());
    let more = warmlab(folder.path(), &["train", "--resume", "r", "--steps", "9"]);
    assert!(more.status.success(), "{more:?}");
    assert!(stderr(&more).contains("updates 7 to 9 keep the learning rate 0.002"), "{more:?}");
    assert_eq!(rates(folder.path(), "r"), [2e-3; 9]);
    let refused = warmlab(folder.path(), &["train", "--resume", "r", "--warmup", "3"]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(stderr(&refused).contains("--schedule constant has no key `warmup`"), "{refused:?}");
}

#[test]
fn what_is_no_schedule_is_refused_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    for (told, said) in [
        (&["--schedule", "warmup-cosin"][..], "--schedule `warmup-cosin` is not "),
        (&["--schedule", "warmup-cosine:peek=1"], "--schedule warmup-cosine has no key `peek`"),
        (&["--schedule", "warmup-cosine:min=1"], "--schedule warmup-cosine: min 1 is above the peak 0.001"),
        (&["--min-lr", "1"], "min 1 is above the peak 0.001"),
        (&["--schedule", "warmup-cosine", "--warmup", "3"], "exclude each other"),
        (&["--schedule", ""], "is not "),
    ] {
        let output = train(folder.path(), "r", told);
        assert_eq!(output.status.code(), Some(2), "{told:?}");
        assert!(stderr(&output).contains(said), "{told:?}: {}", stderr(&output));
        assert!(!folder.path().join("runs/r").exists());
    }
    assert!(train(folder.path(), "r", &[]).status.success());
    let refused = [
        (&["--schedule", "warmup-cosine:peak=0.5"][..], "--schedule warmup-cosine:peak=0.5,"),
        (&["--min-lr", "1e-5"], "--min-lr 1e-5 contradicts"),
    ];
    for (told, said) in refused {
        let output = warmlab(folder.path(), &[&["train", "--resume", "r"], told].concat());
        assert_eq!(output.status.code(), Some(2), "{told:?}");
        assert!(stderr(&output).contains(said), "{told:?}: {}", stderr(&output));
    }
}

#[test]
fn schedules_are_listed_with_their_keys_and_sources() {
    let folder = tempfile::tempdir().unwrap();
    let output = warmlab(folder.path(), &["list", "--schedules"]);
    let text = String::from_utf8(output.stdout).unwrap();
    for entry in warmlab::schedule::SCHEDULES {
        assert!(text.lines().any(|line| line == entry.name), "{text}");
        for key in entry.keys {
            assert!(text.contains(&format!("  - {}: ", key.name)), "{text}");
        }
    }
    assert!(text.contains("[default: the run's --steps]") && text.contains("source: "), "{text}");
}
