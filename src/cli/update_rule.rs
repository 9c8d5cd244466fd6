//! The flags that say how updates are made.

use clap::Args;

use super::flags::real;
use crate::base::error::Result;
use crate::base::specification::Specification;
use crate::base::takes::Takes;
use crate::optim::Optimizer;
use crate::train::TrainConfig;

/// `--optimizer`, or what is short for the usual one.
#[derive(Args)]
pub struct UpdateRule {
    /// Optimizer, NAME or NAME:KEY=VALUE,...; `warmlab list` describes them. The next four flags are short for adamw
    #[arg(
        long,
        value_name = "SPEC",
        conflicts_with_all = ["beta1", "beta2", "eps", "weight_decay"],
        help_heading = "Optimizer"
    )]
    optimizer: Option<String>,
    /// Decay of Adam's first moment
    #[arg(long, value_parser = real(Takes::BELOW_ONE), default_value_t = 0.9, help_heading = "Optimizer")]
    beta1: f64,
    /// Decay of Adam's second moment
    #[arg(long, value_parser = real(Takes::BELOW_ONE), default_value_t = 0.95, help_heading = "Optimizer")]
    beta2: f64,
    /// Added to the root of Adam's second moment
    #[arg(long, value_parser = real(Takes::BELOW_ONE), default_value_t = 1e-8, help_heading = "Optimizer")]
    eps: f64,
    /// Decoupled decay of matrices
    #[arg(long, value_parser = real(Takes::NOT_NEGATIVE), default_value_t = 0.1, help_heading = "Optimizer")]
    weight_decay: f64,
}

impl UpdateRule {
    /// The optimizer of a run.
    pub fn asked(&self) -> Result<Optimizer> {
        match &self.optimizer {
            Some(text) => Optimizer::parse(text, None),
            None => Optimizer::usual(self.keys().map(|(key, value)| (key, Some(value.to_string()))), 0),
        }
    }

    /// The optimizer of a run that goes on, with what flags that were given say instead.
    pub fn over(&self, run: &TrainConfig, given: impl Fn(&str) -> bool) -> Result<Optimizer> {
        let asked = match &self.optimizer {
            Some(text) => Specification::parse("--optimizer", text)?,
            None => {
                let own = Specification::named(run.optimizer.entry().name);
                let told = self.keys().into_iter().filter(|(key, _)| given(key));
                told.fold(own, |asked, (key, value)| asked.with(key, value))
            }
        };
        Optimizer::new(&asked.over(run.optimizer.specification()), None)
    }

    /// Clap's names of the flags are the keys they are short for.
    fn keys(&self) -> [(&'static str, f64); 4] {
        [("beta1", self.beta1), ("beta2", self.beta2), ("eps", self.eps), ("weight_decay", self.weight_decay)]
    }
}
