//! The commands of the catalogue: one per analysis, made from its declaration.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::flags::{Computing, Everywhere, Measuring};
use super::terminal::Terminal;
use super::{Outcome, meta, resources};
use crate::analysis::{Analysis, Options};
use crate::data::{self, Batch, Corpus, Split, sampling};
use crate::error::{Error, Result};
use crate::observer::Observer;
use crate::random;
use crate::repeat;
use crate::report::{self, Report};
use crate::row::Status;
use crate::run::{self, Checkpoint};
use crate::settings::Settings;
use crate::snapshot::Snapshot;
use crate::train::TrainConfig;

/// Folder of runs when none is named.
const RUNS: &str = "runs";
/// Folder of prepared datasets.
pub const DATASETS: &str = "datasets";
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
                .allow_negative_numbers(true)
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
    let (mut all, mut failed) = (Report::default(), 0);
    for target in &targets {
        terminal.check()?;
        match measure(analysis, &options, target, &measuring, &computing, terminal) {
            Ok(report) => {
                all.meta = report.meta;
                all.rows.extend(report.rows);
            }
            // one checkpoint of several does not take the others down
            Err(error) if targets.len() > 1 && !matches!(error, Error::Interrupted) => {
                terminal.finish();
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

/// Runs an analysis on one checkpoint and writes its report.
fn measure(
    analysis: &dyn Analysis,
    options: &Options,
    target: &Target,
    measuring: &Measuring,
    computing: &Computing,
    terminal: &Terminal,
) -> Result<Report> {
    let start = Instant::now();
    let mut checkpoint = run::open(&target.path, computing.dtype)?;
    checkpoint.notes.iter().for_each(|note| terminal.say(note));
    if let Some(name) = target.run.as_deref().and_then(Path::file_name) {
        checkpoint.run = name.to_string_lossy().into_owned();
    }
    let (batches, words) = batches(measuring, computing, &checkpoint, target)?;
    let (run, step) = (checkpoint.run.clone(), checkpoint.step);
    terminal.say(&format!("{} of `{run}`, step {step}, on {words}", analysis.name()));
    let settings = Settings {
        dtype: computing.dtype,
        device: computing.device,
        micro_batch: measuring.micro_batch,
        memory: measuring.memory.unwrap_or_else(resources::default_memory),
        seed: computing.seed,
    };
    let (mut meta, mut rows) = (BTreeMap::new(), Vec::new());
    let count = batches.len();
    let mut checkpoint = Some(checkpoint);
    for (i, batch) in batches.into_iter().enumerate() {
        // the last batch takes the checkpoint: parameters and moments are held once
        let own = if i + 1 < count { checkpoint.clone() } else { checkpoint.take() };
        let Some(own) = own else { break };
        if i > 0 {
            terminal.heard_enough();
            terminal.progress(i as u64, count as u64, "batches");
        }
        let snapshot = Snapshot::new(own, batch, settings.clone());
        rows.push(analysis.run(&snapshot, options, terminal)?);
        if i == 0 {
            meta = meta::metadata(analysis, options, &snapshot, &words);
        } else {
            meta::add_batch(&mut meta, &snapshot);
        }
    }
    let report = Report { meta, rows: repeat::combine(rows) };
    let path = measuring.out.join(run).join(analysis.name()).join(format!("step_{step}.parquet"));
    report::write_parquet(&path, &report)?;
    meta::write_run_json(&path.with_extension("run.json"), start.elapsed())?;
    terminal.finish();
    terminal.say(&format!("{} rows in {}", report.rows.len(), path.display()));
    Ok(report)
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

/// A checkpoint to measure.
struct Target {
    path: PathBuf,
    run: Option<PathBuf>,
}

fn targets(measuring: &Measuring, terminal: &Terminal) -> Result<Vec<Target>> {
    let run = measuring.run.as_deref();
    if let Some(text) = &measuring.ckpt {
        let found = run::find(text, run, Path::new(RUNS))?;
        if let (Some(found), None) = (&found.run, run) {
            terminal.say(&format!("{text} is that of the newest run that has it, {}", found.display()));
        }
        return Ok(vec![Target { path: found.path, run: found.run }]);
    }
    let Some(run) = run else {
        return Err(Error::usage_hint(
            "nothing to measure was named",
            "use --ckpt PATH, --ckpt step_N, or --run DIR",
        ));
    };
    if !run.is_dir() {
        return Err(Error::usage(format!("run `{}` does not exist", run.display())));
    }
    let mut checkpoints = run::checkpoints(run)?;
    if let Some(missing) = measuring.steps.iter().find(|s| !checkpoints.iter().any(|(step, _)| step == *s)) {
        let known: Vec<String> = checkpoints.iter().map(|(step, _)| step.to_string()).collect();
        return Err(Error::file_hint(
            run,
            format!("has no checkpoint of step {missing}"),
            format!("it has {}", known.join(", ")),
        ));
    }
    if !measuring.steps.is_empty() {
        checkpoints.retain(|(step, _)| measuring.steps.contains(step));
    }
    if checkpoints.is_empty() {
        return Err(Error::file(run, "holds no checkpoints"));
    }
    Ok(checkpoints.into_iter().map(|(_, path)| Target { path, run: Some(run.into()) }).collect())
}

/// The batches to measure on, and what they are in words.
fn batches(
    measuring: &Measuring,
    computing: &Computing,
    checkpoint: &Checkpoint,
    target: &Target,
) -> Result<(Vec<Batch>, String)> {
    let vocab_size = checkpoint.config.vocab_size;
    if let Some(path) = &measuring.batch {
        let batch = data::read_batch(path)?;
        batch.check_vocabulary(vocab_size, &path.display().to_string())?;
        let words =
            format!("{} sequences of {} tokens from {}", batch.batch_size(), batch.seq(), path.display());
        return Ok((vec![batch], words));
    }
    let name = match &measuring.data {
        Some(name) => name.clone(),
        None => trained_on(target).ok_or_else(|| {
            Error::usage_hint(
                format!("`{}` does not say which tokens it was trained on", target.path.display()),
                "name them: --data FILE.bin, --data DIR or --data NAME, or a saved batch: --batch FILE.safetensors",
            )
        })?,
    };
    let corpus = Corpus::open(&name, Path::new(DATASETS))?;
    let tokens = corpus.tokens(Split::Val);
    let seq = measuring.block_size.unwrap_or(checkpoint.config.block_size);
    let batch_size = measuring.batch_size()?;
    if seq == 0 || seq > checkpoint.config.block_size {
        return Err(Error::usage(format!(
            "--block-size {seq} must be between 1 and the checkpoint's {}",
            checkpoint.config.block_size
        )));
    }
    let order = if measuring.sampling == "random" { "random" } else { "the first" };
    let batch = |i: u64| -> Result<Batch> {
        let batch = if measuring.sampling == "random" {
            let random = &mut random::stream(computing.seed, i, "measured batch");
            sampling::random(tokens, batch_size, seq, random)?
        } else {
            sampling::sequential(tokens, i as usize * batch_size, batch_size, seq)?
        };
        batch.check_vocabulary(vocab_size, tokens.name())?;
        Ok(batch)
    };
    let batches = (0..measuring.repeat_batches).map(batch).collect::<Result<Vec<_>>>()?;
    let count = match measuring.repeat_batches {
        1 => String::new(),
        count => format!("{count} batches of "),
    };
    Ok((batches, format!("{count}{order} {batch_size} sequences of {seq} tokens of {name}")))
}

/// The data of run.toml, for a checkpoint of a run of ours.
fn trained_on(target: &Target) -> Option<String> {
    let absolute = target.path.canonicalize().ok()?;
    let run = target.run.clone().or_else(|| absolute.parent()?.parent().map(Path::to_path_buf))?;
    TrainConfig::read(&run.join("run.toml")).ok().map(|config| config.data)
}

fn print(report: &Report, format: &str, terminal: &Terminal) -> Result<()> {
    match format {
        "json" => terminal.data(&report::to_json(report)),
        "csv" => terminal.data(&report::to_csv(report)?),
        _ => {
            terminal.data(&report::table(report.rows.iter().take(SHOWN)))?;
            if report.rows.len() > SHOWN {
                terminal.say(&format!("... and {} more rows in the report", report.rows.len() - SHOWN));
            }
            Ok(())
        }
    }
}
