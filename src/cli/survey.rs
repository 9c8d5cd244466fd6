//! What a folder holds: a run and its checkpoints, several runs, or reports.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::base::error::Result;
use crate::report::{self, SCHEMA_VERSION};
use crate::run;
use crate::train::TrainConfig;

/// The description of a folder of runs or of reports; `None` where it is neither, or a checkpoint.
///
/// # Errors
/// Where it cannot be listed.
pub fn describe(folder: &Path) -> Result<Option<String>> {
    if run::is_checkpoint(folder) {
        return Ok(None);
    }
    let checkpoints = run::checkpoints(folder)?;
    if folder.join("run.toml").exists() || !checkpoints.is_empty() {
        return of_run(folder, checkpoints.into_iter().map(|(step, _)| step).collect()).map(Some);
    }
    let runs = run::within(folder);
    if !runs.is_empty() {
        let mut text = String::new();
        for run in runs {
            let steps = run::checkpoints(&run)?.into_iter().map(|(step, _)| step).collect();
            let _ = writeln!(text, "{:<24} checkpoints of {}", run.display(), list(&steps));
        }
        return Ok(Some(text));
    }
    let mut files = Vec::new();
    gather(folder, 2, &mut files)?;
    Ok(if files.is_empty() { None } else { Some(of_reports(&files)) })
}

fn of_run(folder: &Path, steps: BTreeSet<u64>) -> Result<String> {
    let mut text = String::new();
    let mut line = |key: &str, value: String| {
        let _ = writeln!(text, "{key:<18} {value}");
    };
    let name = run::folder_name(folder);
    line("run", name.clone());
    let mut reports = Path::new("reports").join(&name);
    let config = TrainConfig::read(&folder.join("run.toml")).ok();
    if let Some(config) = &config {
        line("trained by", format!("warmlab {}, {}, seed {}", config.warmlab, config.dtype, config.seed));
        line("data", config.data.clone());
        let m = &config.model;
        line(
            "model",
            format!(
                "{} parameters, n_layer {} n_head {} n_embd {} block_size {} vocab_size {}",
                m.num_parameters(),
                m.n_layer,
                m.n_head,
                m.n_embd,
                m.block_size,
                m.vocab_size
            ),
        );
        let tracked: Vec<&str> = config.track.iter().map(|tracked| &*tracked.analysis).collect();
        if !tracked.is_empty() {
            line("tracked", tracked.join(", "));
        }
        reports = config.out.join(&name);
    }
    let series = run::series(folder)?;
    let last = |name: &str| series.iter().find(|series| series.name == name)?.points.last().copied();
    if let Some((step, loss)) = last("loss") {
        let asked = config.map_or_else(String::new, |config| format!(" of {}", config.steps));
        line("updates", format!("{step}{asked}"));
        line("training loss", format!("{} at update {step}", report::plain(loss)));
    }
    if let Some((step, loss)) = last("val_loss") {
        line("validation loss", format!("{} after {step} updates", report::plain(loss)));
    }
    line("checkpoints", list(&steps));
    let mut files = Vec::new();
    gather(&reports, 1, &mut files)?;
    if files.is_empty() {
        line("reports", format!("none in {}", reports.display()));
    } else {
        text.push('\n');
        text.push_str(&of_reports(&files));
    }
    Ok(text)
}

/// The Parquet files in a folder and at most `depth` folders down.
fn gather(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    for path in report::entries(folder)? {
        if report::is_report(&path) {
            found.push(path);
        } else if path.is_dir() && depth > 0 {
            gather(&path, depth - 1, found)?;
        }
    }
    Ok(())
}

/// What the reports of one analysis of one run are of.
#[derive(Default)]
struct Shelf {
    files: usize,
    steps: BTreeSet<u64>,
    /// Key of the metadata to its values.
    said: BTreeMap<&'static str, BTreeSet<String>>,
    unread: Vec<String>,
}

/// One paragraph for each analysis of each run.
fn of_reports(files: &[PathBuf]) -> String {
    let mut shelves: BTreeMap<PathBuf, Shelf> = BTreeMap::new();
    for path in files {
        let shelf = shelves.entry(path.parent().unwrap_or(Path::new("")).into()).or_default();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let meta = match report::read_metadata(path) {
            Ok(meta) => meta,
            Err(error) => {
                shelf.unread.push(error.to_string());
                continue;
            }
        };
        let says = |key: &str| meta.get(&format!("warmlab.{key}")).map(String::as_str);
        match says("schema_version") {
            Some(SCHEMA_VERSION) => {}
            Some(other) => {
                let why = format!("written in schema {other}; this version reads schema {SCHEMA_VERSION}");
                shelf.unread.push(format!("`{name}` is {why}"));
                continue;
            }
            None => {
                shelf.unread.push(format!("`{name}` is no report of this program"));
                continue;
            }
        }
        shelf.files += 1;
        shelf.steps.extend(steps_in(&name));
        let id = |hash: &str| hash.chars().take(8).collect::<String>();
        for (key, value) in [
            ("batch", says("batch").map(str::to_string)),
            ("checkpoint", says("checkpoint_sha256").map(id)),
            ("dtype", says("dtype").map(str::to_string)),
            ("options", says("options").map(str::to_string)),
        ] {
            shelf.said.entry(key).or_default().extend(value);
        }
    }
    let mut text = String::new();
    for (folder, shelf) in shelves {
        let _ = writeln!(text, "{}", folder.display());
        if shelf.files > 0 {
            let _ = writeln!(text, "  {:<12} {} of {}", "files", shelf.files, list(&shelf.steps));
        }
        for (key, values) in &shelf.said {
            // a hash for each step says nothing
            let shown = values.iter().filter(|_| *key != "checkpoint" || values.len() <= 2);
            shown.for_each(|value| {
                let _ = writeln!(text, "  {key:<12} {value}");
            });
        }
        shelf.unread.iter().for_each(|why| {
            let _ = writeln!(text, "  {:<12} {why}", "not read");
        });
    }
    text
}

/// The steps a report's name tells: `step_5-0a1b2c3d.parquet`, `steps_1_20.parquet`.
fn steps_in(name: &str) -> Vec<u64> {
    let stem = name.strip_suffix(".parquet").unwrap_or(name);
    let number = |text: Option<&str>| text.and_then(|text| text.parse().ok());
    match (stem.strip_prefix("step_"), stem.strip_prefix("steps_").and_then(|range| range.split_once('_'))) {
        (Some(one), _) => number(one.split('-').next()).into_iter().collect(),
        (None, Some((first, last))) => number(Some(first)).into_iter().chain(number(Some(last))).collect(),
        (None, None) => vec![],
    }
}

/// Steps in words: all of a few, the ends of many.
fn list(steps: &BTreeSet<u64>) -> String {
    let text = |steps: Vec<&u64>| steps.into_iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    match (steps.len(), steps.last()) {
        (0, _) | (_, None) => "no step".into(),
        (1, Some(step)) => format!("step {step}"),
        (2..=12, _) => format!("steps {}", text(steps.iter().collect())),
        (count, Some(last)) => {
            format!("{count} steps: {}, ..., {last}", text(steps.iter().take(8).collect()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read_from_names_and_told_in_few_words() {
        assert_eq!(steps_in("step_5-0a1b2c3d.parquet"), [5]);
        assert_eq!(steps_in("steps_1_20.parquet"), [1, 20]);
        assert!(steps_in("other.parquet").is_empty() && steps_in("step_x-y.parquet").is_empty());
        assert_eq!(list(&BTreeSet::from([3])), "step 3");
        assert_eq!(list(&(0..4).collect()), "steps 0, 1, 2, 3");
        assert_eq!(list(&(1..=100).collect()), "100 steps: 1, 2, 3, 4, 5, 6, 7, 8, ..., 100");
        assert_eq!(list(&BTreeSet::new()), "no step");
    }
}
