//! Who measures training, and when.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::log::StepLine;
use crate::base::error::Result;
use crate::optim::UpdateStatistics;
use crate::snapshot::{Needs, Snapshot};

/// Measures a run in training, without the loop knowing what becomes of it.
pub trait Listener {
    /// What is needed of the pass at `step`; `None` where the snapshot of that step is not measured, and the loop is left
    /// its plain pass.
    fn needs(&self, step: u64) -> Option<Needs>;

    /// The snapshot of a step, complete: the update after it is made, unless the run ends here.
    ///
    /// # Errors
    /// Where a measurement fails, or the disk refuses.
    fn measure(&mut self, snapshot: Snapshot) -> Result<()>;

    /// The sums that an update left, for the snapshot of the step it led to.
    fn updated(&mut self, update: UpdateStatistics);

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

/// At which steps: each up to `early`, each multiple of `every`, and those of `at`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cadence {
    /// Last step of the dense window; 0 is none.
    pub early: u64,
    /// Period; 0 is off.
    pub every: u64,
    /// Further steps.
    pub at: Vec<u64>,
}

impl Cadence {
    /// Whether `step` is one of them.
    pub fn includes(&self, step: u64) -> bool {
        let periodic = self.every > 0 && step.is_multiple_of(self.every);
        let dense = self.early > 0 && step <= self.early;
        dense || periodic || self.at.contains(&step)
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
        let chosen: Vec<u64> = (0..=25).filter(|step| cadence.includes(*step)).collect();
        assert_eq!(chosen, [0, 1, 2, 3, 10, 17, 20]);
        let few = Cadence { early: 0, every: 0, at: vec![5] };
        assert!(few.includes(5) && !few.includes(0));
    }
}
