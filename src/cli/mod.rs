//! The command line: the only place that names clap and prints.
//!
//! Data goes to stdout, everything else to stderr. Exit codes: 0 done; 1 done, but something asked for is
//! unconverged, a list may be incomplete or one of several checkpoints failed; 2 usage, input or output error, or a
//! fault of this program; 130 interrupted.

mod analyse;
mod data;
mod datasets;
mod facts;
mod fault;
mod flags;
mod inspect;
mod list;
mod progress;
mod rates;
mod refusal;
mod report;
mod resume;
mod survey;
mod terminal;
mod track;
mod train;
mod update_rule;
mod verdict;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Command, FromArgMatches, Subcommand};

use crate::analyses::ANALYSES;
use crate::base::allocator;
use crate::base::error::{Error, Result};
use crate::base::resources;
use terminal::Terminal;
use verdict::Outcome;

/// The commands that are not analyses.
#[derive(Subcommand)]
enum Builtin {
    /// Train a GPT, saving what is needed to measure it
    Train(Box<train::Train>),
    /// Prepare token files from a dataset or a text
    Data(data::Data),
    /// Describe a checkpoint or a Parquet report
    Inspect(inspect::Inspect),
    /// Put runs side by side, step by step
    Report(report::Report),
    /// List analyses, quantities, datasets, schedules and devices
    List(list::List),
}

/// Parses the arguments and runs the command.
pub fn main() -> ExitCode {
    allocator::keep_freed_memory();
    fault::answer_for(ExitCode::from(2), parse_and_run)
}

fn parse_and_run() -> ExitCode {
    let command = command();
    let matches = match command.clone().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return unparsed(&error, &command),
    };
    let Some((name, matches)) = matches.subcommand() else { return ExitCode::from(2) };
    let threads = matches.try_get_one::<usize>("threads").ok().flatten().copied();
    if let Err(error) = resources::set_threads(threads) {
        Terminal::new(matches).error(&error);
        return ExitCode::from(2);
    }
    // on a thread of the pool: it shares its work by letting the others take of it, where a thread outside
    // would fall asleep at each kernel and be woken after it
    rayon::scope(|_| answer(name, matches))
}

/// Prints help and versions, which are data, or says what the arguments lack.
fn unparsed(error: &clap::Error, command: &Command) -> ExitCode {
    // a broken pipe while printing is no failure
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            ExitCode::from(2)
        }
        _ => {
            terminal::error(&refusal::refusal(error, command));
            ExitCode::from(2)
        }
    }
}

/// Runs the command and says how it ended.
fn answer(name: &str, matches: &ArgMatches) -> ExitCode {
    let terminal = Terminal::new(matches);
    match run(name, matches, &terminal) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Doubtful) => ExitCode::from(1),
        Err(error) => {
            terminal.error(&error);
            ExitCode::from(if matches!(error, Error::Interrupted) { 130 } else { 2 })
        }
    }
}

fn command() -> Command {
    let command = ANALYSES
        .iter()
        .fold(Command::new("warmlab"), |c, analysis| c.subcommand(analyse::command(*analysis)));
    let command = Builtin::augment_subcommands(command)
        .version(env!("CARGO_PKG_VERSION"))
        .about("Measures what makes the first few hundred steps of training a GPT dangerous")
        .after_help(
            "Examples:\n  warmlab train --data synthetic --name first --steps 200\n  \
             warmlab hessian --ckpt step_200\n  warmlab report first\n\n\
             Exit codes:\n  \
             0    done; what the data cannot settle is a row with status unresolved\n  \
             1    done, but something is unconverged or may be missing, or one of several checkpoints failed\n  \
             2    usage, input or output error\n  \
             130  interrupted; everything finished so far is kept",
        )
        .args_override_self(true)
        .subcommand_required(true)
        .arg_required_else_help(true);
    // -1 is a value, and refused as one, not a flag that is not known
    let negative = |arg: Arg| {
        let takes_value = arg.get_action().takes_values();
        if takes_value { arg.allow_negative_numbers(true) } else { arg }
    };
    let names: Vec<String> = command.get_subcommands().map(|c| c.get_name().to_string()).collect();
    names.into_iter().fold(command, |command, name| command.mut_subcommand(name, |c| c.mut_args(negative)))
}

fn run(name: &str, matches: &ArgMatches, terminal: &Terminal) -> Result<Outcome> {
    if let Some(analysis) = ANALYSES.iter().find(|a| a.name() == name) {
        return analyse::run(*analysis, matches, terminal);
    }
    let parse = |e: clap::Error| Error::usage(e.to_string());
    match name {
        "train" => train::Train::from_arg_matches(matches).map_err(parse)?.run(matches, terminal),
        "data" => data::Data::from_arg_matches(matches).map_err(parse)?.run(terminal),
        "inspect" => inspect::Inspect::from_arg_matches(matches).map_err(parse)?.run(terminal),
        "report" => report::Report::from_arg_matches(matches).map_err(parse)?.run(terminal),
        _ => list::List::from_arg_matches(matches).map_err(parse)?.run(terminal),
    }
}
