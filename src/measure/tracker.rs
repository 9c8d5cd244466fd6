//! The listener that runs analyses.

use std::path::{Path, PathBuf};

use super::journal::Journal;
use super::metadata::Meta;
use super::{state, training};
use crate::base::error::Result;
use crate::base::files::{self, Claim};
use crate::snapshot::analysis::{Analysis, Options, StepTracker};
use crate::snapshot::step::{Step, Wanted};
use crate::train::{Cadence, Listener, Position, StepLine};

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
    pub meta: Meta,
}

impl Tracking {
    /// Whether what was measured waits for the next update.
    fn waits(&self) -> bool {
        self.memory.as_ref().is_some_and(|memory| memory.waits())
    }
}

/// Runs analyses at training steps.
pub struct Tracker {
    run: String,
    training: Journal,
    /// The folder is this process's while it tracks.
    _claim: Claim,
    tracked: Vec<(Tracking, Journal, PathBuf)>,
    notes: Vec<String>,
}

impl Tracker {
    /// Opens the journals in `folder`/ANALYSIS/ to go on from a checkpoint of the run whose name the folder has; what
    /// is beyond it goes. `training` is what the reports of the loop itself say of themselves.
    ///
    /// # Errors
    /// Where another process tracks there, or a journal or a report cannot be read or written.
    pub fn open(folder: &Path, position: Position, training: Meta, tracked: Vec<Tracking>) -> Result<Self> {
        files::create_folder(folder)?;
        let claim = Claim::take(folder)?;
        let run = folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let step = position.step;
        let mut notes = Vec::new();
        let training = Journal::open(&folder.join(training::NAME), position, training)?;
        let mut open = |mut tracking: Tracking| {
            let name = tracking.analysis.name();
            let folder = folder.join(name);
            let journal = Journal::open(&folder, position, tracking.meta.clone())?;
            let missing = journal.missing((1..=step).filter(|update| tracking.cadence.includes(*update)))?;
            notes.extend(lost(name, &folder, &missing));
            if let Some(memory) = &mut tracking.memory {
                match state::read(&folder, step)? {
                    Some(state) => memory.restore(state)?,
                    None if step > 0 => notes.push(format!(
                        "{name} at step {step} left no state of its tracking: it starts anew, so its numbers \
                         differ within their uncertainties from those of a run that was not cut"
                    )),
                    None => {}
                }
                // a kill may have come between the checkpoint and this
                state::prune(&folder, step)?;
            }
            Ok((tracking, journal, folder))
        };
        let tracked = tracked.into_iter().map(&mut open).collect::<Result<_>>()?;
        Ok(Tracker { run, training, _claim: claim, tracked, notes })
    }

    /// What a reader of the numbers must know of the opening.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// What to say of rows that should be there: a checkpoint follows its rows, so somebody took them away.
fn lost(name: &str, folder: &Path, missing: &[u64]) -> Option<String> {
    let (first, last) = (missing.first()?, missing.last()?);
    Some(format!(
        "{name} has no rows of {} updates between {first} and {last} in `{}`, which the run tracked before: they stay \
         missing unless the run resumes from a checkpoint before them",
        missing.len(),
        folder.display()
    ))
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
            journal.append(update, &rows)?;
        }
        Ok(())
    }

    fn logged(&mut self, line: &StepLine) -> Result<()> {
        self.training.append(line.step, &training::rows(&self.run, line))
    }

    fn sync(&mut self) -> Result<()> {
        self.training.sync()?;
        self.tracked.iter().try_for_each(|(_, journal, _)| journal.sync())
    }

    fn saving(&mut self, step: u64) -> Result<()> {
        self.sync()?;
        for (tracking, _, folder) in &self.tracked {
            if let Some(memory) = &tracking.memory {
                state::write(folder, step, &memory.state())?;
            }
        }
        Ok(())
    }

    fn saved(&mut self, position: Position) -> Result<()> {
        self.training.compact(position.since)?;
        for (tracking, journal, folder) in &mut self.tracked {
            journal.compact(position.since)?;
            if tracking.memory.is_some() {
                state::prune(folder, position.step)?;
            }
        }
        Ok(())
    }
}
