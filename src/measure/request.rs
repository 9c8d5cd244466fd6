//! What is asked of the measuring room, typed once: which checkpoints, on which tokens, computed how, written where.

use std::path::PathBuf;

use crate::base::device::Device;
use crate::base::resources;
use crate::base::settings::Settings;
use crate::base::steps::Steps;
use crate::base::values::DType;
use crate::run::Given;

/// Everything but the analysis.
#[derive(Debug, Clone)]
pub struct Request {
    /// Which checkpoints.
    pub source: Source,
    /// What to measure them on.
    pub tokens: Tokens,
    /// How to compute.
    pub computing: Computing,
    /// Folder of all reports.
    pub out: PathBuf,
    /// Whether checkpoints whose report is there already (same checkpoint, batches and options) are left out.
    pub resume: bool,
}

/// Which tokens.
#[derive(Debug, Clone)]
pub enum Tokens {
    /// A batch that was saved.
    Saved(PathBuf),
    /// Sequences of a corpus.
    Sequences(Sequences),
}

/// Sequences of a corpus; what is `None` is each checkpoint's own.
#[derive(Debug, Clone)]
pub struct Sequences {
    /// A token file, a folder of token files or a dataset; without it what the run was trained on.
    pub data: Option<String>,
    /// Folders that may hold a dataset.
    pub datasets: Vec<PathBuf>,
    /// Sequences per batch.
    pub batch_size: usize,
    /// Tokens per sequence.
    pub block_size: Option<usize>,
    /// Whether they begin at random offsets, in place of one after the other from the first token.
    pub random: bool,
    /// Batches.
    pub count: u64,
}

/// Which checkpoints; `runs` is where runs lie that are called by their names.
#[derive(Debug, Clone)]
pub enum Source {
    /// One.
    Checkpoint {
        /// A path, or `step_N` of the run, or without one of the newest run that has it.
        named: String,
        /// The run, by folder or by name.
        run: Option<PathBuf>,
        /// Folder of runs.
        runs: PathBuf,
    },
    /// Those of a run.
    Run {
        /// The run, by folder or by name.
        named: PathBuf,
        /// These alone.
        steps: Option<Steps>,
        /// Folder of runs.
        runs: PathBuf,
    },
}

/// How to compute; what is `None` was not asked for.
#[derive(Debug, Clone)]
pub struct Computing {
    /// Of everything random.
    pub seed: u64,
    /// Precision of the model and of all vectors.
    pub dtype: DType,
    /// Where tensors live.
    pub device: Device,
    /// Sequences per micro-batch; without it the plan chooses.
    pub micro_batch: Option<usize>,
    /// Bytes that may be used; without it three quarters of what is free.
    pub memory: Option<u64>,
    /// Threads; those of the process are set already.
    pub threads: Option<usize>,
    /// What checkpoints are known to be that do not say it themselves.
    pub given: Given,
}

impl Computing {
    /// With what was not asked for as it is now.
    pub fn settings(&self) -> Settings {
        Settings {
            dtype: self.dtype,
            device: self.device,
            micro_batch: self.micro_batch,
            memory: self.memory.unwrap_or_else(resources::default_memory),
            seed: self.seed,
        }
    }

    /// What was asked for that changes numbers and has no key of its own in the metadata, in one order.
    pub(super) fn options(&self) -> impl Iterator<Item = String> {
        let given = [
            ("memory", self.memory.map(|bytes| bytes.to_string())),
            ("micro-batch", self.micro_batch.map(|size| size.to_string())),
            ("n-head", self.given.n_head.map(|heads| heads.to_string())),
            ("seed", Some(self.seed.to_string())),
            ("threads", self.threads.map(|threads| threads.to_string())),
        ];
        given.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value?)))
    }
}
