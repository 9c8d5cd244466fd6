//! Optimizers, one per file, on flat host vectors, and the statistics of their updates.

mod adamw;
mod clip;
mod distribution;
mod hyperparameters;
pub mod limits;
mod part;
mod preconditioner;
mod real;
mod representation;
mod rule;
mod sgd;
pub mod stability;
mod statistics;
mod sums;
mod updater;

pub use clip::{Clip, ClipSource, clip_factor};
pub use distribution::{Distribution, distributions};
pub use hyperparameters::Hyperparameters;
pub use limits::Limits;
pub use part::Part;
pub use preconditioner::Preconditioner;
pub use representation::{RepresentationChange, representation_change};
pub use rule::{Made, Rule, State, Update};
pub use statistics::{Motion, UpdateStatistics};
pub use sums::Sums;
pub use updater::{Updater, last_update};

use crate::base::error::{Error, Result};
use crate::base::registry::{Chosen, Entry, Listed};
use crate::base::specification::Specification;

/// An optimizer with its constants.
pub type Optimizer = Chosen<dyn Rule>;

/// Every optimizer that trains.
pub const OPTIMIZERS: &[&Entry<dyn Rule>] = &[&adamw::ENTRY, &sgd::ENTRY];

/// Optimizers whose checkpoints are measured, and that do not train here.
const MEASURED: &[&Entry<dyn Rule>] = &[&adamw::ADAM, &adamw::AMSGRAD];

impl Listed for dyn Rule {
    const FLAG: &'static str = "--optimizer";
    const ENTRIES: &'static [&'static Entry<Self>] = OPTIMIZERS;
}

/// AdamW with these constants: for sums of its moments alone, whatever the optimizer makes of them.
///
/// # Errors
/// Where they are impossible.
pub fn with_moments_of(constants: Hyperparameters) -> Result<Optimizer> {
    let Hyperparameters { beta1, beta2, eps, weight_decay } = constants;
    let told = [("beta1", beta1), ("beta2", beta2), ("eps", eps), ("weight_decay", weight_decay)];
    let told = told.iter().fold(Specification::named(adamw::ENTRY.name), |told, (key, value)| {
        told.with(key, format!("{value:?}"))
    });
    Optimizer::of(&adamw::ENTRY, &told, None)
}

/// The optimizer of a checkpoint, by its name and what it was told; `None` where its updates are not known.
///
/// # Errors
/// Where a constant is missing, or impossible.
pub fn measured(told: &Specification) -> Result<Option<Optimizer>> {
    let name = told.name();
    let Some(entry) = OPTIMIZERS.iter().chain(MEASURED).find(|entry| entry.name == name) else {
        return Ok(None);
    };
    let mut known = Specification::named(name);
    for key in entry.keys {
        // nothing is assumed of what somebody else trained with
        let value =
            told.get(key.name).ok_or_else(|| Error::usage(format!("{name} without `{}`", key.name)))?;
        known = known.with(key.name, value);
    }
    Optimizer::of(entry, &known, None).map(Some)
}
