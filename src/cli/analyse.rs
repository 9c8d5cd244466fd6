//! The commands of the catalogue: one per analysis, made from its declaration.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::flags::{Computing, Everywhere, Measuring};
use super::measure::Work;
use super::starts::Starts;
use super::targets::{contradiction, targets};
use super::terminal::Terminal;
use super::{Outcome, verdict};
use crate::base::error::{Error, Result};
use crate::base::observer::Observer;
use crate::report::{self, Report};
use crate::snapshot::analysis::{Analysis, Options};

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

/// Runs an analysis on the checkpoint, or on every checkpoint of the run, that the flags name. What is finished when
/// the user stops it is printed.
pub fn run(analysis: &dyn Analysis, matches: &ArgMatches, terminal: &Terminal) -> Result<Outcome> {
    let parse = |e: clap::Error| Error::usage(e.to_string());
    let measuring = Measuring::from_arg_matches(matches).map_err(parse)?;
    let computing = Computing::from_arg_matches(matches).map_err(parse)?;
    let everywhere = Everywhere::from_arg_matches(matches).map_err(parse)?;
    let options = options(analysis, matches);
    let targets = targets(&measuring, terminal)?;
    let doubt = contradiction(&targets, &measuring.out)?;
    doubt.iter().for_each(|doubt| terminal.warn(doubt));
    let (format, allowed) = (measuring.format.clone(), measuring.allow_unconverged);
    let mut work = Work {
        analysis,
        options,
        measuring,
        computing,
        threads: everywhere.threads,
        several: targets.len() > 1,
        doubt,
        before: None,
        starts: None,
    };
    let (mut all, mut failed, mut stopped) = (Report::default(), 0, None);
    for (i, target) in targets.iter().enumerate() {
        if targets.len() > 1 {
            terminal.steps(i as u64, targets.len() as u64);
        }
        match terminal.check().and_then(|()| work.measure(target, terminal)) {
            Ok(report) => all.join(report),
            Err(error @ Error::Interrupted) if i > failed => {
                stopped = Some(error);
                break;
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
    if stopped.is_none() {
        work.starts.iter().for_each(Starts::remove);
    }
    print(&all, &format, terminal)?;
    let outcome = verdict::outcome(analysis, &all.rows, failed, allowed, terminal);
    stopped.map_or(Ok(outcome), Err)
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
            options.choose(spec, values.cloned().collect());
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
