//! journal.jsonl: the rows of each tracked update, appended as they are made, until the next checkpoint
//! turns them into `steps_A_B.parquet`.
//!
//! A crash loses at most the line being written. Reports and lines beyond the checkpoint that training
//! resumes from are removed, since they are computed again.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, IoContext, Result};
use crate::report::{self, Report};
use crate::row::{Row, Status};

/// The key of (update, rows) pairs in a report's metadata.
const UPDATES: &str = "warmlab.updates";

/// One update's rows.
#[derive(Serialize, Deserialize)]
struct Line<'a> {
    update: u64,
    run: Cow<'a, str>,
    analysis: Cow<'a, str>,
    rows: Vec<Entry<'a>>,
}

/// A row: batch, step, quantity, scope, (layer, head, index, probe), parameter, value, uncertainty,
/// sampling error, n, status.
#[derive(Serialize, Deserialize)]
struct Entry<'a>(
    Option<Cow<'a, str>>,
    u64,
    Cow<'a, str>,
    Cow<'a, str>,
    [Option<u32>; 4],
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<u64>,
    u8,
);

const STATUSES: [Status; 4] = [Status::Ok, Status::Unconverged, Status::Unresolved, Status::Nonfinite];

impl<'a> Entry<'a> {
    fn new(row: &'a Row) -> Self {
        let status = STATUSES.iter().position(|s| *s == row.status).unwrap_or(2) as u8;
        Entry(
            row.batch.as_deref().map(Cow::from),
            row.step,
            (&*row.quantity).into(),
            (&*row.scope).into(),
            [row.layer, row.head, row.index, row.probe],
            row.parameter,
            row.value,
            row.uncertainty,
            row.sampling_error,
            row.n,
            status,
        )
    }

    fn row(self, run: &Arc<str>, analysis: &Arc<str>) -> Row {
        let [layer, head, index, probe] = self.4;
        Row {
            run: run.clone(),
            analysis: analysis.clone(),
            batch: self.0.map(Arc::from),
            step: self.1,
            quantity: self.2.into(),
            scope: self.3.into(),
            layer,
            head,
            index,
            probe,
            parameter: self.5,
            value: self.6,
            uncertainty: self.7,
            sampling_error: self.8,
            n: self.9,
            status: STATUSES.get(usize::from(self.10)).copied().unwrap_or(Status::Unresolved),
        }
    }
}

impl<'a> Line<'a> {
    fn new(update: u64, rows: &'a [Row]) -> Self {
        let first = rows.first();
        let run = first.map_or("", |row| &row.run).into();
        let analysis = first.map_or("", |row| &row.analysis).into();
        Line { update, run, analysis, rows: rows.iter().map(Entry::new).collect() }
    }

    fn rows(self) -> impl Iterator<Item = Row> {
        let (run, analysis): (Arc<str>, Arc<str>) = (self.run.into(), self.analysis.into());
        self.rows.into_iter().map(move |entry| entry.row(&run, &analysis))
    }
}

/// The journal of one analysis of one run.
pub struct Journal {
    folder: PathBuf,
    path: PathBuf,
    file: File,
    meta: BTreeMap<String, String>,
}

impl Journal {
    /// Opens the journal in `folder` to go on after update `step`.
    ///
    /// # Errors
    /// Where what is there cannot be read, or the disk refuses.
    pub fn open(folder: &Path, step: u64, meta: BTreeMap<String, String>) -> Result<Self> {
        fs::create_dir_all(folder).at("create", folder)?;
        let mut compacted = 0;
        for (first, last, path) in reports(folder)? {
            if last <= step {
                compacted = compacted.max(last);
                continue;
            }
            // a checkpoint inside it is gone or was added: what is before the checkpoint stays
            let report = if first <= step { Some(report::read_parquet(&path)?) } else { None };
            fs::remove_file(&path).at("remove", &path)?;
            if let Some(last) = report.map(|report| keep(folder, report, step)).transpose()? {
                compacted = compacted.max(last);
            }
        }
        let path = folder.join("journal.jsonl");
        let lines = read(&path)?;
        let kept = lines.into_iter().filter(|line| (compacted + 1..=step).contains(&line.update));
        let text: String = kept.map(|line| text(&line)).collect();
        crate::files::write_bytes(&path, text.as_bytes())?;
        let file = OpenOptions::new().append(true).open(&path).at("open", &path)?;
        Ok(Journal { folder: folder.into(), path, file, meta })
    }

    /// Appends the rows of an update.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn append(&mut self, update: u64, rows: Vec<Row>) -> Result<()> {
        self.file.write_all(text(&Line::new(update, &rows)).as_bytes()).at("write", &self.path)
    }

    /// Turns everything appended so far into a report.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn compact(&mut self) -> Result<()> {
        let lines = read(&self.path)?;
        if !lines.is_empty() {
            let updates: Vec<(u64, usize)> =
                lines.iter().map(|line| (line.update, line.rows.len())).collect();
            let rows = lines.into_iter().flat_map(Line::rows).collect();
            write(&self.folder, &updates, rows, self.meta.clone())?;
            self.file.set_len(0).at("write", &self.path)?;
        }
        Ok(())
    }
}

fn text(line: &Line) -> String {
    let mut text = serde_json::to_string(line).expect("a line is plain data");
    text.push('\n');
    text
}

/// All complete lines.
fn read(path: &Path) -> Result<Vec<Line<'static>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e).at("open", path),
    };
    let mut lines = Vec::new();
    for (i, line) in BufReader::new(file).split(b'\n').enumerate() {
        let line = line.at("read", path)?;
        match serde_json::from_slice(&line) {
            Ok(line) => lines.push(line),
            // cut off by a crash: only ever the last
            Err(e) if e.is_eof() => break,
            Err(e) => return Err(Error::file(path, format!("is damaged in line {}: {e}", i + 1))),
        }
    }
    Ok(lines)
}

/// Writes `steps_A_B.parquet`, A and B the first and the last of `updates`, each with its number of rows.
fn write(
    folder: &Path,
    updates: &[(u64, usize)],
    rows: Vec<Row>,
    mut meta: BTreeMap<String, String>,
) -> Result<()> {
    let (Some((first, _)), Some((last, _))) = (updates.first(), updates.last()) else { return Ok(()) };
    let path = folder.join(format!("steps_{first}_{last}.parquet"));
    let counts: Vec<String> = updates.iter().map(|(update, rows)| format!("{update}:{rows}")).collect();
    meta.insert(UPDATES.into(), counts.join(" "));
    report::write_parquet(&path, &Report { meta, rows })
}

/// Writes the part of a report up to update `step` again; returns its last update.
fn keep(folder: &Path, report: Report, step: u64) -> Result<u64> {
    let Report { mut meta, mut rows } = report;
    let counts = meta.remove(UPDATES).unwrap_or_default();
    let pair = |pair: &str| {
        let (update, rows) = pair.split_once(':')?;
        Some((update.parse().ok()?, rows.parse().ok()?))
    };
    let updates: Vec<(u64, usize)> =
        counts.split(' ').filter_map(pair).take_while(|(update, _)| *update <= step).collect();
    rows.truncate(updates.iter().map(|(_, rows)| rows).sum());
    write(folder, &updates, rows, meta)?;
    Ok(updates.last().map_or(0, |(update, _)| *update))
}

/// (first update, last update, path) of every report of training steps, in order.
fn reports(folder: &Path) -> Result<Vec<(u64, u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).at("list", folder)? {
        let path = entry.at("list", folder)?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let range = name.strip_prefix("steps_").and_then(|name| name.strip_suffix(".parquet"));
        let range = range.and_then(|range| range.split_once('_'));
        if let Some((Ok(first), Ok(last))) = range.map(|(a, b)| (a.parse(), b.parse())) {
            found.push((first, last, path));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Origin;

    fn rows(update: u64) -> Vec<Row> {
        let after = Origin::new("r", "adam", format!("{update:08x}"), update);
        let before = Origin { step: update - 1, ..after.clone() };
        let value = 0.1 * update as f64;
        let state = Row::new("adam/v_mean", value / 3.0).parameter(0.5).uncertainty(1e-300).n(7);
        vec![Row::new("adam/rms_ratio", value).stamp(&before), state.without_batch().stamp(&after)]
    }

    fn all(folder: &Path) -> Vec<Row> {
        let reports = reports(folder).expect("listed");
        let mut found: Vec<Row> =
            reports.iter().flat_map(|r| report::read_parquet(&r.2).expect("read").rows).collect();
        found.extend(read(&folder.join("journal.jsonl")).expect("read").into_iter().flat_map(Line::rows));
        found
    }

    #[test]
    fn nothing_is_lost_or_doubled_wherever_a_run_is_cut() {
        for (saves, cut) in [(vec![4, 8], 4), (vec![4, 8], 6), (vec![8], 3), (vec![], 5), (vec![4], 0)] {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let open = |step| Journal::open(folder.path(), step, BTreeMap::new()).expect("opened");
            let mut journal = open(0);
            for update in 1..=9 {
                journal.append(update, rows(update)).expect("appended");
                if saves.contains(&update) {
                    journal.compact().expect("compacted");
                }
            }
            // as kill -9 leaves it
            journal.file.write_all(b"{\"update\":10,\"ru").expect("appended");
            drop(journal);
            let mut journal = open(cut);
            let kept: Vec<Row> = (1..=cut).flat_map(rows).collect();
            assert_eq!(all(folder.path()), kept, "{saves:?} {cut}");
            for update in cut + 1..=10 {
                journal.append(update, rows(update)).expect("appended");
            }
            journal.compact().expect("compacted");
            assert_eq!(all(folder.path()), (1..=10).flat_map(rows).collect::<Vec<_>>());
        }
    }
}
