//! The flags that say the learning rate of every update.

use clap::Args;

use super::flags::{real, whole};
use crate::base::error::Result;
use crate::base::specification::Specification;
use crate::base::takes::Takes;
use crate::schedule::Schedule;
use crate::train::TrainConfig;

/// `--schedule`, or what is short for the usual one.
#[derive(Args)]
pub struct Rates {
    /// Learning rates, NAME or NAME:KEY=VALUE,...; `warmlab list` describes them. The next four flags are
    /// short for warmup-cosine
    #[arg(
        long,
        value_name = "SPEC",
        conflicts_with_all = ["learning_rate", "warmup", "lr_decay_steps", "min_lr"],
        help_heading = "Optimizer"
    )]
    schedule: Option<String>,
    /// Largest learning rate
    #[arg(long, value_parser = real(Takes::NOT_NEGATIVE), value_name = "LR", default_value_t = 1e-3, help_heading = "Optimizer")]
    learning_rate: f64,
    /// Updates of linear warmup
    #[arg(long, value_parser = whole::<u64>(Takes::COUNT), value_name = "N", default_value_t = 100, help_heading = "Optimizer")]
    warmup: u64,
    /// Update at which the cosine reaches its floor [default: --steps]
    #[arg(long, value_parser = whole::<u64>(Takes::COUNT), value_name = "N", help_heading = "Optimizer")]
    lr_decay_steps: Option<u64>,
    /// The cosine's floor [default: a tenth of --learning-rate]
    #[arg(long, value_parser = real(Takes::NOT_NEGATIVE), value_name = "LR", help_heading = "Optimizer")]
    min_lr: Option<f64>,
}

impl Rates {
    /// The schedule of a run of so many updates.
    pub fn asked(&self, updates: u64) -> Result<Schedule> {
        match &self.schedule {
            Some(text) => Schedule::parse(text, Some(updates)),
            None => Schedule::usual(self.keys().into_iter().map(|(_, key, value)| (key, value)), updates),
        }
    }

    /// The schedule of a run that goes on, with what flags that were given say instead.
    pub fn over(&self, run: &TrainConfig, given: impl Fn(&str) -> bool) -> Result<Schedule> {
        let asked = match &self.schedule {
            Some(text) => Specification::parse("--schedule", text)?,
            None => {
                let own = Specification::named(run.schedule.entry().name);
                let told = self.keys().into_iter().filter(|(flag, ..)| given(flag));
                told.fold(own, |asked, (_, key, value)| asked.with(key, value.unwrap_or_default()))
            }
        };
        Schedule::new(&asked.over(run.schedule.specification()), Some(run.steps))
    }

    /// Clap's name of a flag, the key it is short for, and its value.
    fn keys(&self) -> [(&'static str, &'static str, Option<String>); 4] {
        [
            ("learning_rate", "peak", Some(self.learning_rate.to_string())),
            ("warmup", "warmup", Some(self.warmup.to_string())),
            ("lr_decay_steps", "steps", self.lr_decay_steps.map(|steps| steps.to_string())),
            ("min_lr", "min", self.min_lr.map(|rate| rate.to_string())),
        ]
    }
}
