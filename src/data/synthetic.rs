//! A small language of known entropy, for when there is no text and no network.
//!
//! 200 words of two to seven letters follow each other as a Markov chain: after each word come eight
//! others, the k-th with probability proportional to 1/k. Words are spelled out, with spaces between.
//! A space ends every word and the words differ, so letters determine words, and the entropy rate in nats
//! per token is exactly
//!
//! h = H(1/k, k = 1..8) / Σ_w π_w (length_w + 1)
//!
//! with π the chain's stationary distribution. No model's loss can stay below h; one that has learned the
//! language comes near it. (At the start of a sequence the current word is not known, so the loss on
//! short sequences stays a little above.)

use rand::RngExt;

use crate::base::random::{Random, stream};

/// Words of the language.
const WORDS: usize = 200;
/// Words that may follow a word.
const SUCCESSORS: usize = 8;
/// The language is one and the same, whatever the user's seed.
const SEED: u64 = 1337;
/// Ids are below this: space and the letters.
pub const VOCAB_SIZE: usize = 27;

/// The language: spelling and chain.
pub struct Language {
    /// Letters of each word, ids 1..=26.
    words: Vec<Vec<u32>>,
    /// Successors of each word.
    next: Vec<[usize; SUCCESSORS]>,
}

impl Default for Language {
    fn default() -> Self {
        let random = &mut stream(SEED, 0, "synthetic language");
        let mut words: Vec<Vec<u32>> = Vec::new();
        while words.len() < WORDS {
            let length = random.random_range(2..=7);
            let word: Vec<u32> = (0..length).map(|_| random.random_range(1..VOCAB_SIZE as u32)).collect();
            if !words.contains(&word) {
                words.push(word);
            }
        }
        let next = (0..WORDS).map(|_| rand::seq::index::sample(random, WORDS, SUCCESSORS));
        let next = next.map(|sample| std::array::from_fn(|k| sample.index(k))).collect();
        Language { words, next }
    }
}

/// Probability of the k-th successor, k from 0.
fn probability(k: usize) -> f64 {
    let total: f64 = (1..=SUCCESSORS).map(|k| 1.0 / k as f64).sum();
    1.0 / ((k + 1) as f64 * total)
}

impl Language {
    /// The entropy rate h in nats per token.
    pub fn entropy_rate(&self) -> f64 {
        let word: f64 = (0..SUCCESSORS).map(|k| -probability(k) * probability(k).ln()).sum();
        let mean_length: f64 =
            self.stationary().iter().zip(&self.words).map(|(p, w)| p * (w.len() + 1) as f64).sum();
        word / mean_length
    }

    /// π, by repeated application of the chain (averaged over two steps, so that a periodic chain would
    /// converge too).
    fn stationary(&self) -> Vec<f64> {
        let mut p = vec![1.0 / WORDS as f64; WORDS];
        for _ in 0..2000 {
            let mut q = vec![0.0; WORDS];
            for (from, next) in self.next.iter().enumerate() {
                for (k, &to) in next.iter().enumerate() {
                    q[to] += p[from] * probability(k);
                }
            }
            p.iter_mut().zip(q).for_each(|(p, q)| *p = 0.5 * (*p + q));
        }
        p
    }

    fn successor(&self, word: usize, random: &mut Random) -> usize {
        let mut u: f64 = random.random();
        for k in 0..SUCCESSORS {
            u -= probability(k);
            if u < 0.0 {
                return self.next[word][k];
            }
        }
        self.next[word][SUCCESSORS - 1]
    }

    /// `count` tokens of the text called `part`.
    pub fn tokens(&self, part: &str, count: usize) -> Vec<u32> {
        let random = &mut stream(SEED, 0, part);
        let mut word = 0;
        // forget the start
        for _ in 0..1000 {
            word = self.successor(word, random);
        }
        let mut tokens = Vec::with_capacity(count + 8);
        while tokens.len() < count {
            word = self.successor(word, random);
            tokens.extend_from_slice(&self.words[word]);
            tokens.push(0);
        }
        tokens.truncate(count);
        tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_has_the_stated_entropy() {
        let language = Language::default();
        let tokens = language.tokens("train", 2_000_000);
        // parse the words back, and score each by the chain: an estimate that knows neither π nor H
        let (mut previous, mut nats, mut letters, mut squares, mut count) = (None, 0.0, 0usize, 0.0, 0usize);
        for word in tokens.split(|&t| t == 0) {
            let Some(word_index) = language.words.iter().position(|w| w == word) else { continue };
            if let Some(previous) = previous {
                let next: &[usize; SUCCESSORS] = &language.next[previous];
                let k = next.iter().position(|&n| n == word_index).expect("a successor");
                let surprise = -probability(k).ln();
                (nats, squares, count) = (nats + surprise, squares + surprise * surprise, count + 1);
                letters += word.len() + 1;
            }
            previous = Some(word_index);
        }
        let mean = nats / count as f64;
        let spread = (squares / count as f64 - mean * mean).sqrt() / (count as f64).sqrt();
        let (rate, error) = (nats / letters as f64, 4.0 * spread / mean);
        assert!(
            (rate / language.entropy_rate() - 1.0).abs() < error + 0.002,
            "{rate} {}",
            language.entropy_rate()
        );
    }

    #[test]
    fn texts_repeat_and_their_parts_differ() {
        let language = Language::default();
        assert_eq!(language.tokens("train", 100), Language::default().tokens("train", 100));
        assert_ne!(language.tokens("train", 100), language.tokens("val", 100));
        assert!(language.tokens("val", 5000).iter().all(|&t| (t as usize) < VOCAB_SIZE));
    }
}
