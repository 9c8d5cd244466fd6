//! From what the user typed after `--ckpt` to a checkpoint on disk.

use std::fs;
use std::path::{Path, PathBuf};

use super::format::step_of;
use super::formats::FORMATS;
use crate::base::error::{Error, IoContext, Result};

/// A checkpoint on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its folder or file.
    pub path: PathBuf,
    /// The run folder it was found in, where that was searched.
    pub run: Option<PathBuf>,
}

/// The step in the name of a checkpoint of some format.
fn step_in_name(path: &Path) -> Option<u64> {
    FORMATS.iter().find_map(|format| step_of(path, format.names()))
}

/// What `--ckpt text` means: a path that exists; step N of `run`; the newest run below `runs` that has
/// step N.
///
/// # Errors
/// [`Error::Usage`] naming what was looked for and which steps there are.
pub fn find(text: &str, run: Option<&Path>, runs: &Path) -> Result<Found> {
    let path = Path::new(text);
    if path.exists() {
        return Ok(Found { path: path.into(), run: None });
    }
    let Some(step) = step_in_name(path).filter(|_| path.components().count() == 1) else {
        let hint = match text.parse::<u64>() {
            Ok(step) => format!("did you mean --ckpt step_{step}?"),
            Err(_) => "--ckpt takes a path, or step_N of a run: --run runs/NAME --ckpt step_500".into(),
        };
        return Err(Error::usage_hint(format!("checkpoint `{text}` does not exist"), hint));
    };
    if let Some(run) = run {
        return match in_run(run, step)? {
            Some(path) => Ok(Found { path, run: Some(run.into()) }),
            None => {
                Err(Error::usage_hint(format!("run `{}` has no step {step}", run.display()), available(run)?))
            }
        };
    }
    for run in newest_first(runs)? {
        if let Some(path) = in_run(&run, step)? {
            return Ok(Found { path, run: Some(run) });
        }
    }
    Err(Error::usage_hint(
        format!("no run below `{}` has step {step}", runs.display()),
        "name the run with --run DIR, or train one: warmlab train --data synthetic",
    ))
}

fn in_run(run: &Path, step: u64) -> Result<Option<PathBuf>> {
    Ok(checkpoints(run)?.into_iter().find(|(s, _)| *s == step).map(|(_, path)| path))
}

/// Every checkpoint of a run with its step, ascending.
///
/// # Errors
/// Where the folder cannot be listed.
pub fn checkpoints(run: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for format in FORMATS {
        found.extend(format.steps(run)?);
    }
    found.sort();
    found.dedup_by_key(|(step, _)| *step);
    Ok(found)
}

/// What the checkpoints of a run are called, in words.
pub fn names() -> String {
    let names = FORMATS.iter().filter(|format| format.is_read()).flat_map(|format| format.names());
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The steps of a run in words.
///
/// # Errors
/// Where the folder cannot be listed.
pub fn available(run: &Path) -> Result<String> {
    let steps: Vec<u64> = checkpoints(run)?.into_iter().map(|(step, _)| step).collect();
    Ok(match steps.len() {
        0 => "it has no checkpoints".into(),
        1..=12 => format!("it has steps {}", join(&steps)),
        n => format!("it has steps {}, ..., {}", join(&steps[..8]), join(&steps[n - 3..])),
    })
}

fn join(steps: &[u64]) -> String {
    steps.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}

fn newest_first(runs: &Path) -> Result<Vec<PathBuf>> {
    if !runs.is_dir() {
        return Ok(Vec::new());
    }
    let mut list = Vec::new();
    for entry in fs::read_dir(runs).at("list", runs)? {
        let path = entry.at("list", runs)?.path();
        if path.is_dir() {
            let changed =
                fs::metadata(path.join("steps.jsonl")).or_else(|_| fs::metadata(&path)).at("read", &path)?;
            list.push((changed.modified().at("read", &path)?, path));
        }
    }
    list.sort();
    Ok(list.into_iter().rev().map(|(_, path)| path).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_found_in_every_layout() {
        let root = tempfile::tempdir().expect("a temporary folder");
        for name in ["a/checkpoints/step_5", "b/checkpoint-6", "c"] {
            fs::create_dir_all(root.path().join(name)).expect("made");
        }
        for name in ["c/step_7.pt", "c/ckpt_8.pt"] {
            fs::write(root.path().join(name), b"x").expect("made");
        }
        for (run, step) in [("a", 5), ("b", 6), ("c", 7), ("c", 8)] {
            let run = root.path().join(run);
            let found = find(&format!("step_{step}"), Some(&run), root.path()).expect("found");
            assert_eq!(step_in_name(&found.path), Some(step));
            // without --run, some run below the folder has it
            assert_eq!(find(&format!("step_{step}"), None, root.path()).expect("found").run, Some(run));
        }
        let missing = find("step_9", Some(&root.path().join("c")), root.path()).expect_err("no step 9");
        assert!(missing.hint().expect("a hint").contains("7, 8"));
        assert!(find("nothing.pt", None, root.path()).is_err());
    }
}
