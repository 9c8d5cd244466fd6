//! The listener that runs analyses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::journal::Journal;
use super::state;
use crate::analysis::{Analysis, Options, StepTracker};
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
    /// What it remembers, where it does.
    pub memory: Option<Box<dyn StepTracker>>,
    /// `warmlab.*` keys of its reports.
    pub meta: BTreeMap<String, String>,
}

impl Tracking {
    /// Whether what was measured waits for the next update.
    fn waits(&self) -> bool {
        self.memory.as_ref().is_some_and(|memory| memory.waits())
    }
}

/// Runs analyses at training steps.
pub struct Tracker {
    tracked: Vec<(Tracking, Journal, PathBuf)>,
    notes: Vec<String>,
}

impl Tracker {
    /// Opens the journals in `folder`/ANALYSIS/ to go on after update `step`; what is beyond it goes.
    ///
    /// # Errors
    /// Where a journal or a report cannot be read or written.
    pub fn open(folder: &Path, step: u64, tracked: Vec<Tracking>) -> Result<Self> {
        let mut notes = Vec::new();
        let mut open = |mut tracking: Tracking| {
            let folder = folder.join(tracking.analysis.name());
            let journal = Journal::open(&folder, step, tracking.meta.clone())?;
            if let Some(memory) = &mut tracking.memory {
                match state::read(&folder, step)? {
                    Some(state) => memory.restore(state)?,
                    None if step > 0 => notes.push(format!(
                        "{} at step {step} left no state of its tracking: it starts anew, so its numbers \
                         differ within their uncertainties from those of a run that was not cut",
                        tracking.analysis.name()
                    )),
                    None => {}
                }
            }
            Ok((tracking, journal, folder))
        };
        let tracked = tracked.into_iter().map(&mut open).collect::<Result<_>>()?;
        Ok(Tracker { tracked, notes })
    }

    /// What a reader of the numbers must know of the opening.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

impl Listener for Tracker {
    fn wants(&mut self, update: u64) -> Result<Option<Wanted>> {
        let mut all: Option<Wanted> = None;
        for (tracking, ..) in &self.tracked {
            let wanted = if tracking.cadence.includes(update) {
                tracking.analysis.wants(update, &tracking.options)?
            } else if tracking.waits() {
                Wanted::default()
            } else {
                continue;
            };
            all = Some(all.map_or(wanted, |all| all.or(wanted)));
        }
        Ok(all)
    }

    fn heard(&mut self, step: &Step) -> Result<()> {
        let update = step.update.step;
        for (tracking, journal, _) in &mut self.tracked {
            let measured = tracking.cadence.includes(update);
            let rows = match &mut tracking.memory {
                Some(memory) if measured => memory.step(step)?,
                Some(memory) if memory.waits() => memory.settle(step)?,
                None if measured => tracking.analysis.at_step(step, &tracking.options)?,
                _ => continue,
            };
            journal.append(update, rows)?;
        }
        Ok(())
    }

    fn saving(&mut self, step: u64) -> Result<()> {
        for (tracking, _, folder) in &self.tracked {
            if let Some(memory) = &tracking.memory {
                state::write(folder, step, &memory.state())?;
            }
        }
        Ok(())
    }

    fn saved(&mut self, _step: u64) -> Result<()> {
        self.tracked.iter_mut().try_for_each(|(_, journal, _)| journal.compact())
    }
}
