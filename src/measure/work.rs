//! One analysis on one checkpoint after another: measured, or found to be measured already.

use std::sync::Arc;
use std::time::Instant;

use super::batches::{Batches, Chosen};
use super::request::Request;
use super::several::OneOf;
use super::starts::{Before, Starts};
use super::targets::{Target, targets};
use super::{consistency, metadata, repeat};
use crate::base::error::{Error, Result};
use crate::base::observer::Observer;
use crate::base::row::Row;
use crate::base::settings::Settings;
use crate::data;
use crate::report::{self, Report, Shelf};
use crate::run::{self, Checkpoint};
use crate::snapshot::Snapshot;
use crate::snapshot::analysis::{Analysis, Session};
use crate::snapshot::options::Options;

/// What became of a request.
#[derive(Debug, Default)]
pub struct Measured {
    /// The reports of all checkpoints together.
    pub report: Report,
    /// Checkpoints of several that could not be measured.
    pub failed: usize,
    /// Whether the user stopped it; what was finished by then is there.
    pub stopped: bool,
}

/// Measures every checkpoint of a request and writes a report of each. One of several that cannot be measured is
/// warned of, and does not take the others down.
///
/// # Errors
/// Where there is no checkpoint, none of them can be measured, or the user stops before the first is.
pub fn measure(
    analysis: &dyn Analysis,
    options: &Options,
    request: &Request,
    observer: &dyn Observer,
) -> Result<Measured> {
    let targets = targets(&request.source, observer)?;
    let run = targets.first().and_then(Target::run_folder);
    let doubt = run.map_or(Ok(None), |run| consistency::contradiction(&run, &request.out))?;
    doubt.iter().for_each(|doubt| observer.warn(doubt));
    let several = targets.len() > 1;
    let batches = Batches::new(&request.tokens, request.computing.seed);
    let mut work = Work { analysis, options, request, several, doubt, batches, before: None, starts: None };
    let mut measured = Measured::default();
    for (i, target) in targets.iter().enumerate() {
        let done = several.then_some((i as u64, targets.len() as u64));
        if let Some((done, all)) = done {
            observer.progress(done, all, "checkpoints");
        }
        let own = OneOf { all: observer, done, again: i > 0 };
        match observer.check().and_then(|()| work.checkpoint(target, own)) {
            Ok(report) => measured.report.join(report),
            Err(Error::Interrupted) if i > measured.failed => {
                measured.stopped = true;
                return Ok(measured);
            }
            Err(error) if several && !matches!(error, Error::Interrupted) => {
                observer.warn(&format!("{}: {error}", target.path.display()));
                measured.failed += 1;
                if measured.failed == targets.len() {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
    }
    work.starts.iter().for_each(Starts::remove);
    Ok(measured)
}

/// What is done to every checkpoint, and what one leaves for the next.
struct Work<'a> {
    analysis: &'a dyn Analysis,
    options: &'a Options,
    request: &'a Request,
    /// Whether it is done to several.
    several: bool,
    /// What contradicts in the run.
    doubt: Option<String>,
    batches: Batches<'a>,
    /// The report before.
    before: Option<Before>,
    /// Where what its searches found is kept.
    starts: Option<Starts>,
}

impl Work<'_> {
    /// Runs the analysis on one checkpoint and writes its report.
    ///
    /// # Errors
    /// Where the checkpoint or the batch cannot be read, the computation fails, or the disk refuses.
    fn checkpoint(&mut self, target: &Target, observer: OneOf) -> Result<Report> {
        let start = Instant::now();
        let before = self.before.take();
        let Work { analysis, options, request, .. } = *self;
        let say = |text: &str| observer.all.note(text);
        let moments = analysis.moments(options);
        let mut checkpoint =
            run::open_for(&target.path, request.computing.dtype, moments, &request.computing.given)?;
        checkpoint.notes.iter().for_each(|note| say(note));
        if let Some(run) = &target.run {
            checkpoint.run = run::folder_name(run);
        }
        let chosen = self.batches.of(&checkpoint, target)?;
        let (run, step) = (checkpoint.run.clone(), checkpoint.step);
        say(&format!("{} of `{run}`, step {step}, on {}", analysis.name(), chosen.words));
        let shelf = Shelf::new(&request.out, &run, analysis.name());
        let mut meta = metadata::of_checkpoint(analysis, options, &request.computing, &checkpoint, chosen);
        meta.extend(self.doubt.iter().map(|doubt| ("warmlab.contradiction".into(), doubt.clone())));
        let starts = self.several.then(|| Starts::new(&shelf.commands(), &meta));
        if request.resume
            && let Some((stem, report)) = {
                let start = before.as_ref().and_then(Before::says);
                shelf.finished(step, &meta.clone().into_iter().chain(start).collect())
            }
        {
            say(&format!("{} holds them already", shelf.report(&stem).display()));
            let mut session = analysis.begin(options, None)?;
            let found = starts.as_ref().map_or(Ok(None), |starts| starts.read(step))?;
            found.map_or(Ok(()), |found| session.restore(found))?;
            self.before = Some(Before { step, stem, session });
            self.starts = starts;
            return Ok(report);
        }
        meta.extend(before.as_ref().and_then(Before::says));
        let stem = report::stem(step, &meta);
        let mut session =
            before.map_or_else(|| analysis.begin(options, None), |before| Ok(before.session))?;
        let again = || analysis.begin(options, None);
        let snapshots =
            Snapshots { checkpoint: checkpoint.into(), chosen, settings: request.computing.settings() };
        let (rows, remarks) = snapshots.measure(analysis.name(), &mut *session, again, observer)?;
        meta.extend(remarks);
        let report = Report { meta, rows };
        let path = shelf.report(&stem);
        starts.as_ref().map_or(Ok(()), |starts| starts.write(step, &*session))?;
        report::write_parquet(&path, &report)?;
        starts.as_ref().map_or(Ok(()), |starts| starts.keep_only(step))?;
        self.starts = starts;
        metadata::write_command(&shelf.command(&stem), start.elapsed())?;
        say(&format!("{} rows in {}", report.rows.len(), path.display()));
        self.before = Some(Before { step, stem, session });
        Ok(report)
    }
}

/// A checkpoint seen through each of its batches.
struct Snapshots<'a> {
    checkpoint: Arc<Checkpoint>,
    chosen: &'a Chosen,
    settings: Settings,
}

impl Snapshots<'_> {
    /// The rows of all batches together, and what a reader of the numbers must know of how those of the first were made.
    /// The first batch's search is the one that goes on from checkpoint to checkpoint; each other one begins `again`.
    fn measure(
        &self,
        analysis: &str,
        session: &mut dyn Session,
        again: impl Fn() -> Result<Box<dyn Session>>,
        mut observer: OneOf,
    ) -> Result<(Vec<Row>, metadata::Meta)> {
        let batches = &self.chosen.batches;
        let (mut rows, mut remarks) = (Vec::new(), metadata::Meta::new());
        for (i, batch) in batches.iter().enumerate() {
            let snapshot = Snapshot::new(self.checkpoint.clone(), batch.clone(), self.settings.clone());
            let found = if i == 0 {
                session.measure(&snapshot, &observer)?
            } else {
                observer.again = true;
                observer.progress(i as u64, batches.len() as u64, "batches");
                again()?.measure(&snapshot, &observer)?
            };
            rows.push(snapshot.stamp(analysis, found));
            if i == 0 {
                remarks = snapshot.remarks();
            }
        }
        Ok((repeat::combine(rows, &data::id(&data::joint_sha256(batches))), remarks))
    }
}
