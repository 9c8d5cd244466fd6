//! The listener that runs analyses.

use std::path::{Path, PathBuf};

use super::journal::Journal;
use super::metadata::Meta;
use super::{state, sums, training};
use crate::base::error::Result;
use crate::base::files::{self, Claim};
use crate::base::observer::Silent;
use crate::optim::UpdateStatistics;
use crate::snapshot::analysis::{Analysis, Session};
use crate::snapshot::{Needs, Snapshot};
use crate::train::{Cadence, Listener, Position, StepLine};

/// An analysis at work on a run, when it measures, and what its reports say of themselves.
pub struct Measurement {
    /// The analysis.
    pub analysis: &'static dyn Analysis,
    /// At work.
    pub session: Box<dyn Session>,
    /// The steps it measures.
    pub cadence: Cadence,
    /// `warmlab.*` keys of its reports.
    pub meta: Meta,
}

/// Runs analyses at training steps.
pub struct Tracker {
    run: String,
    training: Journal,
    /// Where the training's own reports lie.
    folder: PathBuf,
    /// The folder is this process's while it tracks.
    _claim: Claim,
    measured: Vec<(Measurement, Journal, PathBuf)>,
    /// The sums of the last update, for the snapshot that it led to.
    last_update: Option<UpdateStatistics>,
    notes: Vec<String>,
}

impl Tracker {
    /// Opens the journals in `folder`/ANALYSIS/ to go on from a checkpoint of the run whose name the folder has; what
    /// is beyond it goes. `training` is what the reports of the loop itself say of themselves.
    ///
    /// # Errors
    /// Where another process tracks there, or a journal or a report cannot be read or written.
    pub fn open(
        folder: &Path,
        position: Position,
        training: Meta,
        measured: Vec<Measurement>,
    ) -> Result<Self> {
        files::create_folder(folder)?;
        let claim = Claim::take(folder)?;
        let run = folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let step = position.step;
        let mut notes = Vec::new();
        let own = folder.join(training::NAME);
        let training = Journal::open(&own, position, training)?;
        let mut last_update = None;
        if !measured.is_empty() {
            last_update = state::read(&own, step)?.and_then(sums::read);
        }
        let mut open = |mut measurement: Measurement| {
            let name = measurement.analysis.name();
            let folder = folder.join(name);
            let journal = Journal::open(&folder, position, measurement.meta.clone())?;
            let missing =
                journal.missing((1..=step).filter(|update| measurement.cadence.includes(*update - 1)))?;
            notes.extend(lost(name, &folder, &missing));
            match state::read(&folder, step)? {
                Some(state) => measurement.session.restore(state)?,
                None if step > 0 && measurement.session.remembers() => notes.push(format!(
                    "{name} at step {step} left no state of its tracking: it starts anew, so its numbers \
                     differ within their uncertainties from those of a run that was not cut"
                )),
                None => {}
            }
            // a kill may have come between the checkpoint and this
            state::prune(&folder, step)?;
            Ok((measurement, journal, folder))
        };
        let measured = measured.into_iter().map(&mut open).collect::<Result<_>>()?;
        Ok(Tracker { run, training, folder: own, _claim: claim, measured, last_update, notes })
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
    fn needs(&self, step: u64) -> Option<Needs> {
        let due = self.measured.iter().filter(|(measurement, ..)| measurement.cadence.includes(step));
        due.map(|(measurement, ..)| measurement.session.needs(step)).reduce(Needs::or)
    }

    fn measure(&mut self, snapshot: Snapshot) -> Result<()> {
        let step = snapshot.step();
        let snapshot = snapshot.with_last_update(self.last_update.clone());
        // the rows of a snapshot are told with the update after it, and those of the last with the one before
        let end = snapshot.batch().is_none();
        let update = if end { step } else { step + 1 };
        for (Measurement { analysis, session, cadence, .. }, journal, _) in &mut self.measured {
            if cadence.includes(step) {
                let rows = session.measure(&snapshot, &Silent)?;
                journal.append(update, end, &snapshot.stamp(analysis.name(), rows))?;
            }
        }
        Ok(())
    }

    fn updated(&mut self, update: UpdateStatistics) {
        self.last_update = Some(update);
    }

    fn logged(&mut self, line: &StepLine) -> Result<()> {
        self.training.append(line.step, false, &training::rows(&self.run, line))
    }

    fn sync(&mut self) -> Result<()> {
        self.training.sync()?;
        self.measured.iter().try_for_each(|(_, journal, _)| journal.sync())
    }

    fn saving(&mut self, step: u64) -> Result<()> {
        self.sync()?;
        if let Some(update) = self.last_update.as_ref().filter(|update| update.step == step) {
            state::write(&self.folder, step, &sums::state(update))?;
        }
        for (Measurement { session, .. }, _, folder) in &self.measured {
            if session.remembers() {
                state::write(folder, step, &session.state())?;
            }
        }
        Ok(())
    }

    fn saved(&mut self, position: Position) -> Result<()> {
        self.training.compact(position.since)?;
        for (_, journal, folder) in &mut self.measured {
            journal.compact(position.since)?;
            state::prune(folder, position.step)?;
        }
        Ok(())
    }
}
