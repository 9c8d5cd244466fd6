//! Batches out of tokens: in order, or at random offsets.

use rand::RngExt;

use super::batch::Batch;
use super::tokens::Tokens;
use crate::base::error::{Error, Result};
use crate::base::random::Random;

/// Tokens of a batch or an update: more would fill the memory before the first number.
pub const MOST_TOKENS: usize = 1 << 28;

/// Sequences `first..first + batch_size` in order: sequence i is `tokens[i·T .. (i+1)·T]`, its targets
/// shifted by one.
///
/// # Errors
/// [`Error::Usage`] where there are too few tokens.
pub fn sequential(tokens: &Tokens, first: usize, batch_size: usize, seq: usize) -> Result<Batch> {
    let last = first.saturating_add(batch_size);
    let needed = last.saturating_mul(seq).saturating_add(1);
    enough(tokens, needed, || format!("sequences {first} to {last} of {seq} tokens"))?;
    let ids = tokens.read(first * seq, batch_size * seq + 1)?;
    Ok(Batch::new(ids[..batch_size * seq].to_vec(), ids[1..].to_vec(), seq))
}

/// Sequences at independent random offsets.
///
/// # Errors
/// [`Error::Usage`] where there are too few tokens for one.
pub fn random(tokens: &Tokens, batch_size: usize, seq: usize, random: &mut Random) -> Result<Batch> {
    enough(tokens, seq.saturating_add(1), || format!("one sequence of {seq} tokens and its targets"))?;
    if batch_size.saturating_mul(seq) > MOST_TOKENS {
        return Err(Error::usage_hint(
            format!("{batch_size} sequences of {seq} tokens are more than any memory holds"),
            "use a smaller --batch-size",
        ));
    }
    let (mut x, mut y) = (Vec::with_capacity(batch_size * seq), Vec::with_capacity(batch_size * seq));
    for _ in 0..batch_size {
        let start = random.random_range(0..tokens.len() - seq);
        let ids = tokens.read(start, seq + 1)?;
        x.extend_from_slice(&ids[..seq]);
        y.extend_from_slice(&ids[1..]);
    }
    Ok(Batch::new(x, y, seq))
}

fn enough(tokens: &Tokens, needed: usize, what: impl Fn() -> String) -> Result<()> {
    if tokens.len() >= needed {
        return Ok(());
    }
    Err(Error::usage_hint(
        format!("`{}` holds {} tokens; {} need {needed}", tokens.name(), tokens.len(), what()),
        "use a smaller --batch-size or --block-size, or more data",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::stream;

    #[test]
    fn targets_are_inputs_shifted_by_one() {
        let tokens = Tokens::from_memory((0..101).collect(), "ramp");
        let batch = sequential(&tokens, 2, 3, 20).expect("a batch");
        assert_eq!((batch.x()[0], batch.y()[0], batch.x()[59], batch.y()[59]), (40, 41, 99, 100));
        assert!(sequential(&tokens, 3, 3, 20).is_err());
        for (first, batch_size) in [(usize::MAX, 1), (0, usize::MAX), (usize::MAX, usize::MAX)] {
            assert!(sequential(&tokens, first, batch_size, 20).is_err());
            assert!(random(&tokens, batch_size.max(first), 20, &mut stream(1, 0, "t")).is_err());
        }
        let batch = random(&tokens, 50, 100, &mut stream(1, 0, "t")).expect("a batch");
        assert!(batch.x().iter().zip(batch.y()).all(|(x, y)| x + 1 == *y));
        // one offset only leaves room for a target
        assert!(batch.x().chunks(100).all(|row| row[0] == 0));
    }
}
