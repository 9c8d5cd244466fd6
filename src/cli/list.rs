//! `warmlab list`.

use std::fmt::Write;

use clap::Args;

use super::flags::Everywhere;
use super::terminal::Terminal;
use super::verdict::Outcome;
use crate::analyses::ANALYSES;
use crate::base::device::Device;
use crate::base::error::Result;
use crate::base::registry::Entry;
use crate::base::simd;
use crate::data::recipes;
use crate::measure::{metadata, training};
use crate::optim::OPTIMIZERS;
use crate::report;
use crate::run::FORMATS;
use crate::schedule::SCHEDULES;
use crate::snapshot::analysis::Quantity;

/// List analyses, quantities, datasets, schedules and devices
#[derive(Args)]
#[command(after_help = "Examples:\n  warmlab list\n  warmlab list --dictionary > reports/README.md")]
pub struct List {
    /// Print the columns and quantities of reports as Markdown
    #[arg(long)]
    dictionary: bool,
    /// List the schedules with their keys and sources
    #[arg(long, conflicts_with = "dictionary")]
    schedules: bool,
    /// List the optimizers with their keys and sources
    #[arg(long, conflicts_with_all = ["dictionary", "schedules"])]
    optimizers: bool,
    /// List the formats of checkpoints and logs, read or only recognised
    #[arg(long, conflicts_with_all = ["dictionary", "schedules", "optimizers"])]
    formats: bool,
    #[command(flatten)]
    everywhere: Everywhere,
}

impl List {
    /// Prints the catalogue.
    pub fn run(&self, terminal: &Terminal) -> Result<Outcome> {
        let _ = &self.everywhere;
        if self.dictionary {
            terminal.data(&dictionary())?;
            return Ok(Outcome::Done);
        }
        if self.schedules {
            return entries(SCHEDULES, terminal);
        }
        if self.optimizers {
            return entries(OPTIMIZERS, terminal);
        }
        if self.formats {
            return formats(terminal);
        }
        let mut text = String::new();
        let analyses = ANALYSES.iter().map(|a| (a.name(), a.about(), a.quantities()));
        for (name, about, quantities) in
            analyses.chain([(training::NAME, training::ABOUT, training::QUANTITIES)])
        {
            let _ = writeln!(text, "{name}\n  {about}");
            for quantity in quantities {
                let unit =
                    if quantity.unit.is_empty() { String::new() } else { format!(" [{}]", quantity.unit) };
                let _ = writeln!(text, "  - {}{unit}: {}", quantity.name, quantity.about);
            }
            text.push('\n');
        }
        text.push_str("datasets\n  - synthetic: a small language of known entropy; needs no file\n");
        for recipe in recipes() {
            let _ = writeln!(
                text,
                "  - {}: {}; {} + {} tokens, vocabulary {}; `warmlab data {0}` prepares it",
                recipe.name, recipe.about, recipe.train_tokens, recipe.val_tokens, recipe.vocab_size
            );
        }
        text.push_str("\nschedules\n");
        for entry in SCHEDULES {
            let _ = writeln!(text, "  - {}: {}", entry.name, entry.about);
        }
        text.push_str("\ndevices\n");
        for (name, about) in Device::all() {
            let _ = writeln!(text, "  - {name}: {about} ({})", simd::level().as_str());
        }
        print(&text, terminal)
    }
}

fn print(text: &str, terminal: &Terminal) -> Result<Outcome> {
    let wide = terminal.columns();
    let lines: Vec<String> = text.lines().map(|line| report::wrap(line, wide, 6)).collect();
    terminal.data(&format!("{}\n", lines.join("\n")))?;
    Ok(Outcome::Done)
}

/// A registry, each entry with its keys and where it is from.
fn entries<T: ?Sized>(all: &[&Entry<T>], terminal: &Terminal) -> Result<Outcome> {
    let mut text = String::new();
    for (i, Entry { name, about, source, keys, .. }) in all.iter().enumerate() {
        let space = if i == 0 { "" } else { "\n" };
        let _ = writeln!(text, "{space}{name}\n  {about}\n  source: {source}");
        for key in *keys {
            let _ = writeln!(text, "  - {}: {} [default: {}]", key.name, key.help, key.fallback);
        }
    }
    print(&text, terminal)
}

/// What --ckpt and --run take, and what is only recognised.
fn formats(terminal: &Terminal) -> Result<Outcome> {
    let mut text = String::new();
    for (i, format) in FORMATS.iter().enumerate() {
        let space = if i == 0 { "" } else { "\n" };
        let refused = if format.is_read() { "" } else { ", which is recognised and not read" };
        let _ = writeln!(text, "{space}{}\n  {}{refused}", format.name(), format.about());
        format.names().iter().for_each(|name| text.push_str(&format!("  - {name}\n")));
    }
    print(&text, terminal)
}

/// reports/README.md: what every column and every quantity means.
fn dictionary() -> String {
    let mut text = format!("{HEAD}\n| column | meaning |\n|---|---|\n");
    for (name, about) in report::COLUMNS {
        let _ = writeln!(text, "| {name} | {about} |");
    }
    for analysis in ANALYSES {
        section(&mut text, analysis.name(), analysis.about(), analysis.notes(), analysis.quantities());
    }
    section(&mut text, training::NAME, training::ABOUT, training::NOTES, training::QUANTITIES);
    text
}

fn section(text: &mut String, name: &str, about: &str, notes: &str, quantities: &[Quantity]) {
    let _ = writeln!(text, "\n## {name}\n{about}.\n");
    let _ = writeln!(text, "Conventions: {}.\n", metadata::one_line(notes));
    text.push_str("| quantity | unit | meaning |\n|---|---|---|\n");
    for quantity in quantities {
        let unit = if quantity.unit.is_empty() { "1" } else { quantity.unit };
        let _ = writeln!(text, "| `{}` | {unit} | {} |", quantity.name, quantity.about.replace('|', "\\|"));
    }
}

const HEAD: &str = "\
# Reports

Results land here as `RUN/ANALYSIS/step_N-KEY.parquet`, one row per number, all analyses with the same columns. KEY \
follows from the checkpoint, the batch, the options, the precision and the device: a command that is repeated writes \
the same file, and no other command touches it. `RUN/.commands/ANALYSIS/step_N-KEY.json` has the command line, the \
time it took and the peak memory. Everything needed to repeat a number is in the key-value metadata of its Parquet \
file: `warmlab inspect FILE` prints it.

`{operator}` stands for `hessian`, `ggn`, `preconditioned` or `preconditioned_next`.

This page is made by `warmlab list --dictionary`; a test compares them.

## Columns
";
