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

pub fn same(a: &Path, b: &Path) {
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
            ".journal.jsonl",
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
    fs::write(reports.join("angular/.journal.jsonl"), "{\"update\":13,\"run\":\"r").unwrap();
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

#[test]
fn a_run_killed_before_its_last_compaction_compacts_and_finishes() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut settings = SETTINGS.to_vec();
    settings.extend(["--track", "adam,hessian:at=12:every=0:early=0"]);
    for folder in [a.path(), b.path()] {
        assert!(train(folder, "r", &settings).status.success());
    }
    // the checkpoint of step 12 is there, its reports are not: their rows are in the journals only, and what the
    // checkpoint before last needed is there still
    let reports = b.path().join("reports/r");
    let state = reports.join("hessian/.state_10.safetensors");
    fs::copy(&state, state.with_file_name(".state_8.safetensors")).unwrap();
    for analysis in ["adam", "train"] {
        let last = reports.join(analysis).join("steps_11_12.parquet");
        let journal = reports.join(analysis).join(".journal.jsonl");
        let header = fs::read_to_string(&journal).unwrap();
        fs::write(&journal, header + &lines(&last)).unwrap();
        fs::remove_file(last).unwrap();
    }
    let output = warmlab(b.path(), &["train", "--resume", "runs/r"]);
    assert!(output.status.success(), "{output:?}");
    assert!(stderr(&output).contains("is finished: all 12 updates are applied"), "{output:?}");
    same(&a.path().join("reports"), &b.path().join("reports"));
}

/// A report as its journal had it.
fn lines(report: &Path) -> String {
    let report = warmlab::report::read_parquet(report).unwrap();
    let mut rows = report.rows.iter();
    let line = |told: &str| {
        let parts: Vec<&str> = told.split(':').collect();
        let rows: Vec<_> = rows.by_ref().take(parts[1].parse().unwrap()).cloned().collect();
        let line = warmlab::measure::Line::new(parts[0].parse().unwrap(), &rows);
        // the rows of the step the run ended with are marked
        if parts.len() == 3 { line.ending().text() } else { line.text() }
    };
    report.meta["warmlab.updates"].split(' ').map(line).collect()
}

#[test]
fn a_finished_run_is_extended_as_if_it_had_been_that_long() {
    let folder = tempfile::tempdir().unwrap();
    let common =
        ["--save-every", "5", "--lr-decay-steps", "30", "--track", "adam", "--learning-rate", "3e-3"];
    let with =
        |steps: &'static str, out: &'static str| [&["--steps", steps, "--out", out], &common[..]].concat();
    assert!(train(folder.path(), "long", &with("20", "reports")).status.success());
    assert!(train(folder.path(), "short", &with("10", "reports")).status.success());
    let output = warmlab(folder.path(), &["train", "--resume", "short", "--steps", "20"]);
    assert!(output.status.success(), "{output:?}");
    let said = stderr(&output);
    assert!(said.contains("10 updates become 20: the schedule goes on as it was set"), "{said}");
    assert!(said.contains("updates 11 to 20"), "{said}");
    let read = |name: &str| fs::read(folder.path().join("runs").join(name)).unwrap();
    assert!(
        read("long/checkpoints/step_20/model.safetensors")
            == read("short/checkpoints/step_20/model.safetensors")
    );
    assert_eq!(read("long/steps.jsonl"), read("short/steps.jsonl"));
    assert!(fs::read_to_string(folder.path().join("runs/short/run.toml")).unwrap().contains("steps = 20"));
    // beyond the cosine's end the rate stays at its floor, and that is said
    let output = warmlab(folder.path(), &["train", "--resume", "runs/short", "--steps", "34"]);
    assert!(stderr(&output).contains("updates 31 to 34 keep the learning rate 0.0003"), "{output:?}");
    let log = fs::read_to_string(folder.path().join("runs/short/steps.jsonl")).unwrap();
    let last: serde_json::Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!(last["step"].as_u64(), Some(34));
    assert!((last["lr"].as_f64().unwrap() / 3e-4 - 1.0).abs() < 1e-12, "{last}");
    let mut names = fs::read_dir(folder.path().join("reports/short/train")).unwrap();
    assert!(names.any(|name| name.unwrap().file_name().to_string_lossy().ends_with("_34.parquet")));
}

#[test]
fn a_flag_that_contradicts_the_run_is_refused_with_both_values() {
    let folder = tempfile::tempdir().unwrap();
    let settings = ["--steps", "3", "--track", "adam:every=2,angular", "--every", "3", "--save-at", "1,2"];
    assert!(train(folder.path(), "r", &settings).status.success());
    let before = content(folder.path());
    let resume = |more: &[&str]| warmlab(folder.path(), &[&["train", "--resume", "runs/r"], more].concat());
    for (flags, asked, has) in [
        (&["--steps", "2"][..], "2", "3"),
        (&["--learning-rate", "2e-3"], "0.002", "0.001"),
        (&["--n-layer", "2"], "2", "1"),
        (&["--bias"], "true", "false"),
        (&["--seed", "1"], "1", "1337"),
        (&["--dtype", "f64"], "f64", "f32"),
        (&["--out", "elsewhere"], "elsewhere", "reports"),
        (&["--save-every", "7"], "7", "100"),
        (&["--every", "4"], "every=4", "every=3"),
        (&["--track", "adam"], "adam:every=2", "angular:every=3"),
        (&["--data", "moby-dick"], "moby-dick", "synthetic"),
    ] {
        let output = resume(flags);
        assert_eq!(output.status.code(), Some(2), "{flags:?} {output:?}");
        let said = stderr(&output);
        for part in [flags[0], "contradicts", asked, has] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    same_files(&before, &content(folder.path()));
    let equal =
        [&settings[..], &["--n-layer", "1", "--warmup", "2", "--batch-size", "2", "--data", "synthetic"]];
    let output = resume(&equal.concat());
    assert!(output.status.success(), "{output:?}");
}

fn same_files(a: &[(String, Vec<u8>)], b: &[(String, Vec<u8>)]) {
    let names = |files: &[(String, Vec<u8>)]| files.iter().map(|(n, _)| n.clone()).collect::<Vec<_>>();
    assert_eq!(names(a), names(b));
    assert!(a == b);
}

#[test]
fn the_state_before_a_jump_of_the_loss_is_kept_and_the_jump_is_told() {
    let folder = tempfile::tempdir().unwrap();
    // the cosine rises to a rate that no model stands
    let wild = [
        "--steps",
        "60",
        "--learning-rate",
        "30",
        "--warmup",
        "60",
        "--save-growth",
        "1",
        "--grad-clip",
        "0",
    ];
    let output = train(folder.path(), "r", &wild);
    let log = warmlab::train::StepLog::read(&folder.path().join("runs/r/steps.jsonl")).unwrap();
    let jump = log.iter().find(|line| line.jump.is_some()).expect("a rate of 30 makes the loss jump").step;
    let said = stderr(&output);
    assert!(said.contains(&format!("at update {jump}, on the weights of step {}", jump - 1)), "{said}");
    for step in [jump - 4, jump - 3, jump - 2] {
        let path = folder.path().join(format!("runs/r/checkpoints/step_{step}"));
        assert_eq!(warmlab::run::kept_before(&path), Some(jump), "step {step}");
        assert!(said.contains(&format!("step_{step}")), "{said}");
    }
    let row = |quantity: &str, step: u64| {
        let listed = fs::read_dir(folder.path().join("reports/r/train")).unwrap();
        let paths =
            listed.map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "parquet"));
        let rows = paths.flat_map(|path| warmlab::report::read_parquet(&path).unwrap().rows);
        rows.into_iter().find(|r| &*r.quantity == quantity && r.step == step).and_then(|r| r.value)
    };
    assert!(row("event/spike", jump - 1).unwrap() > 8.0);
    assert_eq!(row("train/loss", jump - 1), Some(log[jump as usize - 1].loss));
    // what is kept is what a run that saves the step has, and keeping changes no number of the run
    let before = (jump - 2).to_string();
    let plain = [&wild[..], &["--save-before-jump", "0", "--save-at", &before]].concat();
    train(folder.path(), "plain", &plain);
    let read = |name: &str| fs::read(folder.path().join("runs").join(name)).unwrap();
    for file in ["model.safetensors", "optimizer.safetensors"] {
        let path = format!("checkpoints/step_{}/{file}", jump - 2);
        assert!(read(&format!("r/{path}")) == read(&format!("plain/{path}")), "{file}");
    }
    // training goes on from a checkpoint of its own, and jumps again at the same update
    fs::remove_dir_all(folder.path().join("runs/r/checkpoints/step_60")).ok();
    let output = warmlab(folder.path(), &["train", "--resume", "runs/r"]);
    assert!(stderr(&output).contains("updates 3 to 60"), "{output:?}");
    let again = warmlab::train::StepLog::read(&folder.path().join("runs/r/steps.jsonl")).unwrap();
    assert_eq!(again, log);
}

#[test]
fn a_run_that_contradicts_itself_is_not_measured_in_silence() {
    let folder = tempfile::tempdir().unwrap();
    let settings = ["--steps", "6", "--save-every", "3", "--track", "adam"];
    assert!(train(folder.path(), "r", &settings).status.success());
    assert!(train(folder.path(), "other", &[&settings[..], &["--seed", "5"]].concat()).status.success());
    let run = folder.path().join("runs/r");
    let log = fs::read_to_string(run.join("steps.jsonl")).unwrap();
    let measure = |target: &[&str]| {
        let arguments = [&["attention", "--format", "json"], target].concat();
        let output = warmlab(folder.path(), &arguments);
        assert!(output.status.success(), "{output:?}");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let note = report["meta"]["warmlab.contradiction"].as_str().map(str::to_string);
        assert_eq!(stderr(&output).contains("contradicts itself"), note.is_some(), "{output:?}");
        note
    };
    let all = || measure(&["--run", "runs/r"]);
    assert_eq!(all(), None);
    let broken = |text: String, says: &str| {
        fs::write(run.join("steps.jsonl"), text).unwrap();
        let note = all().unwrap_or_default();
        assert!(note.contains(says), "{says}: {note}");
        assert_eq!(measure(&["--ckpt", "runs/r/checkpoints/step_3"]), Some(note));
        fs::write(run.join("steps.jsonl"), &log).unwrap();
    };
    let line = |i: usize| log.split_inclusive('\n').nth(i).unwrap();
    broken(
        log.split_inclusive('\n').take(4).collect(),
        "step_6 lies beyond steps.jsonl, which has 4 updates",
    );
    broken(
        log.split_inclusive('\n').flat_map(|line| [line, line]).collect(),
        "line 2 of steps.jsonl is of update 1",
    );
    broken(log.replace(line(3), ""), "line 4 of steps.jsonl is of update 5");
    let other = fs::read_to_string(folder.path().join("runs/other/steps.jsonl")).unwrap();
    broken(other, "step_1 carries the loss");
    broken(String::new(), "step_1 lies beyond");
    let move_checkpoint = |from: &str, to: &str| {
        fs::rename(folder.path().join("runs").join(from), folder.path().join("runs").join(to)).unwrap();
    };
    move_checkpoint("r/checkpoints/step_3", "r/checkpoints/step_5");
    assert!(all().unwrap().contains("step_5 holds step 3"));
    move_checkpoint("other/checkpoints/step_3", "r/checkpoints/step_3");
    fs::remove_dir_all(run.join("checkpoints/step_5")).unwrap();
    assert!(all().unwrap().contains("step_3 is of a run with another seed"));
    fs::remove_dir_all(run.join("checkpoints/step_3")).unwrap();
    assert_eq!(all(), None);
    let reports = folder.path().join("reports/r/adam");
    fs::copy(reports.join("steps_4_4.parquet"), reports.join("steps_4_9.parquet")).unwrap();
    let note = all().unwrap();
    assert!(note.contains("two reports of adam have update 4") && note.contains("reach update 9"), "{note}");
}

#[test]
fn two_processes_do_not_share_a_run_and_unnamed_ones_take_other_names() {
    let folder = tempfile::tempdir().unwrap();
    let arguments =
        "train --steps 100000 --n-layer 1 --n-head 1 --n-embd 8 --block-size 8 --batch-size 1 --eval-every 0";
    let start = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_warmlab"));
        command.args(arguments.split(' ')).args(more).current_dir(folder.path());
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap()
    };
    let mut children: Vec<_> = (0..3).map(|_| start(&["--name", "x"])).collect();
    children.extend((0..2).map(|_| start(&[])));
    let deadline = Instant::now() + Duration::from_secs(60);
    let steps = |name: &str| {
        let log = folder.path().join("runs").join(name).join("steps.jsonl");
        fs::read_to_string(log).map_or(0, |text| text.lines().count())
    };
    while ["x", "run-1", "run-2"].iter().any(|name| steps(name) < 5) {
        assert!(Instant::now() < deadline, "no steps after a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut running: Vec<_> =
        children.into_iter().filter_map(|mut c| c.try_wait().unwrap().is_none().then_some(c)).collect();
    let count = running.len();
    let refused = warmlab(folder.path(), &["train", "--resume", "runs/x"]);
    let named = warmlab(folder.path(), &["train", "--name", "x", "--steps", "5"]);
    running.iter_mut().for_each(|child| child.kill().unwrap());
    let pids: Vec<String> = running.iter().map(|child| format!("process {} on ", child.id())).collect();
    for child in &mut running {
        child.wait().unwrap();
    }
    assert_eq!(count, 3, "one of the three named and the two unnamed run");
    for output in [refused, named] {
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let said = stderr(&output);
        assert!(said.contains("is being written by") && pids.iter().any(|pid| said.contains(pid)), "{said}");
    }
    // the dead are succeeded at once: what is refused is the flag
    let output = warmlab(folder.path(), &["train", "--resume", "runs/x", "--steps", "7"]);
    assert!(stderr(&output).contains("longer, not shorter"), "{output:?}");
}
