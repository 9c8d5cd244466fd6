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
use crate::snapshot::analysis::{Analysis, Options};
use crate::snapshot::{Hints, Snapshot};

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
        let mut checkpoint = run::open(&target.path, request.computing.dtype)?.with_moments(moments);
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
                let start = before.as_ref().map(Before::says);
                shelf.finished(step, &meta.clone().into_iter().chain(start).collect())
            }
        {
            say(&format!("{} holds them already", shelf.report(&stem).display()));
            let hints = starts.as_ref().map_or_else(|| Ok(Hints::default()), |starts| starts.read(step))?;
            self.before = Some(Before { step, stem, hints });
            self.starts = starts;
            return Ok(report);
        }
        let before = before.filter(|before| before.hints.step.is_some());
        meta.extend(before.as_ref().map(Before::says));
        let stem = report::stem(step, &meta);
        let hints = before.map(|before| before.hints).unwrap_or_default();
        let settings = request.computing.settings();
        let found = Found::on(analysis, options, (checkpoint, chosen), settings, hints, observer)?;
        meta.extend(found.remarks);
        let report = Report { meta, rows: found.rows };
        let path = shelf.report(&stem);
        starts.as_ref().map_or(Ok(()), |starts| starts.write(&found.hints))?;
        report::write_parquet(&path, &report)?;
        starts.as_ref().map_or(Ok(()), |starts| starts.keep_only(step))?;
        self.starts = starts;
        metadata::write_command(&shelf.command(&stem), start.elapsed())?;
        say(&format!("{} rows in {}", report.rows.len(), path.display()));
        self.before = Some(Before { step, stem, hints: found.hints });
        Ok(report)
    }
}

/// What an analysis found on the batches of one checkpoint.
struct Found {
    rows: Vec<Row>,
    /// What a reader of the numbers must know of how they were made.
    remarks: metadata::Meta,
    /// Where searches at the next checkpoint may begin.
    hints: Hints,
}

impl Found {
    /// Remarks and hints are those of the first batch, whose searches begin near `hints`.
    fn on(
        analysis: &dyn Analysis,
        options: &Options,
        (checkpoint, chosen): (Checkpoint, &Chosen),
        settings: Settings,
        hints: Hints,
        mut observer: OneOf,
    ) -> Result<Self> {
        let checkpoint = Arc::new(checkpoint);
        let count = chosen.batches.len();
        let mut found = Found { rows: vec![], remarks: metadata::Meta::new(), hints };
        let mut rows = Vec::new();
        for (i, batch) in chosen.batches.iter().enumerate() {
            let mut snapshot = Snapshot::new(checkpoint.clone(), batch.clone(), settings.clone());
            if i == 0 {
                snapshot = snapshot.with_hints(std::mem::take(&mut found.hints));
            } else {
                observer.again = true;
                observer.progress(i as u64, count as u64, "batches");
            }
            rows.push(analysis.run(&snapshot, options, &observer)?);
            if i == 0 {
                found.remarks = snapshot.remarks();
                found.hints = snapshot.into_hints();
            }
        }
        found.rows = repeat::combine(rows, &data::id(&data::joint_sha256(&chosen.batches)));
        Ok(found)
    }
}
