//! `warmlab inspect`.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::flags::{Everywhere, Unsaid};
use super::survey;
use super::terminal::Terminal;
use super::verdict::Outcome;
use crate::base::error::{Error, Result};
use crate::base::values::{DType, Values};
use crate::report;
use crate::run::{self, Checkpoint, Listed, Moments};

/// Describe a checkpoint, a run, a report, or a folder of reports
#[derive(Args)]
#[command(
    after_help = "Examples:\n  warmlab inspect runs/first/checkpoints/step_200\n  warmlab inspect reports/first"
)]
pub struct Inspect {
    /// A checkpoint (file or folder), a run, a report, or a folder of reports
    path: PathBuf,
    #[command(flatten)]
    unsaid: Unsaid,
    #[command(flatten)]
    everywhere: Everywhere,
}

impl Inspect {
    /// Prints the description.
    pub fn run(&self, terminal: &Terminal) -> Result<Outcome> {
        let _ = &self.everywhere;
        if !self.path.exists() {
            return Err(Error::usage(format!("`{}` does not exist", self.path.display())));
        }
        if self.path.extension().is_some_and(|e| e == "parquet") {
            terminal.data(&describe_report(&self.path, terminal)?)?;
            return Ok(Outcome::Done);
        }
        if self.path.is_dir()
            && let Some(text) = survey::describe(&self.path)?
        {
            terminal.data(&text)?;
            return Ok(Outcome::Done);
        }
        let checkpoint = match run::open_for(&self.path, DType::F64, Moments::Both, &self.unsaid.given()) {
            Ok(checkpoint) => checkpoint,
            Err(error) => {
                // what is no checkpoint may still hold tensors, which tell what it is
                let files = run::tensors(&self.path).unwrap_or_default();
                if files.iter().all(|(_, tensors)| tensors.is_empty()) {
                    return Err(error);
                }
                terminal.warn(&error.to_string());
                terminal.data(&list(&files))?;
                return Ok(Outcome::Done);
            }
        };
        checkpoint.notes.iter().for_each(|note| terminal.say(note));
        terminal.data(&describe(&checkpoint))?;
        Ok(Outcome::Done)
    }
}

fn list(files: &[(PathBuf, Vec<Listed>)]) -> String {
    let mut text = String::new();
    for (file, tensors) in files.iter().filter(|(_, tensors)| !tensors.is_empty()) {
        let _ = writeln!(text, "{}: {} tensors", file.display(), tensors.len());
        for tensor in tensors {
            let _ = writeln!(text, "{:<48} {:>10} {:>14}", tensor.name, tensor.kind, extents(&tensor.shape));
        }
    }
    text
}

fn extents(shape: &[usize]) -> String {
    shape.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ")
}

/// The metadata of a report, and its rows where they are of this version's columns.
fn describe_report(path: &Path, terminal: &Terminal) -> Result<String> {
    let mut text = String::new();
    let meta = report::read_metadata(path)?;
    for (key, value) in &meta {
        let _ = writeln!(text, "{key:<28} {value}");
    }
    match meta.get("warmlab.schema_version").map(String::as_str) {
        Some(other) if other != report::SCHEMA_VERSION => terminal.warn(&format!(
            "`{}` is written in schema {other}, and this version reads the rows of schema {}: measure again to have \
             them",
            path.display(),
            report::SCHEMA_VERSION
        )),
        _ => {
            text.push('\n');
            text.push_str(&report::table(&report::read_parquet(path)?.rows, terminal.columns()));
        }
    }
    Ok(text)
}

fn describe(checkpoint: &Checkpoint) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: String| {
        let _ = writeln!(text, "{key:<18} {value}");
    };
    let c = &checkpoint.config;
    line("format", checkpoint.format.into());
    line("run", checkpoint.run.clone());
    let made = checkpoint.optimizer.as_ref().map_or(checkpoint.step, |o| o.updates);
    let counted = match made == checkpoint.step {
        true => "updates applied".to_string(),
        false => format!("of which the optimizer made {made} updates"),
    };
    line("step", format!("{} ({counted})", checkpoint.step));
    line("parameters", format!("{}", c.num_parameters()));
    line(
        "model",
        format!(
            "{} n_layer {} n_head {} n_embd {} block_size {} vocab_size {}",
            c.arch, c.n_layer, c.n_head, c.n_embd, c.block_size, c.vocab_size
        ),
    );
    let head = if c.tied_lm_head { "tied to wte" } else { "its own" };
    let activation = serde_json::to_string(&c.activation).unwrap_or_default();
    line("", format!("bias {}, activation {}, LM head {head}", c.bias, activation.trim_matches('"')));
    if let Some(loss) = checkpoint.loss {
        line("training loss", report::plain(loss));
    }
    match &checkpoint.optimizer {
        None => line(
            "optimizer",
            checkpoint.without_optimizer.as_ref().map_or("none".into(), |none| none.reason.clone()),
        ),
        Some(o) => {
            let state: Vec<&str> = o.vectors.keys().map(String::as_str).collect();
            let state = if state.is_empty() {
                "without moments".into()
            } else {
                format!("with moments {}", state.join(", "))
            };
            let decay = "weight_decay";
            let constants: String = o
                .told
                .pairs()
                .filter(|(key, _)| *key != decay)
                .map(|(key, value)| format!(" {key} {value}"))
                .collect();
            line("optimizer", format!("{}{constants}, {state}", o.name()));
            let last = o.last_lr.map_or("unknown".into(), |lr| format!("{lr:e}"));
            line(
                "learning rate",
                format!("next {:e}, last {last}, weight decay {}", o.lr, o.constant(decay)),
            );
        }
    }
    line("sha256", checkpoint.sha256.clone());
    text.push('\n');
    let _ = writeln!(text, "{:<42} {:>14} {:>10} {:>10}", "parameter", "shape", "rms", "rms √v");
    let v = checkpoint.optimizer.as_ref().and_then(|o| o.vector("exp_avg_sq"));
    for p in c.parameters() {
        let shape = extents(&p.shape);
        let root = v.map(|v| format!("{:.2e}", mean(v, p.range(), |x| x).sqrt())).unwrap_or_default();
        let rms = mean(&checkpoint.parameters, p.range(), |x| x * x).sqrt();
        let _ = writeln!(text, "{:<42} {shape:>14} {rms:>10.2e} {root:>10}", p.name);
    }
    text
}

fn mean(values: &Values, range: std::ops::Range<usize>, of: impl Fn(f64) -> f64) -> f64 {
    let n = range.len() as f64;
    range.map(|i| of(values.get(i))).sum::<f64>() / n
}
