//! Which sequences training and its evaluation read.

use super::config::TrainConfig;
use crate::base::error::Result;
use crate::base::random;
use crate::data::{Batch, Corpus, Split, sampling};

/// The batch of an update: a function of the seed and the update alone, so that training resumes anywhere.
pub fn training_batch(config: &TrainConfig, corpus: &Corpus, update: u64) -> Result<Batch> {
    let sequences = config.batch_size * config.grad_accumulation;
    let random = &mut random::stream(config.seed, update, "training batch");
    let batch = sampling::random(corpus.tokens(Split::Train), sequences, config.model.block_size, random)?;
    batch.check_vocabulary(config.model.vocab_size, corpus.tokens(Split::Train).name())?;
    Ok(batch)
}

/// The first sequences of the validation split, one by one.
pub fn evaluation_batches(config: &TrainConfig, corpus: &Corpus) -> Result<Vec<Batch>> {
    if config.eval_every == 0 {
        return Ok(vec![]);
    }
    let (tokens, seq) = (corpus.tokens(Split::Val), config.model.block_size);
    let sequences = config.eval_sequences.min((tokens.len().saturating_sub(1) / seq).max(1));
    let batch = sampling::sequential(tokens, 0, sequences, seq)?;
    batch.check_vocabulary(config.model.vocab_size, tokens.name())?;
    Ok(batch.micro_batches(1))
}
