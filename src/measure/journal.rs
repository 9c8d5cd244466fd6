//! .journal.jsonl: the rows of each tracked update, appended as they are made, until a checkpoint turns them into
//! `steps_A_B.parquet`.
//!
//! What is written before what is removed, so that a kill, a power loss or a full disk at any byte loses nothing before
//! the last checkpoint: the journal is synced before the checkpoint is published; the report is on disk before the
//! lines it holds go, and so is the part to keep of a report before the report goes. Whatever such an end leaves
//! twice is removed at the next opening. Rows beyond the checkpoint that training resumes from are removed, since they
//! are computed again.
//!
//! The rows of a snapshot stand under the update that follows it; those of the step a run ends with, which none follows,
//! under the last update once more.
//!
//! A report reaches from one step that the run's settings save to the next: where a run was cut in between, the parts
//! are joined at the next, so that the files are those of a run that was not.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::line::Line;
use super::metadata::Meta;
use super::spans::{self, check_run, join};
use crate::base::error::{IoContext, Result};
use crate::base::files::{self, read_lines};
use crate::base::row::Row;
use crate::train::Position;

/// The journal of one analysis of one run.
pub struct Journal {
    folder: PathBuf,
    path: PathBuf,
    file: File,
    meta: Meta,
}

impl Journal {
    /// Opens the journal in `folder` to go on from a checkpoint: what is before it becomes a report, what is beyond it
    /// goes.
    ///
    /// # Errors
    /// Where what is there cannot be read or is another run's, or the disk refuses.
    pub fn open(folder: &Path, position: Position, meta: Meta) -> Result<Self> {
        files::create_folder(folder)?;
        files::remove_left(folder)?;
        check_run(folder, &meta)?;
        let Position { step, since } = position;
        let covered = spans::cut(folder, step)?;
        let path = folder.join(".journal.jsonl");
        let mut lines = read_lines::<Line>(&path)?.lines;
        let theirs = lines.first_mut().and_then(|line| line.meta.take()).unwrap_or_else(|| meta.clone());
        lines.retain(|line| (covered + 1..=step).contains(&line.update) && !line.end);
        join(folder, since, lines, &theirs)?;
        files::write_bytes(&path, Line::header(&meta).text().as_bytes())?;
        let file = OpenOptions::new().append(true).open(&path).at("open", &path)?;
        Ok(Journal { folder: folder.into(), path, file, meta })
    }

    /// Appends the rows that are known with an update: those of the snapshot before it, or, at the `end` of a run, of the
    /// one after it.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn append(&mut self, update: u64, end: bool, rows: &[Row]) -> Result<()> {
        let line = Line::new(update, rows);
        let line = if end { line.ending() } else { line };
        self.file.write_all(line.text().as_bytes()).at("write", &self.path)
    }

    /// Puts everything appended so far on disk.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().at("write", &self.path)
    }

    /// Turns everything appended so far into a report, together with those after step `since`.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn compact(&mut self, since: u64) -> Result<()> {
        let mut lines = read_lines::<Line>(&self.path)?.whole()?;
        lines.retain(|line| line.update > 0);
        if !lines.is_empty() {
            join(&self.folder, since, lines, &self.meta)?;
            self.file.set_len(Line::header(&self.meta).text().len() as u64).at("write", &self.path)?;
        }
        Ok(())
    }

    /// Of `expected` updates, ascending, those that no report has.
    ///
    /// # Errors
    /// Where the folder cannot be listed.
    pub fn missing(&self, expected: impl Iterator<Item = u64>) -> Result<Vec<u64>> {
        let ranges = spans::reports(&self.folder)?;
        let has = |update: &u64| ranges.iter().any(|(first, last, _)| (first..=last).contains(&update));
        Ok(expected.filter(|update| !has(update)).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::spans::{RUN, reports};
    use super::*;
    use crate::base::row::Origin;
    use crate::report;

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
        let lines = read_lines::<Line>(&folder.join(".journal.jsonl")).expect("read").lines;
        found.extend(lines.into_iter().flat_map(Line::rows));
        found
    }

    fn names(folder: &Path) -> Vec<String> {
        let listed = fs::read_dir(folder).expect("listed");
        let mut names: Vec<String> =
            listed.map(|e| e.expect("listed").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Where a run that saves `saves` stands at `step`.
    fn at(saves: &[u64], step: u64) -> Position {
        let since = saves.iter().copied().filter(|save| *save < step).max().unwrap_or(0);
        Position { step, since }
    }

    /// Updates `from`..=`to`, compacted at each of `saves`.
    fn train(journal: &mut Journal, saves: &[u64], from: u64, to: u64) {
        for update in from..=to {
            journal.append(update, false, &rows(update)).expect("appended");
            if saves.contains(&update) {
                journal.compact(at(saves, update).since).expect("compacted");
            }
        }
    }

    #[test]
    fn nothing_is_lost_or_doubled_wherever_a_run_is_cut() {
        let cases: [(&[u64], u64); 6] =
            [(&[4, 8], 4), (&[4, 8], 6), (&[8], 3), (&[], 5), (&[4], 0), (&[9], 9)];
        for (saves, cut) in cases {
            let (folder, uncut) =
                (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
            let open =
                |folder: &Path, step| Journal::open(folder, at(saves, step), Meta::new()).expect("opened");
            let mut journal = open(folder.path(), 0);
            train(&mut journal, saves, 1, 9);
            // as kill -9 and a power loss leave it
            journal.file.write_all(b"{\"update\":10,\"ru\0\0\n\0").expect("appended");
            drop(journal);
            let mut journal = open(folder.path(), cut);
            assert_eq!(all(folder.path()), (1..=cut).flat_map(rows).collect::<Vec<_>>(), "{saves:?} {cut}");
            // opening again changes nothing
            let before = names(folder.path());
            drop(journal);
            journal = open(folder.path(), cut);
            assert_eq!(names(folder.path()), before);
            let saves = [saves, &[12]].concat();
            train(&mut journal, &saves, cut + 1, 12);
            train(&mut open(uncut.path(), 0), &saves, 1, 12);
            assert_eq!(names(folder.path()), names(uncut.path()), "{saves:?} {cut}");
            for name in names(folder.path()) {
                let [a, b] = [&folder, &uncut].map(|f| fs::read(f.path().join(&name)).expect("read"));
                assert!(a == b, "{name} differs, {saves:?} {cut}");
            }
        }
    }

    #[test]
    fn what_a_full_disk_refuses_to_write_is_not_removed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let open = |step| Journal::open(folder.path(), at(&[4, 8], step), Meta::new());
        let mut journal = open(0).expect("opened");
        train(&mut journal, &[4, 8], 1, 9);
        drop(journal);
        // what stands in the way of steps_5_6.parquet stands for the full disk
        let way = folder.path().join("steps_5_6.parquet");
        fs::create_dir(&way).expect("made");
        let before = names(folder.path());
        assert!(open(6).is_err());
        assert_eq!(names(folder.path()), before);
        fs::remove_dir(&way).expect("removed");
        open(6).expect("opened");
        assert_eq!(all(folder.path()), (1..=6).flat_map(rows).collect::<Vec<_>>());

        // the same of a compaction: the lines stay until the report is there
        let mut journal = open(6).expect("opened");
        train(&mut journal, &[4], 7, 8);
        let way = folder.path().join("steps_5_8.parquet");
        fs::create_dir(&way).expect("made");
        assert!(journal.compact(4).is_err());
        fs::remove_dir(&way).expect("removed");
        drop(journal);
        open(8).expect("opened");
        assert_eq!(all(folder.path()), (1..=8).flat_map(rows).collect::<Vec<_>>());
    }

    #[test]
    fn a_kill_between_a_report_and_the_removal_of_its_parts_doubles_nothing() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let open = |step| Journal::open(folder.path(), at(&[4, 8], step), Meta::new()).expect("opened");
        let mut journal = open(0);
        train(&mut journal, &[4, 6], 1, 6);
        let part = folder.path().join("steps_5_6.parquet");
        let kept = fs::read(&part).expect("there");
        train(&mut journal, &[], 7, 8);
        journal.sync().expect("synced");
        let lines = fs::read(folder.path().join(".journal.jsonl")).expect("read");
        journal.compact(4).expect("compacted");
        assert!(!part.exists());
        // neither the part nor the lines had gone
        fs::write(&part, kept).expect("written");
        fs::write(folder.path().join(".journal.jsonl"), lines).expect("written");
        let journal = open(8);
        assert_eq!(all(folder.path()), (1..=8).flat_map(rows).collect::<Vec<_>>());
        assert_eq!(journal.missing(1..=9).expect("listed"), [9]);
    }

    #[test]
    fn runs_and_makers_are_not_mixed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let meta = |run: &str, threads: &str| {
            Meta::from([(RUN.into(), run.into()), ("warmlab.threads".into(), threads.into())])
        };
        let open = |step, meta| Journal::open(folder.path(), at(&[4], step), meta);
        let mut journal = open(0, meta("a", "2")).expect("opened");
        train(&mut journal, &[], 1, 3);
        drop(journal);
        // resumed from step 2 with another number of threads: each part says its own
        let mut journal = open(2, meta("a", "1")).expect("opened");
        train(&mut journal, &[4], 3, 4);
        let threads = |name: &str| {
            report::read_parquet(&folder.path().join(name)).expect("read").meta["warmlab.threads"].clone()
        };
        assert_eq!((threads("steps_1_2.parquet"), threads("steps_3_4.parquet")), ("2".into(), "1".into()));
        assert!(open(0, meta("b", "1")).err().expect("refused").to_string().contains("another run"));
    }
}
