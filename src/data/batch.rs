//! One batch of token ids: B sequences of T inputs and their targets.

use crate::base::error::{Error, Result};
use crate::base::files;

/// Digits of a hash that name a batch in a row.
const ID: usize = 8;

/// The first digits of a hash: what a row calls the batch, or several batches together.
pub fn id(sha256: &str) -> String {
    sha256.chars().take(ID).collect()
}

/// One hash of several batches, in order; of a single one its own. It differs from that of one batch with all
/// their sequences, because a mean over batches is another number.
pub fn joint_sha256(batches: &[Batch]) -> String {
    match batches {
        [one] => one.sha256(),
        several => {
            let hashes: Vec<String> = several.iter().map(Batch::sha256).collect();
            files::sha256(hashes.iter().map(String::as_bytes))
        }
    }
}

/// Inputs x and targets y, both (B, T) row-major.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    x: Vec<u32>,
    y: Vec<u32>,
    seq: usize,
}

impl Batch {
    /// Token ids x and targets y of sequences of length `seq`.
    ///
    /// # Panics
    /// Where the lengths do not fit: a caller's mistake.
    pub fn new(x: Vec<u32>, y: Vec<u32>, seq: usize) -> Self {
        assert!(seq > 0 && !x.is_empty() && x.len() == y.len() && x.len().is_multiple_of(seq));
        Batch { x, y, seq }
    }

    /// B.
    pub fn batch_size(&self) -> usize {
        self.x.len() / self.seq
    }

    /// T.
    pub fn seq(&self) -> usize {
        self.seq
    }

    /// B·T.
    pub fn num_tokens(&self) -> usize {
        self.x.len()
    }

    /// Inputs, (B, T) row-major.
    pub fn x(&self) -> &[u32] {
        &self.x
    }

    /// Targets, (B, T) row-major.
    pub fn y(&self) -> &[u32] {
        &self.y
    }

    /// Pieces of at most `size` sequences.
    pub fn micro_batches(&self, size: usize) -> Vec<Batch> {
        let chunk = size.max(1) * self.seq;
        let pieces = self.x.chunks(chunk).zip(self.y.chunks(chunk));
        pieces.map(|(x, y)| Batch { x: x.to_vec(), y: y.to_vec(), seq: self.seq }).collect()
    }

    /// The sequences of several batches of one length, in order.
    ///
    /// # Panics
    /// Where there is none: a caller's mistake.
    pub fn concatenate(pieces: &[Batch]) -> Batch {
        let all = |of: fn(&Batch) -> &[u32]| pieces.iter().flat_map(|p| of(p).to_vec()).collect();
        Batch::new(all(Batch::x), all(Batch::y), pieces[0].seq)
    }

    /// Checks every id against the vocabulary.
    ///
    /// # Errors
    /// [`Error::Usage`] naming `source`, the id, its place and the vocabulary's size.
    pub fn check_vocabulary(&self, vocab_size: usize, source: &str) -> Result<()> {
        for (name, ids) in [("x", &self.x), ("y", &self.y)] {
            if let Some(at) = ids.iter().position(|&id| id as usize >= vocab_size) {
                let (row, column) = (at / self.seq, at % self.seq);
                return Err(Error::usage_hint(
                    format!(
                        "token {} of `{source}` ({name}[{row}, {column}]) is outside the model's vocabulary of {vocab_size}",
                        ids[at]
                    ),
                    "use the tokens this model was trained on, or prepare them with its tokenizer",
                ));
            }
        }
        Ok(())
    }

    /// SHA-256 of the shape and all ids, in hexadecimal: which batch a number was measured on.
    pub fn sha256(&self) -> String {
        let ids: Vec<u8> = self.x.iter().chain(&self.y).flat_map(|id| id.to_le_bytes()).collect();
        files::sha256([(self.seq as u64).to_le_bytes().as_slice(), &ids])
    }

    /// The first digits of the hash: what a row calls the batch.
    pub fn id(&self) -> String {
        id(&self.sha256())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_outside_the_vocabulary_are_named_with_their_place() {
        let batch = Batch::new(vec![0, 1, 2, 3], vec![1, 2, 9, 4], 2);
        let error = batch.check_vocabulary(5, "b.safetensors").expect_err("9 is outside").to_string();
        assert!(error.contains("token 9") && error.contains("y[1, 0]") && error.contains("b.safetensors"));
        assert!(batch.check_vocabulary(10, "b").is_ok());
    }

    #[test]
    fn micro_batches_cover_the_batch_in_order() {
        let batch = Batch::new((0..10).collect(), (1..11).collect(), 2);
        let pieces = batch.micro_batches(2);
        assert_eq!(pieces.iter().map(Batch::batch_size).collect::<Vec<_>>(), [2, 2, 1]);
        assert_eq!(pieces.iter().flat_map(|p| p.x().to_vec()).collect::<Vec<_>>(), batch.x());
    }
}
