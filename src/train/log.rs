//! steps.jsonl: one line per update, appended as it happens.
//!
//! A line holds nothing that changes when a run is repeated, so a resumed run can compare what it computes
//! again with what is there. A crash loses at most the line being written.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, IoContext, Result};

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
    /// Loss on the evaluation sequences after the update, where it was evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_loss: Option<f64>,
    /// Its standard error over sequences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_loss_se: Option<f64>,
}

/// The file, open for appending.
pub struct StepLog {
    path: PathBuf,
    file: File,
    /// Lines written by an earlier process beyond the step training resumed from.
    ahead: Vec<StepLine>,
}

impl StepLog {
    /// Opens the log to go on after update `step`. Lines beyond it are kept until they are computed again.
    ///
    /// # Errors
    /// Where the file cannot be read or a line in its middle is damaged.
    pub fn open(path: &Path, step: u64) -> Result<Self> {
        let lines = Self::read(path)?;
        let known = lines.len();
        let ahead: Vec<StepLine> = lines.into_iter().filter(|line| line.step > step).collect();
        let kept = known - ahead.len();
        if kept as u64 != step {
            return Err(Error::file(
                path,
                format!("holds {kept} of the {step} updates before the checkpoint"),
            ));
        }
        let file = OpenOptions::new().create(true).append(true).open(path).at("open", path)?;
        Ok(StepLog { path: path.into(), file, ahead })
    }

    /// All complete lines; a last line cut off by a crash is removed from the file.
    ///
    /// # Errors
    /// Where the file cannot be read or a line in its middle is damaged.
    pub fn read(path: &Path) -> Result<Vec<StepLine>> {
        if !path.exists() {
            return Ok(Vec::new());
        }
        let text = std::fs::read_to_string(path).at("read", path)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        if whole < text.len() {
            let file = OpenOptions::new().write(true).open(path).at("open", path)?;
            file.set_len(whole as u64).at("write", path)?;
        }
        let parse = |(i, line): (usize, &str)| {
            serde_json::from_str(line)
                .map_err(|e| Error::file(path, format!("is damaged in line {}: {e}", i + 1)))
        };
        text[..whole].lines().enumerate().map(parse).collect()
    }

    /// Appends a line, or finds it there already. A line that differs from what an earlier process wrote
    /// for the same step replaces it and all that follow; the return value says so.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn append(&mut self, line: &StepLine) -> Result<bool> {
        if !self.ahead.is_empty() {
            let there = self.ahead.remove(0);
            if there == *line {
                return Ok(true);
            }
            self.ahead.clear();
            let kept = (line.step - 1) as usize;
            let text = std::fs::read_to_string(&self.path).at("read", &self.path)?;
            let length = text.split_inclusive('\n').take(kept).map(str::len).sum::<usize>();
            self.file.set_len(length as u64).at("write", &self.path)?;
            self.write(line)?;
            return Ok(false);
        }
        self.write(line)?;
        Ok(true)
    }

    fn write(&mut self, line: &StepLine) -> Result<()> {
        let mut text = serde_json::to_string(line).expect("a line is plain data");
        text.push('\n');
        self.file.write_all(text.as_bytes()).at("write", &self.path)
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
            val_loss: None,
            val_loss_se: None,
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
        std::fs::write(&path, text).expect("written");

        let mut log = StepLog::open(&path, 3).expect("opened");
        assert!(log.append(&line(4, 0.1 + 0.2)).expect("found"));
        // a process that computes something else says so, and the rest is replaced
        assert!(!log.append(&line(5, 7.0)).expect("replaced"));
        assert!(log.append(&line(6, 8.0)).expect("written"));
        let losses: Vec<f64> = StepLog::read(&path).expect("read").iter().map(|l| l.loss).collect();
        assert_eq!(losses, [0.1 + 0.2, 0.1 + 0.2, 0.1 + 0.2, 0.1 + 0.2, 7.0, 8.0]);
        assert!(StepLog::open(&path, 9).is_err());
    }
}
