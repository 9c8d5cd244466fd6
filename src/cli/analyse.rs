//! The commands of the catalogue: one per analysis, made from its declaration.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::flags::{Computing, Everywhere, Measuring};
use super::terminal::Terminal;
use super::verdict::{self, Outcome};
use crate::base::error::{Error, Result};
use crate::measure::measure;
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
    let (format, allowed) = (measuring.format.clone(), measuring.allow_unconverged);
    let request = measuring.request(&computing, &everywhere)?;
    let measured = measure(analysis, &options(analysis, matches), &request, terminal)?;
    print(&measured.report, &format, terminal)?;
    let outcome = verdict::outcome(analysis, &measured.report.rows, measured.failed, allowed, terminal);
    if measured.stopped { Err(Error::Interrupted) } else { Ok(outcome) }
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
