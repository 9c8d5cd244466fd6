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
use crate::optim::Optimizer;
use crate::schedule::Schedule;

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
    /// How updates are made.
    pub optimizer: Optimizer,
    /// Learning rate.
    pub schedule: Schedule,
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
        let (model, optimizer, schedule) = (&self.model, self.optimizer.hashed(), self.schedule.hashed());
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
        if !(self.grad_clip >= 0.0 && self.grad_clip.is_finite()) {
            let clip = self.grad_clip;
            return Err(Error::usage(format!("grad_clip is {clip}; it must be between 0 and inf")));
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

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: &str = r#"
        warmlab = "0"
        data = "synthetic"
        seed = 1
        steps = 30
        batch_size = 2
        grad_accumulation = 1
        grad_clip = 1.0
        dtype = "f32"
        eval_every = 0
        eval_sequences = 1
        model = { arch = "gpt2", n_layer = 1, n_head = 1, n_embd = 4, block_size = 4, vocab_size = 8, bias = false }
        optimizer = { beta1 = 0.9, beta2 = 0.95, eps = 1e-8, weight_decay = 0.1 }
        checkpoints = { early = 1, growth = 1.0, every = 0, at = [] }
        schedule ="#;

    fn with(schedule: &str) -> std::result::Result<TrainConfig, toml::de::Error> {
        toml::from_str(&format!("{SETTINGS} {schedule}"))
    }

    #[test]
    fn a_run_from_before_schedules_had_names_is_the_same_run() {
        let old = with("{ peak = 3e-3, warmup = 2, decay = 20, min_lr = 1e-8 }").expect("read");
        // what version 0.1 hashed
        let model = serde_json::to_string(&old.model).expect("plain data");
        let hashed = format!(
            r#"[["synthetic",1,2,1],1.0,"f32",{model},{},{}]"#,
            r#"{"beta1":0.9,"beta2":0.95,"eps":1e-8,"weight_decay":0.1}"#,
            r#"{"peak":0.003,"warmup":2,"decay":20,"min_lr":1e-8}"#
        );
        assert_eq!(old.sha256(), files::sha256_hex(hashed.as_bytes()));
        let new = with(r#"{ name = "warmup-cosine", peak = 0.003, warmup = 2, steps = 20, min = 1e-8 }"#)
            .expect("read");
        assert_eq!((&new, new.sha256()), (&old, old.sha256()));
        let text = toml::to_string_pretty(&old).expect("plain data");
        assert_eq!(toml::from_str::<TrainConfig>(&text).expect("read"), new);
        assert_ne!(
            with("{ peak = 3e-3, warmup = 2, decay = 20, min_lr = 0.0 }").expect("read").sha256(),
            old.sha256()
        );
    }

    #[test]
    fn a_table_that_is_no_schedule_is_said() {
        for (table, said) in [
            ("{ name = \"cosin\" }", "--schedule `cosin` is not "),
            ("{ peak = 3e-3, warmup = 2, decay = 20, min = 0.0 }", "has no key `min`"),
            ("{ peak = 3e-3, warmup = 2 }", "needs decay"),
            ("{ peak = nan, warmup = 2, decay = 20 }", "is not a number of at least 0"),
            ("{ peak = 1e-3, warmup = -2, decay = 20 }", "is not a whole number"),
            ("{ peak = 1e-3, warmup = 2, decay = 20, min_lr = 1.0 }", "min 1 is above the peak 0.001"),
            ("{ peak = [1e-3] }", "`peak` is no single value"),
            ("3", "map"),
        ] {
            let error = with(table).expect_err(table).message().to_string();
            assert!(error.contains(said), "{table}: {error}");
        }
    }
}
