//! One analysis on one checkpoint after another: measured, or found to be measured already.

use std::sync::Arc;
use std::time::Instant;

use super::flags::{Computing, Measuring};
use super::starts::Starts;
use super::targets::{Target, batches};
use super::terminal::Terminal;
use super::{meta, resources};
use crate::base::error::Result;
use crate::base::observer::Observer;
use crate::base::settings::Settings;
use crate::data;
use crate::measure::repeat;
use crate::report::{self, Report, Shelf};
use crate::run;
use crate::snapshot::analysis::{Analysis, Options};
use crate::snapshot::{Hints, Snapshot};

/// What is done to every checkpoint.
pub struct Work<'a> {
    /// The analysis.
    pub analysis: &'a dyn Analysis,
    /// Its options.
    pub options: Options,
    /// What to measure on.
    pub measuring: Measuring,
    /// How to compute.
    pub computing: Computing,
    /// Threads, where they were asked for.
    pub threads: Option<usize>,
    /// Whether it is done to several.
    pub several: bool,
    /// What contradicts in the run.
    pub doubt: Option<String>,
    /// The report before.
    pub before: Option<Before>,
    /// Where what its searches found is kept.
    pub starts: Option<Starts>,
}

/// The report of the checkpoint before: where searches may begin.
pub struct Before {
    /// Its step.
    step: u64,
    /// The name of its file.
    stem: String,
    /// What its searches found.
    hints: Hints,
}

impl Before {
    /// What a report says whose searches begin there.
    fn start(&self) -> (String, String) {
        meta::start(self.step, &self.stem)
    }
}

impl Work<'_> {
    /// Runs the analysis on one checkpoint and writes its report.
    ///
    /// # Errors
    /// Where the checkpoint or the batch cannot be read, the computation fails, or the disk refuses.
    pub fn measure(&mut self, target: &Target, terminal: &Terminal) -> Result<Report> {
        let start = Instant::now();
        let before = self.before.take();
        let (measuring, computing) = (&self.measuring, &self.computing);
        let moments = self.analysis.moments(&self.options);
        let mut checkpoint = run::open(&target.path, computing.dtype)?.with_moments(moments);
        checkpoint.notes.iter().for_each(|note| terminal.say(note));
        if let Some(run) = &target.run {
            checkpoint.run = run::folder_name(run);
        }
        let (batches, words) = batches(measuring, computing, &checkpoint, target)?;
        let (run, step) = (checkpoint.run.clone(), checkpoint.step);
        terminal.say(&format!("{} of `{run}`, step {step}, on {words}", self.analysis.name()));
        let settings = Settings {
            dtype: computing.dtype,
            device: computing.device,
            micro_batch: measuring.micro_batch,
            memory: measuring.memory.unwrap_or_else(resources::default_memory),
            seed: computing.seed,
        };
        let shelf = Shelf::new(&measuring.out, &run, self.analysis.name());
        let options = meta::options(&self.options, measuring, computing, self.threads);
        let mut meta = meta::metadata(self.analysis, options, &checkpoint, &settings, &batches, &words);
        meta.extend(self.doubt.iter().map(|doubt| ("warmlab.contradiction".into(), doubt.clone())));
        let starts = self.several.then(|| Starts::new(&shelf.commands(), &meta));
        if measuring.resume
            && let Some((stem, report)) = {
                let start = before.as_ref().map(Before::start);
                shelf.finished(step, &meta.clone().into_iter().chain(start).collect())
            }
        {
            terminal.say(&format!("{} holds them already", shelf.report(&stem).display()));
            let hints = starts.as_ref().map_or_else(|| Ok(Hints::default()), |starts| starts.read(step))?;
            self.before = Some(Before { step, stem, hints });
            self.starts = starts;
            return Ok(report);
        }
        let before = before.filter(|before| before.hints.step.is_some());
        meta.extend(before.as_ref().map(Before::start));
        let mut hints = before.map(|before| before.hints);
        let (count, id) = (batches.len(), data::id(&data::joint_sha256(&batches)));
        let (mut rows, checkpoint, mut left) = (Vec::new(), Arc::new(checkpoint), Hints::default());
        let stem = report::stem(step, &meta);
        for (i, batch) in batches.into_iter().enumerate() {
            if i > 0 {
                terminal.heard_enough();
                terminal.progress(i as u64, count as u64, "batches");
            }
            let mut snapshot = Snapshot::new(checkpoint.clone(), batch, settings.clone());
            if let Some(hints) = hints.take() {
                snapshot = snapshot.with_hints(hints);
            }
            rows.push(self.analysis.run(&snapshot, &self.options, terminal)?);
            if i == 0 {
                meta.extend(snapshot.remarks());
                left = snapshot.into_hints();
            }
        }
        let report = Report { meta, rows: repeat::combine(rows, &id) };
        let path = shelf.report(&stem);
        starts.as_ref().map_or(Ok(()), |starts| starts.write(&left))?;
        report::write_parquet(&path, &report)?;
        starts.as_ref().map_or(Ok(()), |starts| starts.keep_only(step))?;
        self.starts = starts;
        meta::write_command(&shelf.command(&stem), start.elapsed())?;
        terminal.say(&format!("{} rows in {}", report.rows.len(), path.display()));
        self.before = Some(Before { step, stem, hints: left });
        Ok(report)
    }
}
