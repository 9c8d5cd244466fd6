//! Whether the log, the checkpoints and the reports of a run are those of one run.

use std::fs;
use std::path::Path;

use super::spans;
use crate::base::error::{IoContext, Result};
use crate::train;

/// Contradictions that are told one by one.
const TOLD: usize = 3;

/// What to say where the log, the checkpoints and the reports in `out` of the run in a folder contradict each other.
///
/// # Errors
/// Where they cannot be read.
pub fn contradiction(run: &Path, out: &Path) -> Result<Option<String>> {
    let Some((updates, mut found)) = train::contradictions(run)? else { return Ok(None) };
    let folder = run.canonicalize().unwrap_or_else(|_| run.into());
    let name = folder.file_name().unwrap_or_default();
    found.extend(of_reports(&out.join(name), updates)?);
    let more = found.len().saturating_sub(TOLD);
    found.truncate(TOLD);
    if more > 0 {
        found.push(format!("{more} more"));
    }
    Ok((!found.is_empty()).then(|| {
        format!(
            "run `{}` contradicts itself: {}; the numbers are those of each checkpoint as it is, and not of one run",
            name.to_string_lossy(),
            found.join("; ")
        )
    }))
}

/// What contradicts in the reports in `folder` of a run whose log has so many updates, a clause each.
///
/// # Errors
/// Where the folder cannot be listed.
fn of_reports(folder: &Path, updates: u64) -> Result<Vec<String>> {
    let mut found = Vec::new();
    if !folder.is_dir() {
        return Ok(found);
    }
    for entry in fs::read_dir(folder).at("list", folder)? {
        let path = entry.at("list", folder)?.path();
        if !path.is_dir() {
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let reports = spans::reports(&path)?;
        let twice = |pair: &&[(u64, u64, std::path::PathBuf)]| pair[1].0 <= pair[0].1;
        found.extend(
            reports
                .windows(2)
                .filter(twice)
                .map(|pair| format!("two reports of {name} have update {}", pair[1].0)),
        );
        if let Some(last) = reports.iter().map(|(_, last, _)| *last).max().filter(|last| *last > updates) {
            found.push(format!("the reports of {name} reach update {last}, steps.jsonl {updates}"));
        }
    }
    found.sort();
    Ok(found)
}
