//! The batches that checkpoints are measured on, and what they are in words.

use std::path::Path;

use super::request::{Sequences, Tokens};
use super::targets::Target;
use crate::base::error::{Error, Result};
use crate::base::random;
use crate::data::sampling::{self, MOST_TOKENS};
use crate::data::{self, Batch, Corpus, Split};
use crate::run::Checkpoint;
use crate::train::TrainConfig;

/// Sequences measured on by default.
pub const DEFAULT_BATCH_SIZE: usize = 8;

/// What is said of tokens that are not kept from training.
pub const TRAINING: &str = ", which are training tokens: there is no val.bin";

/// Batches that are measured on, one after the other.
pub struct Chosen {
    /// At least one.
    pub batches: Vec<Batch>,
    /// What they are.
    pub words: String,
}

/// The batches of a request. Those of one checkpoint are made once for all that need the same.
pub struct Batches<'a> {
    tokens: &'a Tokens,
    seed: u64,
    last: Option<(Needs, Chosen)>,
}

/// What batches depend on beside the request.
#[derive(PartialEq)]
struct Needs {
    data: String,
    block_size: usize,
    vocab_size: usize,
}

impl<'a> Batches<'a> {
    /// None made yet.
    pub fn new(tokens: &'a Tokens, seed: u64) -> Self {
        Batches { tokens, seed, last: None }
    }

    /// Those of a checkpoint.
    ///
    /// # Errors
    /// Where there are no tokens, or not enough.
    pub fn of(&mut self, checkpoint: &Checkpoint, target: &Target) -> Result<&Chosen> {
        let data = match self.tokens {
            Tokens::Saved(path) => path.display().to_string(),
            Tokens::Sequences(sequences) => sequences.data_of(target)?,
        };
        let (block_size, vocab_size) = (checkpoint.config.block_size, checkpoint.config.vocab_size);
        let needs = Needs { data, block_size, vocab_size };
        let last = match self.last.take().filter(|(same, _)| *same == needs) {
            Some(last) => last,
            None => {
                let chosen = match self.tokens {
                    Tokens::Saved(path) => saved(path, vocab_size)?,
                    Tokens::Sequences(sequences) => sequences.choose(&needs, self.seed)?,
                };
                (needs, chosen)
            }
        };
        Ok(&self.last.insert(last).1)
    }
}

fn saved(path: &Path, vocab_size: usize) -> Result<Chosen> {
    let batch = data::read_batch(path)?;
    batch.check_vocabulary(vocab_size, &path.display().to_string())?;
    let (size, seq) = (batch.batch_size(), batch.seq());
    let words = format!("{size} sequences of {seq} tokens from {}", path.display());
    Ok(Chosen { batches: vec![batch], words })
}

impl Sequences {
    fn data_of(&self, target: &Target) -> Result<String> {
        self.data.clone().or_else(|| target.trained_on()).ok_or_else(|| {
            Error::usage_hint(
                format!("`{}` does not say which tokens it was trained on", target.path.display()),
                "name them: --data FILE.bin, --data DIR or --data NAME, or a saved batch: --batch FILE.safetensors",
            )
        })
    }

    fn choose(&self, needs: &Needs, seed: u64) -> Result<Chosen> {
        let Needs { data, block_size, vocab_size } = needs;
        let corpus = Corpus::open(data, &self.datasets)?;
        let (size, seq) = (self.batch_size, self.block_size.unwrap_or(*block_size));
        if seq > *block_size {
            return Err(Error::usage_hint(
                format!("--block-size {seq} is longer than the checkpoint's {block_size}"),
                "use that or less, or leave it out",
            ));
        }
        enough_memory(size.saturating_mul(seq).saturating_mul(self.count as usize))?;
        let tokens = corpus.tokens(Split::Val);
        let batch = |i: u64| -> Result<Batch> {
            let batch = if self.random {
                let random = &mut random::stream(seed, i, "measured batch");
                sampling::random(tokens, size, seq, random)?
            } else {
                sampling::sequential(tokens, i as usize * size, size, seq)?
            };
            batch.check_vocabulary(*vocab_size, tokens.name())?;
            Ok(batch)
        };
        let batches = (0..self.count).map(batch).collect::<Result<Vec<_>>>()?;
        let count = match self.count {
            1 => String::new(),
            count => format!("{count} batches of "),
        };
        let order = if self.random { "random" } else { "the first" };
        // a file that was named is used as it is
        let named_file = self.data.is_some() && Path::new(data).is_file();
        let training = if corpus.has_validation() || named_file { "" } else { TRAINING };
        Ok(Chosen {
            batches,
            words: format!("{count}{order} {size} sequences of {seq} tokens of {data}{training}"),
        })
    }
}

/// What analyses of a run's checkpoints measure on by default, or as much of it as there is.
///
/// # Errors
/// Where there are too few tokens for one sequence.
pub fn probe(config: &TrainConfig, corpus: &Corpus) -> Result<Batch> {
    let (tokens, seq) = (corpus.tokens(Split::Val), config.model.block_size);
    let sequences = DEFAULT_BATCH_SIZE.min((tokens.len().saturating_sub(1) / seq).max(1));
    let batch = sampling::sequential(tokens, 0, sequences, seq)?;
    batch.check_vocabulary(config.model.vocab_size, tokens.name())?;
    Ok(batch)
}

/// Refuses batches that together would fill the memory before the first number.
fn enough_memory(tokens: usize) -> Result<()> {
    if tokens <= MOST_TOKENS {
        return Ok(());
    }
    Err(Error::usage_hint(
        format!("the batches hold {tokens} tokens, more than {MOST_TOKENS}"),
        "use a smaller --batch-size or --repeat-batches",
    ))
}
