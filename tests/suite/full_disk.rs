//! A disk that fills up in the middle of any writer, and a reader of stdout that goes: what is left is whole, and one
//! sentence says what happened.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use warmlab::analyses::ANALYSES;
use warmlab::report;

use crate::support::{stderr, train};

/// Runs the binary where no file may grow beyond `blocks` of 512 bytes: writes fail as on a full disk, in the middle.
fn limited(folder: &Path, blocks: u32, arguments: &str) -> Output {
    shell(folder, &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" {arguments}"))
}

fn shell(folder: &Path, script: &str) -> Output {
    Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_warmlab")])
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return vec![] };
    entries.map(|e| e.unwrap().path()).flat_map(|p| if p.is_dir() { walk(&p) } else { vec![p] }).collect()
}

/// Exit code 2 and one error; every file that is there can be read.
fn is_whole(folder: &Path, about: &str, output: &Output) {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(2), "{about}: {said}");
    assert_eq!(said.lines().filter(|line| line.starts_with("error:")).count(), 1, "{about}: {said}");
    assert!(!said.contains("fault"), "{about}: {said}");
    // the file that was asked for, by the name it would have
    assert!(!said.contains(".tmp") && !said.contains(".writing") && !said.contains("at path"), "{said}");
    for path in walk(folder) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(
            !name.starts_with(".tmp") && !name.starts_with(".writing"),
            "{about}: {} is left",
            path.display()
        );
        if path.extension().is_some_and(|e| e == "parquet") {
            report::read_parquet(&path).unwrap();
        }
        if path.extension().is_some_and(|e| e == "json") {
            serde_json::from_slice::<serde_json::Value>(&fs::read(&path).unwrap()).unwrap();
        }
        assert!(
            path.extension().is_none_or(|e| e != "html" && e != "bin"),
            "{about}: {} is left",
            path.display()
        );
    }
}

#[test]
fn every_writer_leaves_whole_files_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let run = train(folder.path(), "r", &["--steps", "3"]);
    assert!(run.status.success(), "{run:?}");
    fs::write(folder.path().join("text.txt"), "a text of some length ".repeat(300)).unwrap();
    let mut commands: Vec<String> = ANALYSES
        .iter()
        .map(|analysis| {
            format!("{} --ckpt runs/r/checkpoints/step_3 --batch-size 2 --out new/reports", analysis.name())
        })
        .collect();
    commands.push("data text.txt --out new/data".into());
    let page = "report r --html new/page.html";
    for blocks in [0, 4] {
        for command in &commands {
            let output = limited(folder.path(), blocks, command);
            if output.status.success() {
                // small enough to fit
                assert!(blocks > 0, "{command}");
            } else {
                is_whole(&folder.path().join("new"), &format!("{blocks} blocks, {command}"), &output);
            }
            let _ = fs::remove_dir_all(folder.path().join("new"));
        }
    }
    let measured =
        shell(folder.path(), "exec \"$0\" hessian --ckpt runs/r/checkpoints/step_3 --batch-size 2");
    assert!(measured.status.success(), "{measured:?}");
    fs::create_dir(folder.path().join("new")).unwrap();
    let output = limited(folder.path(), 4, page);
    is_whole(&folder.path().join("new"), page, &output);
    assert!(stderr(&output).contains("cannot write `new/page.html`: "), "{output:?}");
    // nor can a file be made in a folder that takes none, or a run be claimed
    #[cfg(target_os = "linux")]
    for (blocks, command, said) in [
        (4, "report r --html /proc/page.html", "cannot create `/proc/page.html`: "),
        (0, "train --resume runs/r", "cannot claim `runs/r`: "),
    ] {
        let output = limited(folder.path(), blocks, command);
        is_whole(&folder.path().join("new"), command, &output);
        assert!(stderr(&output).contains(said), "{output:?}");
    }
}

#[test]
fn a_run_on_a_full_disk_says_so_and_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let model = "--n-layer 1 --n-head 2 --n-embd 8 --block-size 8 --batch-size 2 --eval-every 0 --warmup 2";
    for blocks in [0, 2, 6] {
        let name = format!("full-{blocks}");
        let command = format!("train --name {name} --steps 40 --track adam {model}");
        let output = limited(folder.path(), blocks, &command);
        let about = format!("{blocks} blocks");
        is_whole(&folder.path().join("reports").join(&name), &about, &output);
        let run = folder.path().join("runs").join(&name);
        is_whole(&run, &about, &output);
        assert!(stderr(&output).contains(&format!("cannot write `runs/{name}/")), "{output:?}");
        // as the disk has room again, the run goes on from what was whole, or starts as if it had never been
        let again = match run.join("run.toml").exists() {
            true => format!("train --resume runs/{name}"),
            false => command,
        };
        let output = shell(folder.path(), &format!("exec \"$0\" {again}"));
        assert!(output.status.success(), "{about}: {}", stderr(&output));
        let lines = warmlab::train::StepLog::read(&run.join("steps.jsonl")).unwrap();
        assert_eq!(
            lines.iter().map(|line| line.step).collect::<Vec<_>>(),
            (1..=40).collect::<Vec<_>>(),
            "{about}"
        );
    }
}

#[test]
fn a_full_stdout_is_an_error_and_a_closed_one_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let run = train(folder.path(), "r", &["--steps", "1"]);
    assert!(run.status.success(), "{run:?}");
    for command in ["list", "inspect runs/r/checkpoints/step_1", "adam --ckpt step_1 --format json"] {
        let full = shell(folder.path(), &format!("exec \"$0\" {command} > /dev/full"));
        assert_eq!(full.status.code(), Some(2), "{command}: {full:?}");
        assert!(stderr(&full).contains("standard output"), "{command}: {full:?}");
        // the reader is gone before the first byte
        let closed = shell(folder.path(), &format!("(sleep 0.3; \"$0\" {command}; echo $? >&2) | true"));
        let said = stderr(&closed);
        assert!(
            said.trim_end().ends_with('0') && !said.contains("fault") && !said.contains("error"),
            "{command}: {said}"
        );
    }
    for command in ["--help", "hessian --help", "--version"] {
        let closed = shell(folder.path(), &format!("(sleep 0.3; \"$0\" {command}; echo $? >&2) | true"));
        assert_eq!(stderr(&closed).trim(), "0", "{command}");
    }
}
