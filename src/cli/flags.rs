//! Flags that several commands share.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use super::datasets;
use crate::base::device::Device;
use crate::base::error::{self, Error};
use crate::base::steps::Steps;
use crate::base::takes::{Refusal, Takes};
pub use crate::base::takes::{real, whole, word};
use crate::base::values::DType;
use crate::measure::batches::DEFAULT_BATCH_SIZE;
use crate::measure::{self, Request, Source};
use crate::measure::{Sequences, Tokens};
use crate::run::Given;

/// Folder of runs when none is named.
pub const RUNS: &str = "runs";

/// Of every command.
#[derive(Args, Debug, Clone)]
pub struct Everywhere {
    /// Threads to use [default: all processors]
    #[arg(long, value_name = "N", global = true, value_parser = whole::<usize>(THREADS), help_heading = "General")]
    pub threads: Option<usize>,
    /// Print errors only
    #[arg(short, long, global = true, help_heading = "General")]
    pub quiet: bool,
    /// Print more
    #[arg(short, long, global = true, conflicts_with = "quiet", help_heading = "General")]
    pub verbose: bool,
}

/// How to compute.
#[derive(Args, Debug, Clone)]
pub struct Computing {
    /// Seed of everything random
    #[arg(long, value_name = "N", default_value_t = 1337, value_parser = whole::<u64>(Takes::WHOLE), help_heading = "Computing")]
    pub seed: u64,
    /// Precision of the model and of all vectors: f32 or f64
    #[arg(long, default_value = "f32", value_parser = word::<DType>(DType::NAMES), help_heading = "Computing")]
    pub dtype: DType,
    /// Where to compute; `warmlab list` names the devices of this build
    #[arg(long, default_value = "flex", value_parser = word::<Device>(Device::NAMES), help_heading = "Computing")]
    pub device: Device,
}

/// What a checkpoint may not say of itself.
#[derive(Args, Debug, Clone)]
pub struct Unsaid {
    /// Attention heads, for a checkpoint that does not say how many it has
    #[arg(long, value_name = "H", value_parser = whole::<usize>(Takes::POSITIVE_COUNT), help_heading = "Input")]
    n_head: Option<usize>,
}

impl Unsaid {
    /// The same for those who read it.
    pub fn given(&self) -> Given {
        Given { n_head: self.n_head }
    }
}

/// What to measure on.
#[derive(Args, Debug, Clone)]
pub struct Measuring {
    /// A checkpoint: a path, or step_N of --run or of the newest run that has it
    #[arg(long, value_name = "PATH|step_N", help_heading = "Input")]
    pub ckpt: Option<String>,
    /// The run that has the step, by folder or by name; without --ckpt every checkpoint of it is measured
    #[arg(long, value_name = "DIR", help_heading = "Input")]
    pub run: Option<PathBuf>,
    /// Of --run's checkpoints, only these steps, such as 1,5,10-20
    #[arg(
        long,
        value_name = "LIST",
        value_parser = Steps::from_str,
        requires = "run",
        conflicts_with = "ckpt",
        help_heading = "Input"
    )]
    pub steps: Option<Steps>,
    #[command(flatten)]
    pub unsaid: Unsaid,
    /// Leave out checkpoints of --run whose report is there already (same checkpoint, batches and options)
    #[arg(long, requires = "run", conflicts_with = "ckpt", help_heading = "Input")]
    pub resume: bool,
    /// Tokens: a .bin file, a folder with val.bin or train.bin, or a dataset [default: what the run was trained on]
    #[arg(long, value_name = "FILE|DIR|NAME", help_heading = "Input")]
    pub data: Option<String>,
    /// A batch saved as safetensors with x and y, (B, T) int64
    #[arg(long, value_name = "FILE", conflicts_with_all = ["data", "batch_size", "block_size"], help_heading = "Input")]
    pub batch: Option<PathBuf>,
    /// Sequences to measure on [default: 8]
    #[arg(long, value_name = "B", value_parser = whole::<usize>(Takes::POSITIVE_COUNT), help_heading = "Input")]
    pub batch_size: Option<usize>,
    /// Tokens per sequence [default: the checkpoint's]
    #[arg(long, value_name = "T", value_parser = whole::<usize>(Takes::POSITIVE_COUNT), help_heading = "Input")]
    pub block_size: Option<usize>,
    /// How sequences are chosen: the first ones in order, or at random offsets
    #[arg(long, default_value = "sequential", value_parser = word::<String>(&["sequential", "random"]), help_heading = "Input")]
    pub sampling: String,
    /// Measure on R batches, one after the other in the data, and report means with their errors over batches
    #[arg(long, value_name = "R", default_value_t = 1, value_parser = whole::<u64>(Takes::POSITIVE_COUNT), conflicts_with = "batch", help_heading = "Input")]
    pub repeat_batches: u64,
    /// Sequences computed at a time [default: as many as fit]
    #[arg(long, value_name = "B", value_parser = whole::<usize>(Takes::POSITIVE_COUNT), help_heading = "Computing")]
    pub micro_batch: Option<usize>,
    /// Memory that may be used, such as 8GiB [default: three quarters of what is free]
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes, help_heading = "Computing")]
    pub memory: Option<u64>,
    /// Folder for reports
    #[arg(long, value_name = "DIR", default_value = "reports", help_heading = "Output")]
    pub out: PathBuf,
    /// What to print: table, json or csv
    #[arg(long, default_value = "table", value_parser = word::<String>(&["table", "json", "csv"]), help_heading = "Output")]
    pub format: String,
    /// Exit with 0 even where something is unconverged or unresolved
    #[arg(long, help_heading = "Output")]
    pub allow_unconverged: bool,
}

const THREADS: Takes = Takes::Whole("a whole number from 1 to 1024", |n| (1..=1024).contains(&n));

/// "8GiB", "500MB", "1073741824".
pub fn parse_bytes(text: &str) -> Result<u64, Refusal> {
    let refuse =
        || Refusal { problem: "is not an amount of memory such as 8GiB or 500MB".into(), instead: None };
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "kib" => 1024.0,
        "m" | "mb" => 1e6,
        "mib" => 1048576.0,
        "g" | "gb" => 1e9,
        "gib" => 1073741824.0,
        "tib" => 1099511627776.0,
        _ => return Err(refuse()),
    };
    match number.parse::<f64>() {
        Ok(number) if number > 0.0 => Ok((number * factor) as u64),
        _ => Err(refuse()),
    }
}

impl Measuring {
    /// What the flags ask for.
    ///
    /// # Errors
    /// [`Error::Usage`] where they name no checkpoint.
    pub fn request(self, computing: &Computing, everywhere: &Everywhere) -> error::Result<Request> {
        let runs = PathBuf::from(RUNS);
        let source = match (self.ckpt, self.run) {
            (Some(named), run) => Source::Checkpoint { named, run, runs },
            (None, Some(named)) => Source::Run { named, steps: self.steps, runs },
            (None, None) => {
                return Err(Error::usage_hint(
                    "nothing to measure was named",
                    "use --ckpt PATH, --ckpt step_N, or --run runs/NAME",
                ));
            }
        };
        let tokens = self.batch.map_or_else(
            || {
                Tokens::Sequences(Sequences {
                    data: self.data,
                    datasets: datasets::places(),
                    batch_size: self.batch_size.unwrap_or(DEFAULT_BATCH_SIZE),
                    block_size: self.block_size,
                    random: self.sampling == "random",
                    count: self.repeat_batches,
                })
            },
            Tokens::Saved,
        );
        let computing = measure::Computing {
            seed: computing.seed,
            dtype: computing.dtype,
            device: computing.device,
            micro_batch: self.micro_batch,
            memory: self.memory,
            threads: everywhere.threads,
            given: self.unsaid.given(),
        };
        Ok(Request { source, tokens, computing, out: self.out, resume: self.resume })
    }
}

#[cfg(test)]
mod tests {
    use super::parse_bytes;

    #[test]
    fn amounts_of_memory_are_understood() {
        assert_eq!(parse_bytes("8GiB"), Ok(8 << 30));
        assert_eq!(parse_bytes("1.5 GB"), Ok(1_500_000_000));
        assert_eq!(parse_bytes("4096"), Ok(4096));
        for bad in ["", "GiB", "8 parsecs", "-1", "0"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
    }
}
