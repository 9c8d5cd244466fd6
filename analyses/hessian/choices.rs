//! What the analysis can be told.

use std::fmt;

use clap::Args;
use serde::{Serialize, Serializer};

use super::kind::{Kind, OPERATORS};
use crate::base::takes::{Refusal, Takes, real, whole, word};
use crate::snapshot::options::Choices;

#[derive(Debug, Clone, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct HessianChoices {
    /// How many of the largest eigenvalues
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = whole::<usize>(Takes::COUNT))]
    pub top: usize,
    /// How many of the smallest; auto is 1 for hessian and 0 for the other operators
    #[arg(long, value_name = "K", default_value_t = Bottom(None), value_parser = Bottom::parse)]
    pub bottom: Bottom,
    /// hessian, ggn, preconditioned or preconditioned-next; may be repeated
    #[arg(long, value_name = "NAME", default_value = "hessian", value_parser = word::<Kind>(OPERATORS))]
    pub operator: Vec<Kind>,
    /// all, blocks (one per tensor), layers, heads, or a regular expression over parameter names
    #[arg(long, value_name = "SCOPE", default_value = "all")]
    pub scope: String,
    /// Residual, relative to its eigenvalue, at which a pair is converged
    #[arg(long, value_name = "TOL", default_value = "1e-3", value_parser = real(Takes::POSITIVE))]
    pub tol: f64,
    /// Products to spend per operator and scope
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = whole::<usize>(Takes::POSITIVE_COUNT))]
    pub max_matvecs: usize,
    /// Build the matrix and report its whole spectrum (small models and scopes)
    #[arg(long)]
    pub exact: bool,
    /// Skip the check that no eigenvalue was missed
    #[arg(long)]
    pub no_completeness: bool,
    /// Estimate the spectral density by stochastic Lanczos quadrature
    #[arg(long)]
    pub density: bool,
    /// Estimate trace, Frobenius norm and diagonal
    #[arg(long)]
    pub trace: bool,
    /// Random probes of --density and --trace
    #[arg(long, value_name = "K", default_value_t = 10, value_parser = whole::<usize>(Takes::SEVERAL))]
    pub probes: usize,
    /// Lanczos steps of each probe of --density
    #[arg(long, value_name = "M", default_value_t = 80, value_parser = whole::<usize>(Takes::SEVERAL))]
    pub num_matvecs: usize,
    /// In training, the relative residual at which the followed eigenvalue is converged
    #[arg(long, value_name = "TOL", default_value = "1e-2", value_parser = real(Takes::POSITIVE))]
    pub track_tol: f64,
    /// In training, products to spend per operator and step
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = whole::<usize>(Takes::SEVERAL))]
    pub track_max_matvecs: usize,
    /// In training, random probes for condition/rms, a product each; 0 leaves it out
    #[arg(long, value_name = "K", default_value_t = 2, value_parser = whole::<usize>(Takes::NONE_OR_SEVERAL))]
    pub track_probes: usize,
    /// In training, Ritz vectors kept beside the followed one
    #[arg(long, value_name = "K", default_value_t = 3, value_parser = whole::<usize>(Takes::COUNT))]
    pub track_guards: usize,
}

impl Choices for HessianChoices {
    fn in_order(&mut self) {
        self.operator.sort_by_key(|kind| kind.name());
        self.operator.dedup();
    }
}

/// How many of the smallest eigenvalues; `None` where it depends on the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bottom(pub Option<usize>);

/// Where it is not given.
const AUTO: &str = "auto";

impl Bottom {
    fn parse(text: &str) -> Result<Self, Refusal> {
        if text == AUTO {
            Ok(Bottom(None))
        } else {
            whole(Takes::COUNT)(text).map(|count| Bottom(Some(count)))
        }
    }
}

impl fmt::Display for Bottom {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.0 {
            None => f.write_str(AUTO),
            Some(count) => write!(f, "{count}"),
        }
    }
}

impl Serialize for Bottom {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
