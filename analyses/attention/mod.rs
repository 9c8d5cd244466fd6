//! Attention: how spread out it is, how large its logits are, and what feeds it.
//!
//! **What.** Of every head the entropy −Σ p ln p of its softmax rows, in nats (`attention/entropy`, the mean over
//! sequences and all rows, the first included), the same over the logarithm of the row's length
//! (`entropy_normalized`, first row skipped), its quantiles over rows, the share of rows that have collapsed, the
//! largest logit, the least entropy that logits of these norms allow, and the spectrum of W_qᵀ W_k, whose
//! concentration precedes collapse. Beside them the log-normaliser of the output logits and the size of the
//! residual stream and of what each layer adds to it.
//!
//! **Formulas.** Row i attends to T = i + 1 keys with logits s = q·k/√d: H = ln Σ e^s − Σ p s ≤ ln T, and
//! H ≥ ln(1 + (T−1) β) + σ √(T(T−1)) β/(1 + (T−1) β) with σ = ‖s‖, β = exp(−σ √(T/(T−1))). At small weights a head
//! starts at ln(T!)/T.
//!
//! **Estimator and error.** Exact on the batch; no randomness. What varies is the batch.
//!
//! **Cost.** One forward pass, whose softmax has the sums in hand; W_qᵀ W_k two eigenproblems of size d per head.
//!
//! **References.** Zhai et al. 2023, arXiv 2303.06296 (entropy collapse and the bound); Wortsman et al. 2023, arXiv
//! 2309.14322 (attention logits and the output log-normaliser); Takase et al. 2023, arXiv 2312.16903 (residual
//! stream against layer outputs).

mod figures;
mod qk;
mod rows;

use clap::Args;
use serde::Serialize;

use crate::base::error::Result;
use crate::base::figure::{Column, Figure};
use crate::base::observer::Observer;
use crate::base::row::Row;
use crate::base::takes::{Takes, real, whole};
use crate::run::Moments;
use crate::snapshot::analysis::{Analysis, Quantity, Session, Training, falls_due};
use crate::snapshot::options::{Choices, Flags, Options};
use crate::snapshot::{Needs, Snapshot};

pub use qk::rows as qk_rows;
pub use rows::rows;

/// Entropy, logits and the residual stream.
pub struct Attention;

const QUANTITIES: &[Quantity] = &[
    Quantity {
        name: "attention/entropy",
        unit: "nats",
        about: "entropy of the softmax, mean over sequences and all rows; without layer and head, over all heads",
    },
    Quantity {
        name: "attention/entropy_normalized",
        unit: "",
        about: "each row's entropy over the logarithm of its length, mean over all rows but the first",
    },
    Quantity {
        name: "attention/entropy_quantile",
        unit: "nats",
        about: "quantile over sequences and rows of the row's entropy; parameter is the level",
    },
    Quantity {
        name: "attention/entropy_bound",
        unit: "nats",
        about: "least entropy that logits of the row's length and norm allow, mean over rows",
    },
    Quantity {
        name: "attention/collapsed_fraction",
        unit: "",
        about: "share of rows but the first whose normalised entropy is below the parameter",
    },
    Quantity {
        name: "attention/max_logit",
        unit: "nats",
        about: "largest logit q·k/√d of a key that is not masked",
    },
    Quantity {
        name: "attention/qk_sigma1", unit: "", about: "largest singular value of W_qᵀ W_k of a head"
    },
    Quantity {
        name: "attention/qk_energy_share",
        unit: "",
        about: "its square over the sum of squares of all singular values",
    },
    Quantity {
        name: "logits/log_z",
        unit: "nats",
        about: "logarithm of the softmax's normaliser at the output, mean over tokens",
    },
    Quantity {
        name: "residual/rms",
        unit: "",
        about: "root mean square, over tokens and channels, of the residual stream that enters a block",
    },
    Quantity {
        name: "residual/attention_rms",
        unit: "",
        about: "root mean square of what a block's attention adds to the stream",
    },
    Quantity {
        name: "residual/mlp_rms",
        unit: "",
        about: "root mean square of what a block's MLP adds to the stream",
    },
];

/// What the analysis can be told.
#[derive(Debug, Clone, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
struct AttentionChoices {
    /// Normalised entropy below which a row of attention has collapsed
    #[arg(long, value_name = "SHARE", default_value_t = 0.05, value_parser = real(Takes::SHARE))]
    collapsed_below: f64,
    /// In training, updates between spectra of W_qᵀ W_k; 0 is off; a checkpoint always has them
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = whole::<u64>(Takes::COUNT))]
    qk_every: u64,
    /// In training, updates between quantiles and bounds of entropies; a checkpoint always has them
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = whole::<u64>(Takes::COUNT))]
    detail_every: u64,
}

impl Choices for AttentionChoices {}

impl Analysis for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn about(&self) -> &'static str {
        "Entropy and logits of every attention head, and the size of the residual stream"
    }

    fn example(&self) -> &'static str {
        "warmlab attention --run runs/first --steps 1,10-200"
    }

    fn quantities(&self) -> &'static [Quantity] {
        QUANTITIES
    }

    fn options(&self) -> Flags {
        Flags::of::<AttentionChoices>()
    }

    fn figures(&self) -> &'static [Figure] {
        figures::FIGURES
    }

    fn columns(&self) -> &'static [Column] {
        figures::COLUMNS
    }

    fn notes(&self) -> &'static str {
        "entropies in nats; rows are query positions of all sequences, row i sees i+1 keys; logits are q.k/sqrt(d) \
         inside the causal mask; rows without layer and head are means over heads, max_logit the largest; n: rows, \
         tokens, or singular values"
    }

    fn moments(&self, _options: &Options) -> Moments {
        Moments::None
    }

    fn tracks(&self) -> bool {
        true
    }

    fn begin(&self, options: &Options, training: Option<&Training>) -> Result<Box<dyn Session>> {
        let AttentionChoices { collapsed_below, qk_every, detail_every } = *options.of();
        let (qk_every, detail_every) = (training.map(|_| qk_every), training.map(|_| detail_every));
        Ok(Box::new(Heads { collapsed_below, qk_every, detail_every }))
    }
}

/// The options, understood.
struct Heads {
    /// Normalised entropy below which a row has collapsed.
    collapsed_below: f64,
    /// In training, updates between spectra of W_qᵀ W_k.
    qk_every: Option<u64>,
    /// In training, updates between quantiles and bounds.
    detail_every: Option<u64>,
}

impl Session for Heads {
    fn needs(&self, _step: u64) -> Needs {
        Needs { statistics: true, ..Needs::default() }
    }

    fn measure(&mut self, snapshot: &Snapshot, observer: &dyn Observer) -> Result<Vec<Row>> {
        observer.check()?;
        let due = |every: Option<u64>, t: u64| every.is_none_or(|every| falls_due(every, t));
        let mut found = Vec::new();
        if snapshot.batch().is_some() {
            let detailed = due(self.detail_every, snapshot.step() + 1);
            found.extend(rows(snapshot.statistics()?, self.collapsed_below, detailed));
        }
        if due(self.qk_every, snapshot.step()) {
            found.extend(qk_rows(snapshot.config(), &snapshot.checkpoint().parameters)?);
        }
        Ok(found)
    }
}
