//! Where the search at the next checkpoint starts, on disk while an analysis goes through a run: one that was killed
//! goes on to the same bits as if it had not been. The start a checkpoint leaves is on disk before its report is, and
//! goes when the next report is there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::metadata::{self, Meta};
use super::state;
use crate::base::error::{IoContext, Result};
use crate::base::files;
use crate::base::vectors::Vectors;
use crate::snapshot::analysis::Session;

/// What the numbers follow from beside the checkpoint.
const JOB: [&str; 5] = ["schema_version", "options", "batch_sha256", "seed", "dtype"];

/// The report of the checkpoint before, and the analysis that goes on from there.
pub struct Before {
    /// Its step.
    pub step: u64,
    /// The name of its file.
    pub stem: String,
    /// What its searches found is remembered here.
    pub session: Box<dyn Session>,
}

impl Before {
    /// What a report says whose searches begin there; nothing where none does.
    pub fn says(&self) -> Option<(String, String)> {
        self.session.remembers().then(|| metadata::start(self.step, &self.stem))
    }
}

/// The starts of one analysis of one run.
pub struct Starts {
    folder: PathBuf,
}

impl Starts {
    /// Of the analysis with this metadata; `folder` is for what lies beside its reports.
    pub fn new(folder: &Path, meta: &Meta) -> Self {
        let values = JOB.map(|key| meta.get(&format!("warmlab.{key}")).map_or("", String::as_str));
        let job: String = files::sha256(values.map(str::as_bytes)).chars().take(8).collect();
        Starts { folder: folder.join(format!("starts-{job}")) }
    }

    fn path(&self, step: u64) -> PathBuf {
        self.folder.join(format!("step_{step}.safetensors"))
    }

    /// Keeps what was found at a step; nothing where nothing was.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn write(&self, step: u64, session: &dyn Session) -> Result<()> {
        if session.remembers() { state::write_vectors(&self.path(step), &session.state()) } else { Ok(()) }
    }

    /// What was found at a step whose report is there.
    ///
    /// # Errors
    /// Where it is damaged.
    pub fn read(&self, step: u64) -> Result<Option<BTreeMap<String, Vectors>>> {
        state::read_vectors(&self.path(step))
    }

    /// Removes what was found at other steps than the last.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn keep_only(&self, step: u64) -> Result<()> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Ok(()) };
        for entry in entries {
            let path = entry.at("list", &self.folder)?.path();
            if path != self.path(step) {
                fs::remove_file(&path).at("remove", &path)?;
            }
        }
        Ok(())
    }

    /// Removes everything: the analysis is through.
    pub fn remove(&self) {
        // where that fails a later analysis finds a start it does not need
        let _ = fs::remove_dir_all(&self.folder);
    }
}
