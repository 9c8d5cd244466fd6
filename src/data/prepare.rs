//! Text to the token files nanoGPT reads: `train.bin`, `val.bin`, and a `meta.json` that says what is in
//! them.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::tokenizer::Tokenizer;
use crate::base::error::Result;
use crate::base::files;

/// meta.json: what a prepared folder holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// How the text became tokens.
    pub tokenizer: Tokenizer,
    /// Ids are below this.
    pub vocab_size: usize,
    /// Tokens of train.bin.
    pub train_tokens: usize,
    /// Tokens of val.bin.
    pub val_tokens: usize,
    /// SHA-256 of the text.
    pub sha256: String,
    /// For characters: the character of each id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub itos: Vec<char>,
}

/// Tokenizes `text` and writes the first part as train.bin, the last `val_fraction` of its characters as
/// val.bin.
///
/// # Errors
/// Where the text has too many characters or the folder cannot be written.
pub fn prepare(text: &str, tokenizer: Tokenizer, val_fraction: f64, folder: &Path) -> Result<Prepared> {
    let characters = text.chars().count();
    let cut = ((1.0 - val_fraction) * characters as f64) as usize;
    let cut = text.char_indices().nth(cut).map_or(text.len(), |(at, _)| at);
    let (ids, vocab_size, itos) = tokenizer.encode(&[&text[..cut], &text[cut..]])?;
    let prepared = Prepared {
        tokenizer,
        vocab_size,
        train_tokens: ids[0].len(),
        val_tokens: ids[1].len(),
        sha256: files::sha256_hex(text.as_bytes()),
        itos,
    };
    for (name, ids) in [("train.bin", &ids[0]), ("val.bin", &ids[1])] {
        let bytes: Vec<u8> = ids.iter().flat_map(|&id| (id as u16).to_le_bytes()).collect();
        files::write_bytes(&folder.join(name), &bytes)?;
    }
    let meta = serde_json::to_vec_pretty(&prepared).expect("plain data");
    files::write_bytes(&folder.join("meta.json"), &meta)?;
    Ok(prepared)
}
