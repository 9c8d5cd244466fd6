//! steps.jsonl: one line per update, appended as it happens.
//!
//! A line holds nothing that changes when a run is repeated, so a resumed run can compare what it computes
//! again with what is there. The file is synced before each checkpoint: a checkpoint of step N means that the lines of
//! all updates up to N are on disk.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::error::{Error, IoContext, Result};
use crate::base::files::{self, Lines, read_lines};
use crate::stats::interval;

/// One update.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepLine {
    /// The update, counted from 1.
    pub step: u64,
    /// Mean loss of its batch, before the update.
    pub loss: f64,
    /// Its learning rate.
    pub lr: f64,
    /// Norm of its gradient before clipping.
    pub grad_norm: f64,
    /// Whether the gradient was clipped.
    pub clipped: bool,
    /// Tokens seen, this update included.
    pub tokens: u64,
    /// What rows call its batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<String>,
    /// Where its loss jumps: by how many robust standard deviations it lies above the median before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jump: Option<f64>,
    /// Loss on the evaluation sequences after the update, where it was evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_loss: Option<f64>,
    /// Its standard error over sequences; [`StepLine::val_loss_half_width`] is that of an interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_loss_se: Option<f64>,
    /// How many evaluation sequences there were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_sequences: Option<usize>,
    /// What rows call the evaluation sequences together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_batch: Option<String>,
}

impl StepLine {
    /// The half-width of a 68% interval for the evaluation loss. Older logs do not say how many sequences there were:
    /// as of very many.
    pub fn val_loss_half_width(&self) -> Option<f64> {
        let factor = self.val_sequences.filter(|n| *n > 1).map_or(1.0, interval::factor);
        self.val_loss_se.map(|error| factor * error)
    }
}

/// The file, open for appending.
pub struct StepLog {
    path: PathBuf,
    file: File,
    /// Lines written by an earlier process beyond the step training resumed from.
    ahead: VecDeque<StepLine>,
    /// Where each line of the file ends.
    ends: Vec<u64>,
}

impl StepLog {
    /// Opens the log to go on after update `step`. Lines beyond it are kept until they are computed again; what is no
    /// line there, or not the next, is removed.
    ///
    /// # Errors
    /// Where the file cannot be read, or lacks updates up to `step`.
    pub fn open(path: &Path, step: u64) -> Result<Self> {
        let Lines { mut lines, mut ends, .. } = read_lines::<StepLine>(path)?;
        let counted = lines.iter().zip(1..).take_while(|(line, update)| line.step == *update).count();
        if (counted as u64) < step {
            return Err(Error::file_hint(
                path,
                format!("holds {counted} of the {step} updates before the checkpoint, in order"),
                format!(
                    "what it says beyond is not this run's; remove the checkpoints after step {counted} to go on \
                     from there"
                ),
            ));
        }
        lines.truncate(counted);
        ends.truncate(counted);
        let file = OpenOptions::new().create(true).append(true).open(path).at("open", path)?;
        let whole = ends.last().copied().unwrap_or(0);
        if file.metadata().at("read", path)?.len() > whole {
            file.set_len(whole).at("write", path)?;
        }
        file.sync_all().at("write", path)?;
        files::sync_folder(path.parent().unwrap_or(Path::new(".")))?;
        let ahead = lines.split_off(step as usize).into();
        Ok(StepLog { path: path.into(), file, ahead, ends })
    }

    /// All complete lines.
    ///
    /// # Errors
    /// Where the file cannot be read or a line in its middle is damaged.
    pub fn read(path: &Path) -> Result<Vec<StepLine>> {
        read_lines(path)?.whole()
    }

    /// Appends a line, or finds it there already. A line that differs from what an earlier process wrote
    /// for the same step replaces it and all that follow; the return value says so.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn append(&mut self, line: &StepLine) -> Result<bool> {
        let there = self.ahead.pop_front();
        if there.as_ref() == Some(line) {
            return Ok(true);
        }
        if there.is_some() {
            self.ahead.clear();
            self.ends.truncate(line.step as usize - 1);
            self.file.set_len(self.ends.last().copied().unwrap_or(0)).at("write", &self.path)?;
        }
        let mut text = serde_json::to_string(line).expect("a line is plain data");
        text.push('\n');
        self.file.write_all(text.as_bytes()).at("write", &self.path)?;
        self.ends.push(self.ends.last().copied().unwrap_or(0) + text.len() as u64);
        Ok(there.is_none())
    }

    /// Puts everything appended so far on disk.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().at("write", &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(step: u64, loss: f64) -> StepLine {
        StepLine {
            step,
            loss,
            lr: 1e-3,
            grad_norm: 0.1,
            clipped: false,
            tokens: step * 8,
            batch: None,
            jump: None,
            val_loss: None,
            val_loss_se: None,
            val_sequences: None,
            val_batch: None,
        }
    }

    #[test]
    fn a_cut_line_is_dropped_and_repeated_lines_are_not_doubled() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("steps.jsonl");
        let mut log = StepLog::open(&path, 0).expect("opened");
        for step in 1..=5 {
            assert!(log.append(&line(step, 0.1 + 0.2)).expect("written"));
        }
        drop(log);
        let mut text = std::fs::read_to_string(&path).expect("there");
        text.push_str("{\"step\":6,\"lo");
        std::fs::write(&path, text.clone() + "\0\0\0\n").expect("written");
        // reading changes nothing: the file may be another process's
        assert_eq!(StepLog::read(&path).expect("read").len(), 5);
        assert_eq!(std::fs::metadata(&path).expect("there").len(), text.len() as u64 + 4);

        let mut log = StepLog::open(&path, 3).expect("opened");
        assert!(log.append(&line(4, 0.1 + 0.2)).expect("found"));
        // a process that computes something else says so, and the rest is replaced
        assert!(!log.append(&line(5, 7.0)).expect("replaced"));
        assert!(log.append(&line(6, 8.0)).expect("written"));
        let losses: Vec<f64> = StepLog::read(&path).expect("read").iter().map(|l| l.loss).collect();
        assert_eq!(losses, [0.1 + 0.2, 0.1 + 0.2, 0.1 + 0.2, 0.1 + 0.2, 7.0, 8.0]);
        assert!(StepLog::open(&path, 9).is_err());
        // two processes that wrote at once: the second update is not where it should be
        let doubled: String = text.split_inclusive('\n').flat_map(|line| [line, line]).collect();
        std::fs::write(&path, doubled).expect("written");
        let error = StepLog::open(&path, 2).err().expect("refused").to_string();
        assert!(error.contains("holds 1 of the 2 updates"), "{error}");
    }
}
