//! Who listens to training, and when each thing is listened to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::step::{Step, Wanted};

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

    /// A checkpoint of `step` is about to be written: what its resumption needs must be on disk by then.
    ///
    /// # Errors
    /// Where the disk refuses.
    fn saving(&mut self, step: u64) -> Result<()>;

    /// A checkpoint of `step` is complete.
    ///
    /// # Errors
    /// Where the disk refuses.
    fn saved(&mut self, step: u64) -> Result<()>;
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
    fn saving(&mut self, _step: u64) -> Result<()> {
        Ok(())
    }
    fn saved(&mut self, _step: u64) -> Result<()> {
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
