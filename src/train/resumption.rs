//! From which checkpoint a run goes on.

use std::path::{Path, PathBuf};

use super::config::TrainConfig;
use crate::base::error::{Error, Result};
use crate::base::values::Values;
use crate::optim::Updater;
use crate::run;

/// The last checkpoint of the run itself: a state kept because of what came after it is no place to go on from, since
/// its tracking left no state there.
pub fn resumable(folder: &Path) -> Result<Option<(u64, PathBuf)>> {
    let found = run::checkpoints(folder)?;
    Ok(found.into_iter().rev().find(|(_, path)| run::kept_before(path).is_none()))
}

/// Parameters and optimizer from a checkpoint of this run.
pub fn restore(path: &Path, config: &TrainConfig, fresh: Updater) -> Result<(Values, Updater, Option<f64>)> {
    let checkpoint = run::open(path, config.dtype)?;
    if checkpoint.config != config.model {
        return Err(Error::file(path, "holds another model than run.toml describes"));
    }
    let Some(optimizer) = checkpoint.optimizer else {
        return Err(Error::file(path, "has no optimizer state, so training cannot go on from it"));
    };
    let (own, wanted) = (optimizer.name(), config.optimizer.entry().name);
    if own != wanted {
        return Err(Error::file(path, format!("was trained with {own}, and run.toml says {wanted}")));
    }
    let updater = fresh.restore(&optimizer.state(), checkpoint.step).map_err(|missing| {
        Error::file(path, format!("has no optimizer state ({missing}), so training cannot go on from it"))
    })?;
    Ok((checkpoint.parameters, updater, checkpoint.loss))
}
