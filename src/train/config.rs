//! run.toml: everything that determines a run.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::listener::Tracked;
use super::saves::Saves;
use crate::architecture::GptConfig;
use crate::base::error::{Error, IoContext, Result};
use crate::base::files;
use crate::base::values::DType;
use crate::data::sampling::MOST_TOKENS;
use crate::optim::Hyperparameters;
use crate::schedule::WarmupCosine;

/// A run's settings; two runs with equal settings on one machine are equal bit for bit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainConfig {
    /// The version that wrote the file.
    pub warmlab: String,
    /// What `--data` named.
    pub data: String,
    /// Of initialisation and batches.
    pub seed: u64,
    /// Updates in all.
    pub steps: u64,
    /// Sequences per micro-batch.
    pub batch_size: usize,
    /// Micro-batches per update.
    pub grad_accumulation: usize,
    /// Gradient norm above which it is scaled down; 0 is off.
    pub grad_clip: f64,
    /// Precision.
    pub dtype: DType,
    /// Updates between evaluations; 0 is off.
    pub eval_every: u64,
    /// Sequences an evaluation reads.
    pub eval_sequences: usize,
    /// Architecture.
    pub model: GptConfig,
    /// AdamW's constants.
    pub optimizer: Hyperparameters,
    /// Learning rate.
    pub schedule: WarmupCosine,
    /// When checkpoints are saved.
    pub checkpoints: Saves,
    /// Where the reports of training steps go.
    #[serde(default = "reports")]
    pub out: PathBuf,
    /// What is measured at training steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub track: Vec<Tracked>,
}

fn reports() -> PathBuf {
    "reports".into()
}

impl TrainConfig {
    /// A hash of everything that the numbers of an update follow from: a run that is extended or saved more often is
    /// still the same.
    pub fn sha256(&self) -> String {
        let (model, optimizer, schedule) = (&self.model, &self.optimizer, &self.schedule);
        let batches = (&self.data, self.seed, self.batch_size, self.grad_accumulation);
        let all = (batches, self.grad_clip, self.dtype, model, optimizer, schedule);
        files::sha256_hex(&serde_json::to_vec(&all).expect("settings are plain data"))
    }

    /// Checks that the numbers make a run.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the offending setting.
    pub fn validate(&self) -> Result<()> {
        self.model.validate()?;
        let rates = [
            ("learning rate", self.schedule.peak, 0.0, f64::INFINITY),
            ("min_lr", self.schedule.min_lr, 0.0, self.schedule.peak),
            ("beta1", self.optimizer.beta1, 0.0, 1.0),
            ("beta2", self.optimizer.beta2, 0.0, 1.0),
            ("eps", self.optimizer.eps, 0.0, 1.0),
            ("weight_decay", self.optimizer.weight_decay, 0.0, f64::INFINITY),
            ("grad_clip", self.grad_clip, 0.0, f64::INFINITY),
        ];
        for (name, value, low, high) in rates {
            let inside = (low..=high).contains(&value) && value.is_finite() && !(high == 1.0 && value == 1.0);
            if !inside {
                return Err(Error::usage(format!("{name} is {value}; it must be between {low} and {high}")));
            }
        }
        let counts = [
            ("batch_size", self.batch_size),
            ("grad_accumulation", self.grad_accumulation),
            ("eval_sequences", self.eval_sequences),
        ];
        if let Some((name, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(Error::usage(format!("{name} is 0; it must be at least 1")));
        }
        let tokens =
            self.batch_size.saturating_mul(self.grad_accumulation).saturating_mul(self.model.block_size);
        if tokens > MOST_TOKENS {
            return Err(Error::usage_hint(
                format!("an update of {tokens} tokens is larger than any, {MOST_TOKENS} at most"),
                "use a smaller --batch-size, --grad-accumulation or --block-size",
            ));
        }
        if self.checkpoints.are_too_many(self.steps) {
            return Err(Error::usage_hint(
                format!("a run of {} updates would save more than a million checkpoints", self.steps),
                "save fewer: --save-every, --save-growth, --save-early",
            ));
        }
        Ok(())
    }

    /// Reads run.toml.
    ///
    /// # Errors
    /// [`Error::File`] where it is not one.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).at("read", path)?;
        toml::from_str(&text)
            .map_err(|e| Error::file(path, format!("is no run description: {}", e.message())))
    }

    /// Writes run.toml.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = toml::to_string_pretty(self).expect("settings are plain data");
        files::write_bytes(path, text.as_bytes())
    }
}
