//! Text to token ids: characters, bytes, or GPT-2's byte-pair encoding.

use std::str::FromStr;

use crate::base::error::{Error, Result};

/// How text becomes tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tokenizer {
    /// One token per character that occurs, in code-point order.
    Char,
    /// One token per byte of UTF-8.
    Byte,
    /// GPT-2's byte-pair encoding; 50,257 tokens.
    Gpt2,
}

impl FromStr for Tokenizer {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "char" => Ok(Tokenizer::Char),
            "byte" => Ok(Tokenizer::Byte),
            "gpt2" => Ok(Tokenizer::Gpt2),
            _ => Err(Error::usage_hint(
                format!("`{text}` is not a tokenizer"),
                "use --tokenizer char, byte or gpt2",
            )),
        }
    }
}

impl Tokenizer {
    /// What `--tokenizer` takes.
    pub const NAMES: &[&str] = &["char", "byte", "gpt2"];

    /// (ids of each piece of text, vocabulary size, the characters in id order for `Char`). The
    /// vocabulary is that of all pieces together.
    ///
    /// # Errors
    /// [`Error::Usage`] where the text has more different characters than a token file can number.
    pub fn encode(self, pieces: &[&str]) -> Result<(Vec<Vec<u32>>, usize, Vec<char>)> {
        match self {
            Tokenizer::Byte => {
                Ok((pieces.iter().map(|p| p.bytes().map(u32::from).collect()).collect(), 256, vec![]))
            }
            Tokenizer::Gpt2 => {
                let bpe = tiktoken_rs::r50k_base_singleton();
                Ok((pieces.iter().map(|p| bpe.encode_with_special_tokens(p)).collect(), 50_257, vec![]))
            }
            Tokenizer::Char => {
                let mut characters: Vec<char> = pieces.iter().flat_map(|p| p.chars()).collect();
                characters.sort_unstable();
                characters.dedup();
                if characters.len() > 1 << 16 {
                    return Err(Error::usage_hint(
                        format!("the text has {} different characters, more than 65,536", characters.len()),
                        "use --tokenizer byte or --tokenizer gpt2",
                    ));
                }
                let id = |c: char| characters.binary_search(&c).expect("collected from the same text") as u32;
                let ids = pieces.iter().map(|p| p.chars().map(id).collect()).collect();
                Ok((ids, characters.len(), characters))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tokenizer_gives_its_known_ids() {
        let (ids, size, characters) = Tokenizer::Char.encode(&["cab", "d—"]).expect("encoded");
        assert_eq!((ids, size), (vec![vec![2, 0, 1], vec![3, 4]], 5));
        assert_eq!(characters, ['a', 'b', 'c', 'd', '—']);
        assert_eq!(Tokenizer::Byte.encode(&["é"]).expect("encoded").0, [[0xc3, 0xa9]]);
        // the first line of OpenAI's encoder.py examples
        let (ids, ..) = Tokenizer::Gpt2.encode(&["Hello world<|endoftext|>"]).expect("encoded");
        assert_eq!(ids, [[15496, 995, 50256]]);
    }
}
