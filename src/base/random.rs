//! Randomness as an argument: one generator per (seed, step, purpose).
//!
//! Adding or skipping an analysis changes no other number, because no two purposes share a stream.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// The generator of this crate: portable, seekable, the same on every machine.
pub type Random = ChaCha8Rng;

/// The stream for `purpose` at `step` of a computation seeded with `seed`.
pub fn stream(seed: u64, step: u64, purpose: &str) -> Random {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(step.to_le_bytes());
    hash.update(purpose.as_bytes());
    ChaCha8Rng::from_seed(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn streams_repeat_and_differ() {
        let draw = |seed, step, purpose| stream(seed, step, purpose).next_u64();
        assert_eq!(draw(1, 2, "lanczos"), draw(1, 2, "lanczos"));
        let others = [draw(2, 2, "lanczos"), draw(1, 3, "lanczos"), draw(1, 2, "batch")];
        assert!(others.iter().all(|&other| other != draw(1, 2, "lanczos")));
    }
}
