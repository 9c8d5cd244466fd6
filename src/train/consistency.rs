//! Whether the log of a run and its checkpoints tell the same story.
//!
//! A checkpoint of step N follows the lines of all updates up to N, and carries the loss of update N. Where two processes
//! wrote one folder, or files were copied, cut or renamed, that no longer holds, and numbers measured on such a
//! checkpoint belong to no run.

use std::path::Path;

use super::config::TrainConfig;
use super::log::StepLine;
use crate::base::error::Result;
use crate::base::files::{Lines, read_lines};
use crate::run::{self, Standing};

/// How many updates the log of a run has, in order, and what contradicts in its folder, a clause each; `None` for runs
/// that are not ours.
///
/// # Errors
/// Where the folder cannot be read.
pub fn contradictions(folder: &Path) -> Result<Option<(u64, Vec<String>)>> {
    let Ok(config) = TrainConfig::read(&folder.join("run.toml")) else { return Ok(None) };
    // the checkpoints first: a run that is training writes a line before the checkpoint that follows it
    let checkpoints = run::checkpoints(folder)?;
    let Lines { lines, .. } = read_lines::<StepLine>(&folder.join("steps.jsonl"))?;
    let counted = lines.iter().zip(1..).take_while(|(line, update)| line.step == *update).count();
    let mut found = Vec::new();
    if let Some(line) = lines.get(counted) {
        found.push(format!(
            "line {} of steps.jsonl is of update {}, as if two processes had written it",
            counted + 1,
            line.step
        ));
    }
    for (step, path) in checkpoints {
        let Some(standing) = run::standing(&path) else { continue };
        found.extend(of_checkpoint(step, &standing, &lines[..counted], config.seed));
    }
    Ok(Some((counted as u64, found)))
}

fn of_checkpoint(step: u64, standing: &Standing, lines: &[StepLine], seed: u64) -> Option<String> {
    let name = format!("checkpoint step_{step}");
    if standing.step != step {
        return Some(format!("{name} holds step {}", standing.step));
    }
    if standing.seed.is_some_and(|other| other != seed) {
        return Some(format!("{name} is of a run with another seed than run.toml's {seed}"));
    }
    let before = step.checked_sub(1)?;
    let Some(line) = lines.get(before as usize) else {
        return Some(format!("{name} lies beyond steps.jsonl, which has {} updates in order", lines.len()));
    };
    let loss = standing.loss.filter(|loss| *loss != line.loss)?;
    Some(format!("{name} carries the loss {loss} of update {step}, steps.jsonl {}", line.loss))
}
