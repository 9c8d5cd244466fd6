//! Which checkpoints a command measures, and on which batches.

use std::path::{Path, PathBuf};

use super::datasets;
use super::flags::{Computing, Measuring};
use super::terminal::Terminal;
use crate::base::error::{Error, Result};
use crate::base::random;
use crate::data::{self, Batch, Corpus, Split, sampling};
use crate::measure;
use crate::run::{self, Checkpoint};
use crate::train::{self, TrainConfig};

/// Folder of runs when none is named.
pub const RUNS: &str = "runs";

/// A checkpoint to measure.
pub struct Target {
    /// Where it is.
    pub path: PathBuf,
    /// Its run's folder, where that is known.
    pub run: Option<PathBuf>,
}

/// The checkpoints that the flags name.
///
/// # Errors
/// Where there are none.
pub fn targets(measuring: &Measuring, terminal: &Terminal) -> Result<Vec<Target>> {
    let run = measuring.run.as_deref().map(|run| run::folder(run, Path::new(RUNS))).transpose()?;
    let run = run.as_deref();
    if let Some(text) = &measuring.ckpt {
        let found = run::find(text, run, Path::new(RUNS))?;
        if let (Some(found), None) = (&found.run, run) {
            terminal.say(&format!("{text} is that of the newest run that has it, {}", found.display()));
        }
        return Ok(vec![Target { path: found.path, run: found.run }]);
    }
    let Some(run) = run else {
        return Err(Error::usage_hint(
            "nothing to measure was named",
            "use --ckpt PATH, --ckpt step_N, or --run runs/NAME",
        ));
    };
    let mut checkpoints = run::checkpoints(run)?;
    if checkpoints.is_empty() {
        return Err(Error::file_hint(
            run,
            "holds no checkpoints",
            "they lie in RUN/checkpoints/step_N, or are RUN/ckpt.pt, RUN/ckpt_N.pt or RUN/checkpoint-N",
        ));
    }
    if let Some(steps) = &measuring.steps {
        let known: Vec<u64> = checkpoints.iter().map(|(step, _)| *step).collect();
        if let Some(missing) = steps.without(&known) {
            let problem = format!("has no checkpoint of {missing}");
            return Err(Error::file_hint(run, problem, run::available(run)?));
        }
        checkpoints.retain(|(step, _)| steps.contains(*step));
    }
    Ok(checkpoints.into_iter().map(|(_, path)| Target { path, run: Some(run.into()) }).collect())
}

/// The batches to measure on, and what they are in words.
///
/// # Errors
/// Where there are no tokens, or not enough.
pub fn batches(
    measuring: &Measuring,
    computing: &Computing,
    checkpoint: &Checkpoint,
    target: &Target,
) -> Result<(Vec<Batch>, String)> {
    let vocab_size = checkpoint.config.vocab_size;
    if let Some(path) = &measuring.batch {
        let batch = data::read_batch(path)?;
        batch.check_vocabulary(vocab_size, &path.display().to_string())?;
        let words =
            format!("{} sequences of {} tokens from {}", batch.batch_size(), batch.seq(), path.display());
        return Ok((vec![batch], words));
    }
    let name = match &measuring.data {
        Some(name) => name.clone(),
        None => trained_on(target).ok_or_else(|| {
            Error::usage_hint(
                format!("`{}` does not say which tokens it was trained on", target.path.display()),
                "name them: --data FILE.bin, --data DIR or --data NAME, or a saved batch: --batch FILE.safetensors",
            )
        })?,
    };
    let corpus = Corpus::open(&name, &datasets::places())?;
    // a file that was named is used as it is
    let named_file = measuring.data.is_some() && Path::new(&name).is_file();
    let training = if corpus.has_validation() || named_file { "" } else { TRAINING };
    let tokens = corpus.tokens(Split::Val);
    let seq = measuring.block_size.unwrap_or(checkpoint.config.block_size);
    let batch_size = measuring.batch_size();
    if seq > checkpoint.config.block_size {
        return Err(Error::usage_hint(
            format!("--block-size {seq} is longer than the checkpoint's {}", checkpoint.config.block_size),
            "use that or less, or leave it out",
        ));
    }
    enough_memory(batch_size.saturating_mul(seq).saturating_mul(measuring.repeat_batches as usize))?;
    let order = if measuring.sampling == "random" { "random" } else { "the first" };
    let batch = |i: u64| -> Result<Batch> {
        let batch = if measuring.sampling == "random" {
            let random = &mut random::stream(computing.seed, i, "measured batch");
            sampling::random(tokens, batch_size, seq, random)?
        } else {
            sampling::sequential(tokens, i as usize * batch_size, batch_size, seq)?
        };
        batch.check_vocabulary(vocab_size, tokens.name())?;
        Ok(batch)
    };
    let batches = (0..measuring.repeat_batches).map(batch).collect::<Result<Vec<_>>>()?;
    let count = match measuring.repeat_batches {
        1 => String::new(),
        count => format!("{count} batches of "),
    };
    Ok((batches, format!("{count}{order} {batch_size} sequences of {seq} tokens of {name}{training}")))
}

/// What is said of tokens that are not kept from training.
pub const TRAINING: &str = ", which are training tokens: there is no val.bin";

/// Tokens of all batches together: more would fill the memory before the first number.
const MOST_TOKENS: usize = 1 << 28;

fn enough_memory(tokens: usize) -> Result<()> {
    if tokens <= MOST_TOKENS {
        return Ok(());
    }
    Err(Error::usage_hint(
        format!("the batches hold {tokens} tokens, more than {MOST_TOKENS}"),
        "use a smaller --batch-size or --repeat-batches",
    ))
}

/// Contradictions that are told one by one.
const TOLD: usize = 3;

/// What to say where the run's log, its checkpoints and its reports in `out` contradict each other.
///
/// # Errors
/// Where they cannot be read.
pub fn contradiction(targets: &[Target], out: &Path) -> Result<Option<String>> {
    let Some(run) = targets.first().and_then(run_of) else { return Ok(None) };
    let Some((updates, mut found)) = train::contradictions(&run)? else { return Ok(None) };
    let folder = run.canonicalize().unwrap_or_else(|_| run.clone());
    let name = folder.file_name().unwrap_or_default();
    found.extend(measure::contradictions(&out.join(name), updates)?);
    let more = found.len().saturating_sub(TOLD);
    found.truncate(TOLD);
    if more > 0 {
        found.push(format!("{more} more"));
    }
    Ok((!found.is_empty()).then(|| {
        format!(
            "run `{}` contradicts itself: {}; the numbers are those of each checkpoint as it is, and not of one run",
            name.to_string_lossy(),
            found.join("; ")
        )
    }))
}

/// The folder of a target's run, if it has one.
fn run_of(target: &Target) -> Option<PathBuf> {
    let above = || target.path.canonicalize().ok()?.parent()?.parent().map(Path::to_path_buf);
    target.run.clone().or_else(above)
}

/// The data of run.toml, for a checkpoint of a run of ours.
fn trained_on(target: &Target) -> Option<String> {
    let run = run_of(target)?;
    TrainConfig::read(&run.join("run.toml")).ok().map(|config| config.data)
}
