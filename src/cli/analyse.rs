//! The commands of the catalogue: one per analysis, made from its declaration.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::flags::{Computing, Everywhere, Measuring};
use super::starts::Starts;
use super::targets::{Target, batches, contradiction, targets};
use super::terminal::Terminal;
use super::{Outcome, meta, resources};
use crate::analysis::{Analysis, Options};
use crate::data;
use crate::error::{Error, Result};
use crate::observer::Observer;
use crate::repeat;
use crate::report::{self, Report};
use crate::row::Status;
use crate::run;
use crate::settings::Settings;
use crate::snapshot::{Hints, Snapshot};

/// Rows a table shows; the report has them all.
const SHOWN: usize = 40;

/// The clap command of an analysis.
pub fn command(analysis: &'static dyn Analysis) -> Command {
    let command = Command::new(analysis.name());
    let command = analysis.options().iter().fold(command, |command, option| {
        let arg = Arg::new(option.name).long(option.name).help(option.help);
        command.arg(match (option.value, option.repeatable) {
            ("", _) => arg.action(ArgAction::SetTrue),
            (value, repeatable) => arg
                .value_name(value)
                .default_value(option.default)
                .value_parser(move |text: &str| option.takes.check(text).map(|()| text.to_string()))
                .action(if repeatable { ArgAction::Append } else { ArgAction::Set }),
        })
    });
    Everywhere::augment_args(Computing::augment_args(Measuring::augment_args(command)))
        .about(analysis.about())
        .after_help(format!("Example:\n  {}", analysis.example()))
}

/// Runs an analysis on the checkpoint, or on every checkpoint of the run, that the flags name.
pub fn run(analysis: &dyn Analysis, matches: &ArgMatches, terminal: &Terminal) -> Result<Outcome> {
    let parse = |e: clap::Error| Error::usage(e.to_string());
    let measuring = Measuring::from_arg_matches(matches).map_err(parse)?;
    let computing = Computing::from_arg_matches(matches).map_err(parse)?;
    let options = options(analysis, matches);
    let targets = targets(&measuring, terminal)?;
    let doubt = contradiction(&targets, &measuring.out)?;
    doubt.iter().for_each(|doubt| terminal.warn(doubt));
    let (mut all, mut failed) = (Report::default(), 0);
    let mut work = Work {
        analysis,
        options,
        measuring,
        computing,
        hints: Hints::default(),
        doubt,
        several: targets.len() > 1,
        starts: None,
    };
    for (i, target) in targets.iter().enumerate() {
        terminal.check()?;
        if targets.len() > 1 {
            terminal.steps(i as u64, targets.len() as u64);
        }
        match work.measure(target, terminal) {
            Ok(report) => {
                all.meta = report.meta;
                all.rows.extend(report.rows);
            }
            // one checkpoint of several does not take the others down
            Err(error) if targets.len() > 1 && !matches!(error, Error::Interrupted) => {
                terminal.warn(&format!("{}: {error}", target.path.display()));
                failed += 1;
                if failed == targets.len() {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
        terminal.heard_enough();
    }
    work.starts.iter().for_each(Starts::remove);
    let measuring = &work.measuring;
    print(&all, &measuring.format, terminal)?;
    let doubtful = all.rows.iter().filter(|row| row.status != Status::Ok).count();
    if doubtful == 0 {
        return Ok(if failed == 0 { Outcome::Done } else { Outcome::Doubtful });
    }
    terminal.warn(&format!(
        "{doubtful} of {} numbers are not settled; their status says why (--tol, --max-matvecs, --dtype f64)",
        all.rows.len()
    ));
    let nonfinite = all.rows.iter().any(|row| row.status == Status::Nonfinite);
    let fine = measuring.allow_unconverged && !nonfinite && failed == 0;
    Ok(if fine { Outcome::Done } else { Outcome::Doubtful })
}

/// What is done to every checkpoint.
struct Work<'a> {
    analysis: &'a dyn Analysis,
    options: Options,
    measuring: Measuring,
    computing: Computing,
    /// From the checkpoint before.
    hints: Hints,
    /// What contradicts in the run.
    doubt: Option<String>,
    /// Whether there is a checkpoint before, or after.
    several: bool,
    /// Where what the last checkpoint gave is kept.
    starts: Option<Starts>,
}

impl Work<'_> {
    /// Runs the analysis on one checkpoint and writes its report.
    fn measure(&mut self, target: &Target, terminal: &Terminal) -> Result<Report> {
        let start = Instant::now();
        let (measuring, computing) = (&self.measuring, &self.computing);
        let moments = self.analysis.moments(&self.options);
        let mut checkpoint = run::open(&target.path, computing.dtype)?.with_moments(moments);
        checkpoint.notes.iter().for_each(|note| terminal.say(note));
        if let Some(name) = target.run.as_deref().and_then(Path::file_name) {
            checkpoint.run = name.to_string_lossy().into_owned();
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
        let folder = measuring.out.join(&run).join(self.analysis.name());
        let path = folder.join(format!("step_{step}.parquet"));
        let mut meta = meta::metadata(self.analysis, &self.options, &checkpoint, &settings, &batches, &words);
        meta.extend(self.doubt.iter().map(|doubt| ("warmlab.contradiction".into(), doubt.clone())));
        let beside = measuring.out.join(&run).join(".commands").join(self.analysis.name());
        let starts = self.several.then(|| Starts::new(&beside, &meta));
        if measuring.resume
            && let Some(report) = meta::finished(&path, &meta)
        {
            terminal.say(&format!("{} holds them already", path.display()));
            self.hints = starts.as_ref().map_or_else(|| Ok(Hints::default()), |starts| starts.read(step))?;
            self.starts = starts;
            return Ok(report);
        }
        let (count, id) = (batches.len(), data::id(&data::joint_sha256(&batches)));
        let (mut rows, checkpoint) = (Vec::new(), Arc::new(checkpoint));
        let mut hints = Some(std::mem::take(&mut self.hints));
        for (i, batch) in batches.into_iter().enumerate() {
            if i > 0 {
                terminal.heard_enough();
                terminal.progress(i as u64, count as u64, "batches");
            }
            let mut snapshot = Snapshot::new(checkpoint.clone(), batch, settings.clone());
            if let Some(hints) = hints.take() {
                if let Some(step) = hints.step {
                    meta.insert("warmlab.start".into(), format!("near what was found at step {step}"));
                }
                snapshot = snapshot.with_hints(hints);
            }
            rows.push(self.analysis.run(&snapshot, &self.options, terminal)?);
            if i == 0 {
                meta.extend(snapshot.remarks());
                self.hints = snapshot.into_hints();
            }
        }
        let report = Report { meta, rows: repeat::combine(rows, &id) };
        if let Some(starts) = starts {
            starts.write(&self.hints)?;
            report::write_parquet(&path, &report)?;
            starts.keep_only(step)?;
            self.starts = Some(starts);
        } else {
            report::write_parquet(&path, &report)?;
        }
        meta::write_run_json(&path.with_extension("run.json"), start.elapsed())?;
        terminal.say(&format!("{} rows in {}", report.rows.len(), path.display()));
        Ok(report)
    }
}

/// The values of the analysis's own flags.
fn options(analysis: &dyn Analysis, matches: &ArgMatches) -> Options {
    let mut options = Options::defaults(analysis.options());
    for spec in analysis.options() {
        if spec.value.is_empty() {
            if matches.get_flag(spec.name) {
                options.set(spec.name, vec!["true".into()]);
            }
        } else if let Some(values) = matches.get_many::<String>(spec.name) {
            options.set(spec.name, values.cloned().collect());
        }
    }
    options
}

fn print(report: &Report, format: &str, terminal: &Terminal) -> Result<()> {
    match format {
        "json" => terminal.data(&report::to_json(report)),
        "csv" => terminal.data(&report::to_csv(report)?),
        _ => {
            terminal.data(&report::table(report.rows.iter().take(SHOWN), terminal.columns()))?;
            if report.rows.len() > SHOWN {
                terminal.say(&format!("... and {} more rows in the report", report.rows.len() - SHOWN));
            }
            Ok(())
        }
    }
}
