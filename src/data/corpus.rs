//! From what the user typed after `--data` to tokens.

use std::path::Path;

use pytorch_reader::{PickleValue, PytorchReader};

use super::packages;
use super::prepare::Prepared;
use super::synthetic::{self, Language};
use super::tokens::Tokens;
use crate::error::{Error, IoContext, Result};

/// Which part of a corpus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// What training reads.
    Train,
    /// What evaluation and analyses read, where there is one.
    Val,
}

/// Tokens to train on and to measure on.
#[derive(Debug, Clone)]
pub struct Corpus {
    /// What the user called it.
    pub name: String,
    /// Ids are below this, where that is known.
    pub vocab_size: Option<usize>,
    /// The smallest loss any model can reach, where that is known.
    pub entropy_rate: Option<f64>,
    train: Tokens,
    val: Option<Tokens>,
}

const SYNTHETIC_TRAIN: usize = 1_000_000;
const SYNTHETIC_VAL: usize = 100_000;

impl Corpus {
    /// A token file, a folder with train.bin, the name of a dataset below `datasets`, or `synthetic`.
    ///
    /// # Errors
    /// [`Error::Usage`] or [`Error::File`] naming what is missing and how to make it.
    pub fn open(text: &str, datasets: &Path) -> Result<Self> {
        let path = Path::new(text);
        if path.is_dir() {
            return Self::folder(text, path);
        }
        if path.is_file() {
            let train = Tokens::open(path)?;
            return Ok(Corpus { name: text.into(), vocab_size: None, entropy_rate: None, train, val: None });
        }
        if text == "synthetic" {
            let language = Language::default();
            let part = |name: &str, count| {
                Tokens::from_memory(language.tokens(name, count), format!("synthetic {name}"))
            };
            return Ok(Corpus {
                name: text.into(),
                vocab_size: Some(synthetic::VOCAB_SIZE),
                entropy_rate: Some(language.entropy_rate()),
                train: part("train", SYNTHETIC_TRAIN),
                val: Some(part("val", SYNTHETIC_VAL)),
            });
        }
        let prepared = datasets.join(text);
        if prepared.join("train.bin").exists() {
            return Self::folder(text, &prepared);
        }
        if packages::recipe(text).is_some() {
            return Err(Error::usage_hint(
                format!(
                    "dataset `{text}` is not prepared: `{}` does not exist",
                    prepared.join("train.bin").display()
                ),
                format!("warmlab data {text}"),
            ));
        }
        let names: Vec<String> = packages::recipes().into_iter().map(|r| r.name).collect();
        Err(Error::usage_hint(
            format!("--data `{text}` is neither a file, nor a folder, nor a dataset"),
            format!("the datasets are synthetic, {}", names.join(", ")),
        ))
    }

    fn folder(name: &str, folder: &Path) -> Result<Self> {
        let train = folder.join("train.bin");
        if !train.exists() {
            return Err(Error::file_hint(
                folder,
                "is a folder without train.bin",
                format!("prepare it from text: warmlab data FILE.txt --out {}", folder.display()),
            ));
        }
        let val = folder.join("val.bin");
        Ok(Corpus {
            name: name.into(),
            vocab_size: vocab_size(folder)?,
            entropy_rate: None,
            train: Tokens::open(&train)?,
            val: val.exists().then(|| Tokens::open(&val)).transpose()?,
        })
    }

    /// The tokens of a split; all of them where there is only one.
    pub fn tokens(&self, split: Split) -> &Tokens {
        match split {
            Split::Train => &self.train,
            Split::Val => self.val.as_ref().unwrap_or(&self.train),
        }
    }
}

/// From our meta.json, or nanoGPT's meta.pkl.
fn vocab_size(folder: &Path) -> Result<Option<usize>> {
    let ours = folder.join("meta.json");
    if ours.exists() {
        let bytes = std::fs::read(&ours).at("read", &ours)?;
        let meta: Prepared = serde_json::from_slice(&bytes)
            .map_err(|e| Error::file(&ours, format!("is no dataset description: {e}")))?;
        return Ok(Some(meta.vocab_size));
    }
    let pickle = folder.join("meta.pkl");
    if pickle.exists() {
        let meta = PytorchReader::read_pickle_data(&pickle, None)
            .map_err(|e| Error::file(&pickle, format!("is no dataset description: {e}")))?;
        if let PickleValue::Dict(meta) = meta
            && let Some(PickleValue::Int(size)) = meta.get("vocab_size")
        {
            return Ok(usize::try_from(*size).ok());
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Tokenizer, prepare};

    #[test]
    fn a_prepared_folder_is_a_corpus() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let text = "abcdefghij".repeat(10);
        let prepared = prepare(&text, Tokenizer::Char, 0.1, folder.path()).expect("prepared");
        assert_eq!((prepared.train_tokens, prepared.val_tokens, prepared.vocab_size), (90, 10, 10));
        let corpus =
            Corpus::open(&folder.path().display().to_string(), Path::new("datasets")).expect("opened");
        assert_eq!(corpus.vocab_size, Some(10));
        assert_eq!(corpus.tokens(Split::Val).read(0, 10).expect("read"), (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_missing_is_named_with_the_command_that_makes_it() {
        let nowhere = Path::new("no such folder");
        let hint =
            |text: &str| Corpus::open(text, nowhere).expect_err("absent").hint().expect("a hint").to_string();
        assert_eq!(hint("moby-dick"), "warmlab data moby-dick");
        assert!(hint("tinystories").contains("synthetic"));
    }
}
