//! Who listens to training, and when each thing is listened to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::log::StepLine;
use crate::base::error::Result;
use crate::snapshot::step::{Step, Wanted};

/// Hears of every update it wants to hear of, without the loop knowing what becomes of it.
pub trait Listener {
    /// What is needed of `update`; `None` leaves the loop its plain pass.
    ///
    /// # Errors
    /// Where an option is impossible.
    fn wants(&mut self, update: u64) -> Result<Option<Wanted>>;

    /// The update that was wanted, just applied.
    ///
    /// # Errors
    /// Where a measurement fails, or the disk refuses.
    fn heard(&mut self, step: &Step) -> Result<()>;

    /// What the log says of the update just applied.
    ///
    /// # Errors
    /// Where the disk refuses.
    fn logged(&mut self, line: &StepLine) -> Result<()>;

    /// Everything heard so far must be on disk before this returns.
    ///
    /// # Errors
    /// Where the disk refuses.
    fn sync(&mut self) -> Result<()>;

    /// A checkpoint of `step` is about to be written: everything heard so far, and what its resumption needs, must be
    /// on disk by then.
    ///
    /// # Errors
    /// Where the disk refuses.
    fn saving(&mut self, step: u64) -> Result<()>;

    /// A checkpoint is complete, or training ends without one.
    ///
    /// # Errors
    /// Where the disk refuses.
    fn saved(&mut self, position: Position) -> Result<()>;
}

/// Where a run stands at a checkpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    /// Updates applied.
    pub step: u64,
    /// The last step before that which the run's settings save, or 0: a run that was cut in between and one that was
    /// not have the same files if they all reach from one such step to the next.
    pub since: u64,
}

/// Hears nothing.
pub struct Deaf;

impl Listener for Deaf {
    fn wants(&mut self, _update: u64) -> Result<Option<Wanted>> {
        Ok(None)
    }
    fn heard(&mut self, _step: &Step) -> Result<()> {
        Ok(())
    }
    fn logged(&mut self, _line: &StepLine) -> Result<()> {
        Ok(())
    }
    fn sync(&mut self) -> Result<()> {
        Ok(())
    }
    fn saving(&mut self, _step: u64) -> Result<()> {
        Ok(())
    }
    fn saved(&mut self, _position: Position) -> Result<()> {
        Ok(())
    }
}

/// At which updates: each up to `early`, each multiple of `every`, and those of `at`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cadence {
    /// Last update of the dense window.
    pub early: u64,
    /// Period; 0 is off.
    pub every: u64,
    /// Further updates.
    pub at: Vec<u64>,
}

impl Cadence {
    /// Whether `update` is one of them.
    pub fn includes(&self, update: u64) -> bool {
        let periodic = self.every > 0 && update.is_multiple_of(self.every);
        update <= self.early || periodic || self.at.contains(&update)
    }
}

/// An analysis that a run is tracked with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tracked {
    /// Its name.
    pub analysis: String,
    /// When.
    pub cadence: Cadence,
    /// Its options, where they are not the defaults.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_join() {
        let cadence = Cadence { early: 3, every: 10, at: vec![17] };
        let chosen: Vec<u64> = (1..=25).filter(|update| cadence.includes(*update)).collect();
        assert_eq!(chosen, [1, 2, 3, 10, 17, 20]);
    }
}
