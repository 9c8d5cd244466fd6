//! `steps_A_B.parquet`: a report of the updates from A to B.

use std::fs;
use std::path::{Path, PathBuf};

use super::line::Line;
use super::metadata::Meta;
use crate::base::error::{Error, IoContext, Result};
use crate::base::files;
use crate::base::row::Row;
use crate::report::{self, Report};

/// The key of (update, rows) pairs in a report's metadata.
const UPDATES: &str = "warmlab.updates";
/// The key of what tells runs apart.
pub const RUN: &str = "warmlab.run_sha256";

/// Refuses to mix two runs of one name.
///
/// # Errors
/// Where the reports in the folder are another run's, or cannot be read.
pub fn check_run(folder: &Path, meta: &Meta) -> Result<()> {
    let Some((_, _, path)) = reports(folder)?.pop() else { return Ok(()) };
    let theirs = report::read_parquet(&path)?.meta;
    match (theirs.get(RUN), meta.get(RUN)) {
        (Some(theirs), Some(ours)) if theirs != ours => Err(Error::file_hint(
            folder,
            "holds training steps of another run of the same name, with other settings",
            format!("use another --name or --out, or remove {}", folder.display()),
        )),
        _ => Ok(()),
    }
}

/// Writes lines and the reports after step `since` as one report. What was made by another version or with other
/// threads says so of itself and stays apart.
///
/// # Errors
/// Where a report cannot be read, or the disk refuses.
pub fn join(folder: &Path, since: u64, lines: Vec<Line>, meta: &Meta) -> Result<()> {
    let (mut updates, mut rows, mut joined) = (Vec::new(), Vec::new(), Vec::new());
    for (first, _, path) in reports(folder)?.into_iter().filter(|(first, ..)| *first > since) {
        let mut report = report::read_parquet(&path)?;
        let theirs = counts(report.meta.remove(UPDATES));
        let whole = theirs.first().is_some_and(|told| told.update == first);
        if whole && report.meta == *meta {
            updates.extend(theirs);
            rows.extend(report.rows);
            joined.push(path);
        }
    }
    if lines.is_empty() && joined.len() < 2 {
        return Ok(());
    }
    updates.extend(lines.iter().map(|line| Told { update: line.update, rows: line.count(), end: line.end }));
    rows.extend(lines.into_iter().flat_map(Line::rows));
    let written = write(folder, &updates, rows, meta.clone())?;
    remove(folder, joined.into_iter().filter(|path| *path != written))
}

/// How many rows were told with an update.
struct Told {
    update: u64,
    rows: usize,
    /// Whether they are of the step the run ended with: those are measured again when the run is opened, with the update
    /// after it where one follows.
    end: bool,
}

/// What the last of a run's rows are marked with.
const END: &str = "end";

/// Writes `steps_A_B.parquet`, A and B the first and the last of `updates`.
fn write(folder: &Path, updates: &[Told], rows: Vec<Row>, mut meta: Meta) -> Result<PathBuf> {
    let number = |told: Option<&Told>| told.map_or(0, |told| told.update);
    let path = folder.join(format!("steps_{}_{}.parquet", number(updates.first()), number(updates.last())));
    let text = |Told { update, rows, end }: &Told| match end {
        true => format!("{update}:{rows}:{END}"),
        false => format!("{update}:{rows}"),
    };
    meta.insert(UPDATES.into(), updates.iter().map(text).collect::<Vec<_>>().join(" "));
    report::write_parquet(&path, &Report { meta, rows })?;
    Ok(path)
}

/// What a report says of its updates.
fn counts(text: Option<String>) -> Vec<Told> {
    let told = |text: &str| {
        let mut parts = text.split(':');
        let (update, rows) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(Told { update, rows, end: parts.next() == Some(END) })
    };
    text.unwrap_or_default().split(' ').filter_map(told).collect()
}

/// Writes the part of a report up to update `step`, but for the run's end, under its own name.
fn keep(folder: &Path, report: Report, step: u64) -> Result<Option<PathBuf>> {
    let Report { mut meta, mut rows } = report;
    let mut updates = counts(meta.remove(UPDATES));
    updates.retain(|told| told.update <= step && !told.end);
    rows.truncate(updates.iter().map(|told| told.rows).sum());
    if updates.is_empty() { Ok(None) } else { write(folder, &updates, rows, meta).map(Some) }
}

/// Removes reports whose updates another one has too: a kill came before they went.
fn remove_contained(folder: &Path) -> Result<()> {
    let all = reports(folder)?;
    let contains = |(a, b): (u64, u64), (c, d): (u64, u64)| a <= c && d <= b && (a, b) != (c, d);
    let twice = |(first, last, _): &&(u64, u64, PathBuf)| {
        all.iter().any(|(a, b, _)| contains((*a, *b), (*first, *last)))
    };
    remove(folder, all.iter().filter(twice).map(|(.., path)| path.clone()))
}

fn remove(folder: &Path, paths: impl IntoIterator<Item = PathBuf>) -> Result<()> {
    let mut paths = paths.into_iter().peekable();
    if paths.peek().is_none() {
        return Ok(());
    }
    for path in paths {
        fs::remove_file(&path).at("remove", &path)?;
    }
    files::sync_folder(folder)
}

/// Removes what is beyond update `step`, the end of a run there, and what is there twice; the last update that is left.
///
/// # Errors
/// Where a report cannot be read, or the disk refuses.
pub fn cut(folder: &Path, step: u64) -> Result<u64> {
    for (first, last, path) in reports(folder)?.into_iter().filter(|(_, last, _)| *last >= step) {
        let ends = || -> Result<bool> {
            Ok(counts(report::read_metadata(&path)?.remove(UPDATES)).iter().any(|told| told.end))
        };
        if last == step && !ends()? {
            continue;
        }
        let kept = if first <= step { keep(folder, report::read_parquet(&path)?, step)? } else { None };
        if kept.as_ref() != Some(&path) {
            remove(folder, [path])?;
        }
    }
    remove_contained(folder)?;
    Ok(reports(folder)?.last().map_or(0, |(_, last, _)| *last))
}

/// (first update, last update, path) of every report of training steps, in order.
///
/// # Errors
/// Where the folder cannot be listed.
pub fn reports(folder: &Path) -> Result<Vec<(u64, u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).at("list", folder)? {
        let path = entry.at("list", folder)?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let range = name.strip_prefix("steps_").and_then(|name| name.strip_suffix(".parquet"));
        let range = range.and_then(|range| range.split_once('_'));
        if let Some((Ok(first), Ok(last))) = range.map(|(a, b)| (a.parse(), b.parse()))
            && path.is_file()
        {
            found.push((first, last, path));
        }
    }
    found.sort();
    Ok(found)
}
