//! The commands of the catalogue: one per analysis, made from its declaration.

use clap::{ArgMatches, Args, Command, FromArgMatches};

use super::flags::{Computing, Everywhere, Measuring};
use super::terminal::Terminal;
use super::verdict::{self, Outcome};
use crate::base::error::{Error, Result};
use crate::measure::measure;
use crate::report::{self, Report};
use crate::snapshot::analysis::Analysis;

/// Rows a table shows; the report has them all.
const SHOWN: usize = 40;

/// The clap command of an analysis.
pub fn command(analysis: &'static dyn Analysis) -> Command {
    let command = analysis.options().add_to(Command::new(analysis.name()));
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
    let options = analysis.options().read(matches)?;
    let (format, allowed) = (measuring.format.clone(), measuring.allow_unconverged);
    let request = measuring.request(&computing, &everywhere)?;
    let measured = measure(analysis, &options, &request, terminal)?;
    print(&measured.report, &format, terminal)?;
    let outcome = verdict::outcome(analysis, &measured.report.rows, measured.failed, allowed, terminal);
    if measured.stopped { Err(Error::Interrupted) } else { Ok(outcome) }
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
