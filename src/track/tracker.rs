//! The listener that runs analyses.

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;

use super::journal::Journal;
use crate::analysis::{Analysis, Options};
use crate::error::Result;
use crate::step::{Step, Wanted};
use crate::train::{Cadence, Listener};

/// An analysis, when it measures, and what its reports say of themselves.
pub struct Tracking {
    /// The analysis.
    pub analysis: &'static dyn Analysis,
    /// Its options.
    pub options: Options,
    /// When it measures.
    pub cadence: Cadence,
    /// `warmlab.*` keys of its reports.
    pub meta: BTreeMap<String, String>,
}

/// Runs analyses at training steps.
pub struct Tracker {
    tracked: Vec<(Tracking, Journal)>,
}

impl Tracker {
    /// Opens the journals in `folder`/ANALYSIS/ to go on after update `step`; what is beyond it goes.
    ///
    /// # Errors
    /// Where a journal or a report cannot be read or written.
    pub fn open(folder: &Path, step: u64, tracked: Vec<Tracking>) -> Result<Self> {
        let open = |tracking: Tracking| {
            let folder = folder.join(tracking.analysis.name());
            let journal = Journal::open(&folder, step, tracking.meta.clone())?;
            Ok((tracking, journal))
        };
        Ok(Tracker { tracked: tracked.into_iter().map(open).collect::<Result<_>>()? })
    }
}

impl Listener for Tracker {
    fn wants(&mut self, update: u64) -> Result<Option<Wanted>> {
        let mut all: Option<Wanted> = None;
        for (tracking, _) in self.tracked.iter().filter(|(t, _)| t.cadence.includes(update)) {
            let wanted = tracking.analysis.wants(update, &tracking.options)?;
            all = Some(all.map_or(wanted, |all| all.or(wanted)));
        }
        Ok(all)
    }

    fn heard(&mut self, step: &Step) -> Result<()> {
        let update = step.update.step;
        let due = self.tracked.par_iter_mut().filter(|(t, _)| t.cadence.includes(update));
        due.try_for_each(|(tracking, journal)| {
            let rows = tracking.analysis.at_step(step, &tracking.options)?;
            journal.append(update, rows)
        })
    }

    fn saved(&mut self, _step: u64) -> Result<()> {
        self.tracked.iter_mut().try_for_each(|(_, journal)| journal.compact())
    }
}
