//! What reaches the disk in which order, as strace sees it: nothing gets its name before it is synced, the name is synced
//! before the next one is given, and a checkpoint comes after the logs it speaks for.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;

enum Call {
    Sync(PathBuf),
    Rename(PathBuf, PathBuf),
}

/// The calls of a command, in their order.
fn calls(folder: &Path, arguments: &str) -> Vec<Call> {
    let seen = folder.join("calls");
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-qq", "-e", "trace=fsync,fdatasync,rename,renameat,renameat2", "-o"]);
    command.arg(&seen).arg(env!("CARGO_BIN_EXE_warmlab")).args(arguments.split(' ')).current_dir(folder);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{arguments}: {output:?}");
    let sync = Regex::new(r"(?:fsync|fdatasync)\(\d+<(.*?)>").unwrap();
    let rename = Regex::new(r#"rename(?:at2?)?\(.*?"(.*?)".*?"(.*?)""#).unwrap();
    let call = |line: &str| match (sync.captures(line), rename.captures(line)) {
        (Some(at), _) => Some(Call::Sync(folder.join(&at[1]))),
        (_, Some(at)) => Some(Call::Rename(folder.join(&at[1]), folder.join(&at[2]))),
        _ => None,
    };
    fs::read_to_string(&seen).unwrap().lines().filter_map(call).collect()
}

/// Whether others' files are checked against this one's lines: the run's log and the journals of its reports.
fn is_log(path: &Path) -> bool {
    path.ends_with("steps.jsonl") || path.ends_with(".journal.jsonl")
}

#[test]
fn nothing_has_a_name_before_it_is_on_disk() {
    let traced = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status();
    if !traced.is_ok_and(|status| status.success()) {
        eprintln!("strace is not here, or may not look: the order of syncs is not tested");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    for (arguments, least) in [
        (
            "train --name r --n-layer 1 --n-head 2 --n-embd 8 --block-size 8 --batch-size 2 --warmup 2 --steps 4 \
             --eval-every 0 --save-at 2 --track adam,hessian",
            12,
        ),
        ("hessian --run runs/r --top 1 --bottom 0 --allow-unconverged", 6),
        ("report r", 1),
    ] {
        let (mut synced, mut unsynced, mut names) = (HashSet::new(), None, 0);
        for call in calls(&folder, arguments) {
            match call {
                Call::Sync(path) => {
                    unsynced = unsynced.filter(|folder| *folder != path);
                    synced.insert(path);
                }
                Call::Rename(from, to) => {
                    assert_eq!(unsynced, None, "{arguments}: before {to:?}");
                    assert!(synced.contains(&from), "{arguments}: {to:?}");
                    if to.parent().unwrap().ends_with("checkpoints") {
                        for file in fs::read_dir(&to).unwrap().map(|entry| entry.unwrap().file_name()) {
                            assert!(synced.contains(&from.join(&file)), "{to:?}: {file:?}");
                        }
                        let logs = synced.extract_if(|path| is_log(path)).count();
                        assert_eq!(logs, 4, "{to:?}: the log, and journals of train, adam and hessian");
                    }
                    unsynced = to.parent().map(Path::to_path_buf);
                    names += 1;
                }
            }
        }
        assert_eq!(unsynced, None, "{arguments}");
        assert!(names >= least, "{arguments}: {names} names");
    }
}
