//! `warmlab report`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Outcome;
use super::flags::Everywhere;
use super::terminal::Terminal;
use crate::error::{Error, IoContext, Result};
use crate::report::{self, Column};
use crate::row::Row;
use crate::train::StepLog;

/// Put runs side by side, step by step
#[derive(Args)]
#[command(after_help = "Example:\n  warmlab report runs/cold runs/warm")]
pub struct Report {
    /// Folders of runs, measured before
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Folder with their reports
    #[arg(long, value_name = "DIR", default_value = "reports")]
    out: PathBuf,
    #[command(flatten)]
    everywhere: Everywhere,
}

/// Columns of the table, as far as they were measured.
const COLUMNS: &[Column] = &[
    Column { header: "λ1", quantity: "hessian/lambda" },
    Column { header: "preconditioned λ1", quantity: "preconditioned/lambda" },
    Column { header: "threshold_t", quantity: "sharpness/threshold_t" },
    Column { header: "margin", quantity: "sharpness/margin" },
    Column { header: "train loss", quantity: "train/loss" },
    Column { header: "validation loss", quantity: "train/val_loss" },
];

impl Report {
    /// Prints the table.
    pub fn run(&self, terminal: &Terminal) -> Result<Outcome> {
        let _ = &self.everywhere;
        let mut rows = Vec::new();
        for run in &self.runs {
            let name = run_name(run)?;
            let measured = measured(&self.out.join(&name))?;
            let trained = trained(run, &name)?;
            if measured.is_empty() && trained.is_empty() {
                return Err(Error::usage_hint(
                    format!("nothing is known of `{}`: no steps.jsonl, no reports", run.display()),
                    format!("measure it first: warmlab hessian --run {}", run.display()),
                ));
            }
            rows.extend(measured);
            rows.extend(trained);
        }
        terminal.data(&report::aligned(&rows, COLUMNS, &["hessian/lambda", "preconditioned/lambda"]))?;
        Ok(Outcome::Done)
    }
}

/// The run's name is its folder's.
fn run_name(run: &Path) -> Result<String> {
    let name = run.file_name().map(|name| name.to_string_lossy().into_owned());
    name.ok_or_else(|| Error::usage(format!("`{}` is no run", run.display())))
}

/// The rows of every report of a run, in the order of file names.
fn measured(folder: &Path) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    if !folder.is_dir() {
        return Ok(rows);
    }
    for analysis in entries(folder)?.into_iter().filter(|path| path.is_dir()) {
        for path in entries(&analysis)?.iter().filter(|path| path.extension().is_some_and(|e| e == "parquet"))
        {
            rows.extend(report::read_parquet(path)?.rows);
        }
    }
    Ok(rows)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).at("list", folder)?;
    let mut paths = entries.map(|e| e.map(|e| e.path()).at("list", folder)).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// What the training loop itself wrote down.
fn trained(run: &Path, name: &str) -> Result<Vec<Row>> {
    let name = name.into();
    let rows = StepLog::read(&run.join("steps.jsonl"))?.into_iter().flat_map(|line| {
        let mut rows = vec![Row::new("train/loss", line.loss), Row::new("train/lr", line.lr)];
        if let Some(loss) = line.val_loss {
            rows.push(Row::new("train/val_loss", loss).uncertainty(line.val_loss_se.unwrap_or(f64::NAN)));
        }
        rows.into_iter().map(move |row| (row, line.step))
    });
    Ok(rows.map(|(row, step)| row.stamp(&name, step)).collect())
}
