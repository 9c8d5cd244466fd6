//! A run's reports, read: every file of every analysis, with what it says of itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{SCHEMA_VERSION, read_metadata, read_parquet};
use crate::base::error::{IoContext, Result};
use crate::base::row::Row;

/// One file of results.
#[derive(Debug, Clone)]
pub struct Source {
    /// Where it is.
    pub path: PathBuf,
    /// Its `warmlab.*` keys.
    pub meta: BTreeMap<String, String>,
    /// Its numbers.
    pub rows: Vec<Row>,
}

impl Source {
    /// A key of its metadata, without `warmlab.`; empty where it has none.
    pub fn says(&self, key: &str) -> &str {
        self.meta.get(&format!("warmlab.{key}")).map_or("", String::as_str)
    }
}

/// What the folder of a run's reports holds.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// The files, in the order of their names.
    pub sources: Vec<Source>,
    /// A sentence on each analysis of which files were left out, and why.
    pub left_out: Vec<String>,
}

/// Files named in a sentence.
const NAMED: usize = 3;

/// Reads every report of a run. One that another version wrote in other columns, or that is damaged, is left out and
/// named.
///
/// # Errors
/// Where a folder cannot be listed.
pub fn read_run(folder: &Path) -> Result<Reading> {
    let mut reading = Reading::default();
    for analysis in entries(folder)?.into_iter().filter(|path| path.is_dir()) {
        let mut left_out: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for path in entries(&analysis)?.into_iter().filter(|path| is_report(path)) {
            match read(&path) {
                Ok(source) => reading.sources.push(source),
                Err(why) => {
                    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    left_out.entry(why).or_default().push(name);
                }
            }
        }
        for (why, names) in left_out {
            let more = match names.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let names: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
            reading.left_out.push(format!(
                "left out of `{}`: {}{more}, {why}",
                analysis.display(),
                names.join(", ")
            ));
        }
    }
    Ok(reading)
}

/// A report, or why it is left out.
fn read(path: &Path) -> std::result::Result<Source, String> {
    let problem = |e: crate::base::error::Error| match e {
        crate::base::error::Error::File { problem, .. } => format!("which {problem}"),
        other => other.to_string(),
    };
    let meta = read_metadata(path).map_err(problem)?;
    match meta.get("warmlab.schema_version").map(String::as_str) {
        Some(SCHEMA_VERSION) => {}
        Some(other) => {
            return Err(format!(
                "written in schema {other}, and this version reads schema {SCHEMA_VERSION}: measure again to have them"
            ));
        }
        None => return Err("which no version of this program wrote".into()),
    }
    let report = read_parquet(path).map_err(problem)?;
    Ok(Source { path: path.into(), meta: report.meta, rows: report.rows })
}

/// Whether a file is named as reports are.
pub fn is_report(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "parquet") && path.is_file()
}

/// What a folder lists, by name, but for what begins with a dot; nothing where there is no folder.
pub fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(folder).at("list", folder)?;
    let mut paths = entries.map(|e| e.map(|e| e.path()).at("list", folder)).collect::<Result<Vec<_>>>()?;
    paths.retain(|path| path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with('.')));
    paths.sort();
    Ok(paths)
}
