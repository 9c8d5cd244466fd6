//! What a format of runs answers. The formats themselves are in [`formats`](super::formats), one file each.

use std::fs;
use std::path::{Path, PathBuf};

use super::candidate::Candidate;
use super::checkpoint::{Moments, NoOptimizer};
use super::optimizer::OptimizerState;
use super::series::Series;
use crate::architecture::GptConfig;
use crate::base::error::{IoContext, Result};
use crate::base::values::{DType, Values};

/// One kind of training run on disk: how its checkpoints are told, listed and opened, and what its log says.
pub trait Format: Sync {
    /// Its name in reports.
    fn name(&self) -> &'static str;

    /// What it is, a noun phrase.
    fn about(&self) -> &'static str;

    /// Whether it is read; what is not is recognised all the same, to be refused by its name.
    fn is_read(&self) -> bool {
        true
    }

    /// Whether this is a checkpoint of its kind, by what it holds.
    fn recognises(&self, there: &Candidate) -> bool;

    /// Opens a checkpoint that it recognised, without reading its numbers.
    ///
    /// # Errors
    /// Naming the file and what is wrong with it.
    fn open(&self, there: Candidate, given: &Given) -> Result<Box<dyn Opened>>;

    /// What checkpoints are called, N standing for the step: `step_N.pt`. A name without N is that of the only one of a
    /// folder.
    fn names(&self) -> &'static [&'static str] {
        &[]
    }

    /// The step of one of its checkpoints, from its name or, where all have the same, from what is in it.
    fn step(&self, checkpoint: &Path) -> Option<u64> {
        step_of(checkpoint, self.names())
    }

    /// The only checkpoint of a folder.
    fn only(&self, folder: &Path) -> Option<PathBuf> {
        let names = self.names().iter().filter(|name| !name.contains('N'));
        names.map(|name| folder.join(name)).find(|path| path.is_file())
    }

    /// The checkpoints of a run with their steps, in any order.
    ///
    /// # Errors
    /// Where a folder cannot be listed.
    fn steps(&self, run: &Path) -> Result<Vec<(u64, PathBuf)>> {
        let mut found = Vec::new();
        for folder in [run.join("checkpoints"), run.into()].into_iter().filter(|folder| folder.is_dir()) {
            for entry in fs::read_dir(&folder).at("list", &folder)? {
                let path = entry.at("list", &folder)?.path();
                found.extend(self.step(&path).map(|step| (step, path)));
            }
        }
        Ok(found)
    }

    /// Whether a folder is a run of its kind that may have no checkpoint yet.
    fn is_run(&self, _folder: &Path) -> bool {
        false
    }

    /// What the log of a run, or a log alone, has of each step; `None` where there is none of this kind.
    fn series(&self, _path: &Path) -> Option<Result<Vec<Series>>> {
        None
    }
}

/// What the user says of a checkpoint that does not say it itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Given {
    /// Heads of each attention layer: no tensor's shape tells.
    pub n_head: Option<usize>,
}

/// A checkpoint whose description was read. Its numbers are read when they are asked for, weights and optimizer
/// apart: what is wrong with the optimizer stops only what needs it.
pub trait Opened: Sync {
    /// What it says of itself.
    fn header(&self) -> &Header;

    /// All parameters, flat, in the order of [`GptConfig::parameters`].
    ///
    /// # Errors
    /// Naming the first tensor that is missing, misshapen, of another type, or not finite.
    fn parameters(&self, dtype: DType) -> Result<Values>;

    /// The optimizer's hyperparameters, and of its moments those that are wanted; the others are verified, one tensor
    /// at a time. What had to be assumed is added to the notes.
    ///
    /// # Errors
    /// Why there is none to use.
    fn optimizer(
        &self,
        wanted: Moments,
        dtype: DType,
        notes: &mut Vec<String>,
    ) -> std::result::Result<OptimizerState, NoOptimizer>;
}

/// What a checkpoint says beside its numbers.
#[derive(Debug, Clone)]
pub struct Header {
    /// Its file or folder.
    pub path: PathBuf,
    /// The files whose bytes are the checkpoint; those of a folder that may be missing too.
    pub files: Vec<PathBuf>,
    /// Updates applied, as the run counts them.
    pub step: u64,
    /// The architecture.
    pub config: GptConfig,
    /// Training loss, where it is known.
    pub loss: Option<f64>,
    /// The seed that batches are drawn from, for runs of our own.
    pub seed: Option<u64>,
    /// Norm of the gradient of the next update before clipping, where the run's log has it.
    pub next_grad_norm: Option<f64>,
    /// What had to be assumed.
    pub notes: Vec<String>,
}

/// The step in the name of a file or folder, where one of `names` fits it.
pub fn step_of(path: &Path, names: &[&str]) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    names.iter().find_map(|pattern| {
        let (before, after) = pattern.split_once('N')?;
        name.strip_prefix(before)?.strip_suffix(after)?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_stands_where_the_pattern_has_n() {
        let step = |name: &str| step_of(Path::new(name), &["step_N", "model_N.pt"]);
        assert_eq!((step("a/step_500"), step("log/model_05000.pt")), (Some(500), Some(5000)));
        assert!(
            ["step_5.pt", "step_", "step_-1", "model_5", "xstep_5"].iter().all(|name| step(name).is_none())
        );
    }
}
