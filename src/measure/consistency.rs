//! Whether the reports of a run's training steps are those of one run.

use std::fs;
use std::path::Path;

use super::journal;
use crate::base::error::{IoContext, Result};

/// What contradicts in the reports in `folder` of a run whose log has so many updates, a clause each.
///
/// # Errors
/// Where the folder cannot be listed.
pub fn contradictions(folder: &Path, updates: u64) -> Result<Vec<String>> {
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
        let reports = journal::reports(&path)?;
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
