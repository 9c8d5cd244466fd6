//! `warmlab report`.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use clap::Args;

use super::facts::facts;
use super::flags::{Everywhere, RUNS};
use super::terminal::Terminal;
use super::verdict::Outcome;
use crate::analyses::ANALYSES;
use crate::base::error::{Error, Result};
use crate::base::files;
use crate::base::row::Row;
use crate::measure::training;
use crate::report::{self, Answers, Choices, Layout, Page, Sources};
use crate::run;
use crate::train::StepLog;

/// Put runs side by side, step by step, as a table and as one HTML page
#[derive(Args)]
#[command(
    after_help = "Examples:\n  warmlab report first\n  warmlab report runs/cold runs/warm --html warmup.html\n  warmlab report runs"
)]
pub struct Report {
    /// Runs measured before, by folder or by name; a folder of runs is all of them
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Folder with their reports
    #[arg(long, value_name = "DIR", default_value = "reports")]
    out: PathBuf,
    /// The page to write [default: report-RUN-RUN.html in the working directory]
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    #[command(flatten)]
    everywhere: Everywhere,
}

/// The metadata of a report.
type Meta = BTreeMap<String, String>;

impl Report {
    /// Prints the table and writes the page.
    pub fn run(&self, terminal: &Terminal) -> Result<Outcome> {
        let _ = &self.everywhere;
        let (mut rows, mut all_facts) = (Vec::new(), Vec::new());
        let (mut sources, mut choices) = (Sources::new(), Choices::new());
        for run in &self.folders(terminal)? {
            let name = run_name(run)?;
            let mut metas = Vec::new();
            let answers = measured(&self.out.join(&name), &mut sources, &mut metas, terminal)?;
            let measured = answers.rows;
            choices.extend(answers.choices);
            let trained = trained(run, &name, &measured, &mut sources)?;
            if measured.is_empty() && trained.is_empty() {
                return Err(Error::usage_hint(
                    format!("nothing is known of `{}`: no steps.jsonl, no reports", run.display()),
                    format!("measure it first: warmlab hessian --run {}", run.display()),
                ));
            }
            rows.extend(measured);
            rows.extend(trained);
            all_facts.push(facts(run, &name, &metas));
        }
        let analyses = ANALYSES.iter().map(|analysis| (analysis.figures(), analysis.columns()));
        let layout = Layout::of(std::iter::once((training::FIGURES, training::COLUMNS)).chain(analyses));
        let lines = layout.lines(&rows);
        terminal.data(&report::aligned(&rows, &layout.columns, &lines, terminal.columns()))?;
        let names: Vec<&str> = all_facts.iter().map(|facts| &*facts.run).collect();
        let path = self.html.clone().unwrap_or_else(|| page_of(&names));
        let page =
            Page { rows: &rows, sources: &sources, choices: &choices, facts: &all_facts, layout: &layout };
        files::write_bytes(&path, page.html().as_bytes())?;
        terminal.say(&format!("the page: {}", path.display()));
        Ok(Outcome::Done)
    }

    /// The runs that were named: each by its folder or its name, and all of a folder of runs.
    fn folders(&self, terminal: &Terminal) -> Result<Vec<PathBuf>> {
        let mut folders = Vec::new();
        for named in &self.runs {
            match run::folder(named, Path::new(RUNS)) {
                Ok(folder) => folders.push(folder),
                Err(error) => {
                    let inner = run::within(named);
                    if inner.is_empty() {
                        folders.push(reported(named, &self.out).ok_or(error)?);
                        continue;
                    }
                    terminal.say(&format!(
                        "`{}` is a folder of {} runs: all are shown",
                        named.display(),
                        inner.len()
                    ));
                    folders.extend(inner);
                }
            }
        }
        Ok(folders)
    }
}

/// Runs that the name of a page names.
const NAMED: usize = 4;

/// Where the page of these runs goes: not among the reports, which are read as one Parquet dataset.
fn page_of(runs: &[&str]) -> PathBuf {
    let more = match runs.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!("-and-{more}-more"),
    };
    format!("report-{}{more}.html", runs[..runs.len().min(NAMED)].join("-")).into()
}

/// A folder of reports stands for its run; the run itself may be gone.
fn reported(named: &Path, out: &Path) -> Option<PathBuf> {
    let name = named.file_name()?;
    let run = Path::new(RUNS).join(name);
    out.join(name).is_dir().then(|| if run.is_dir() { run } else { named.into() })
}

/// The run's name is its folder's.
fn run_name(run: &Path) -> Result<String> {
    let name = run.file_name().map(|name| name.to_string_lossy().into_owned());
    name.ok_or_else(|| Error::usage(format!("`{}` is no run", run.display())))
}

/// One answer to each question of a run's reports; which file has what; and what else each says.
fn measured(
    folder: &Path,
    sources: &mut Sources,
    metas: &mut Vec<Meta>,
    terminal: &Terminal,
) -> Result<Answers> {
    let reading = report::read_run(folder)?;
    reading.left_out.iter().for_each(|sentence| terminal.warn(sentence));
    let answers = report::choose(&reading.sources);
    answers.notes.iter().for_each(|sentence| terminal.say(sentence));
    for (i, source) in reading.sources.iter().enumerate() {
        let own = answers.rows.iter().zip(&answers.sources).filter(|(_, of)| **of == i);
        note(sources, own.map(|(row, _)| row), &source.path);
    }
    metas.extend(reading.sources.into_iter().map(|source| source.meta));
    Ok(answers)
}

fn note<'a>(sources: &mut Sources, rows: impl IntoIterator<Item = &'a Row>, path: &Path) {
    let path = path.display().to_string();
    for row in rows {
        let files = sources.entry((row.run.clone(), row.quantity.clone())).or_default();
        if !files.contains(&path) {
            files.insert(path.clone());
        }
    }
}

/// What the training loop wrote down of updates that `measured` does not have: those since the last checkpoint, or
/// all where the reports are elsewhere.
fn trained(run: &Path, name: &str, measured: &[Row], sources: &mut Sources) -> Result<Vec<Row>> {
    let log = run.join("steps.jsonl");
    let known: HashSet<(&str, u64)> = measured.iter().map(|row| (&*row.quantity, row.step)).collect();
    let rows = StepLog::read(&log)?.into_iter().flat_map(|line| training::rows(name, &line));
    let rows: Vec<Row> = rows.filter(|row| !known.contains(&(&*row.quantity, row.step))).collect();
    note(sources, &rows, &log);
    Ok(rows)
}
