//! From what the user typed after `--data` to tokens.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use super::packages;
use super::prepare::Prepared;
use super::synthetic::{self, Language};
use super::tokens::Tokens;
use crate::base::error::{Error, IoContext, Result};
use crate::base::pickle::Pickle;
use crate::base::takes::nearest;

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
    /// At least one of the two.
    train: Option<Tokens>,
    val: Option<Tokens>,
}

const SYNTHETIC_TRAIN: usize = 1_000_000;
const SYNTHETIC_VAL: usize = 100_000;

impl Corpus {
    /// A token file, a folder with train.bin or val.bin, the name of a dataset in one of the folders `datasets`, or
    /// `synthetic`.
    ///
    /// # Errors
    /// [`Error::Usage`] or [`Error::File`] naming what is missing and how to make it.
    pub fn open(text: &str, datasets: &[PathBuf]) -> Result<Self> {
        let path = Path::new(text);
        if path.is_dir() {
            return Self::folder(text, path);
        }
        if path.is_file() {
            let train = Some(Tokens::open(path)?);
            return Ok(Corpus { name: text.into(), vocab_size: None, entropy_rate: None, train, val: None });
        }
        if text == "synthetic" {
            let language = Language::default();
            let part = |name: &str, count| {
                Some(Tokens::from_memory(language.tokens(name, count), format!("synthetic {name}")))
            };
            return Ok(Corpus {
                name: text.into(),
                vocab_size: Some(synthetic::VOCAB_SIZE),
                entropy_rate: Some(language.entropy_rate()),
                train: part("train", SYNTHETIC_TRAIN),
                val: part("val", SYNTHETIC_VAL),
            });
        }
        // a name, not a way up or out of the folders of datasets
        let plain = path.components().count() == 1 && path.file_name().is_some();
        let prepared =
            datasets.iter().map(|folder| folder.join(text)).find(|folder| plain && is_prepared(folder));
        if let Some(folder) = prepared {
            return Self::folder(text, &folder);
        }
        if packages::recipe(text).is_some() {
            return Err(Error::usage_hint(
                format!("dataset `{text}` is not prepared: no folder of datasets holds it"),
                format!("warmlab data {text}"),
            ));
        }
        let names = names(datasets);
        let hint = match nearest(text, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean --data {near}?"),
            None => format!("the datasets are {}", names.join(", ")),
        };
        Err(Error::usage_hint(
            format!("--data `{text}` is neither a file, nor a folder, nor a dataset"),
            hint,
        ))
    }

    fn folder(name: &str, folder: &Path) -> Result<Self> {
        let open = |file: &str| {
            let path = folder.join(file);
            path.exists().then(|| Tokens::open(&path)).transpose()
        };
        let (train, val) = (open("train.bin")?, open("val.bin")?);
        if train.is_none() && val.is_none() {
            return Err(Error::file_hint(
                folder,
                "is a folder without train.bin and val.bin",
                format!("prepare them from text: warmlab data FILE.txt --out {}", folder.display()),
            ));
        }
        Ok(Corpus { name: name.into(), vocab_size: vocab_size(folder)?, entropy_rate: None, train, val })
    }

    /// The corpus itself where it has tokens for training.
    ///
    /// # Errors
    /// [`Error::File`] where it has a validation split only.
    pub fn to_train_on(self) -> Result<Self> {
        if self.train.is_some() {
            return Ok(self);
        }
        let name = self.name.trim_end_matches('/');
        Err(Error::file_hint(
            &self.name,
            "has val.bin and no train.bin: it can be measured on, not trained on",
            format!(
                "copy the training tokens there, or prepare a folder of its own: warmlab data FILE.txt --out {name}-train"
            ),
        ))
    }

    /// Whether there are tokens that training does not read.
    pub fn has_validation(&self) -> bool {
        self.val.is_some()
    }

    /// The tokens of a split; all of them where there is only one.
    pub fn tokens(&self, split: Split) -> &Tokens {
        let (first, second) = match split {
            Split::Train => (&self.train, &self.val),
            Split::Val => (&self.val, &self.train),
        };
        first.as_ref().or(second.as_ref()).expect("a corpus has at least one split")
    }
}

/// Whether a folder holds token files.
fn is_prepared(folder: &Path) -> bool {
    ["train.bin", "val.bin"].iter().any(|file| folder.join(file).exists())
}

/// Datasets that are always there, those that can be prepared, and those that lie in the folders.
fn names(datasets: &[PathBuf]) -> Vec<String> {
    let recipes = packages::recipes().into_iter().map(|recipe| recipe.name);
    let mut names: Vec<String> = std::iter::once("synthetic".to_string()).chain(recipes).collect();
    let entries = datasets.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
    let prepared = entries.map(|entry| entry.path()).filter(|path| is_prepared(path));
    names.extend(prepared.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())));
    let known = names.len();
    names[1..known].sort();
    names.dedup();
    names
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
        let file = File::open(&pickle).at("open", &pickle)?;
        let meta = Pickle::parse(&mut BufReader::new(file))
            .map_err(|problem| Error::file(&pickle, format!("is no dataset description: {problem}")))?;
        return Ok(meta.get(meta.root(), "vocab_size").and_then(|id| meta.size(id)));
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
        let corpus = Corpus::open(&folder.path().display().to_string(), &[]).expect("opened");
        assert_eq!(corpus.vocab_size, Some(10));
        assert_eq!(corpus.tokens(Split::Val).read(0, 10).expect("read"), (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn one_split_is_enough_to_measure_on_and_training_needs_its_own() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let name = folder.path().display().to_string();
        std::fs::write(folder.path().join("val.bin"), [7, 0, 8, 0]).expect("written");
        let corpus = Corpus::open(&name, &[]).expect("opened");
        assert_eq!(corpus.tokens(Split::Val).read(0, 2).expect("read"), [7, 8]);
        let error = corpus.to_train_on().expect_err("nothing to train on");
        // what the hint writes is another folder: this one's val.bin stays
        assert!(error.hint().expect("a hint").ends_with(&format!("--out {name}-train")), "{error}");
    }

    #[test]
    fn datasets_are_found_in_any_of_the_folders_and_near_names_offered() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let places = ["a", "b"].map(|place| root.path().join(place));
        std::fs::create_dir_all(places[1].join("letters")).expect("made");
        std::fs::write(places[1].join("letters/train.bin"), [1, 0]).expect("written");
        assert!(Corpus::open("letters", &places).is_ok());
        assert!(Corpus::open("../b/letters", &places[..1]).is_err());
        let hint =
            |text: &str| Corpus::open(text, &places).expect_err("absent").hint().expect("a hint").to_string();
        assert_eq!(hint("moby-dick"), "warmlab data moby-dick");
        assert_eq!(hint("moby"), "did you mean --data moby-dick?");
        assert_eq!(hint("leters"), "did you mean --data letters?");
        assert_eq!(hint("tinystories"), "the datasets are synthetic, letters, moby-dick, sotu");
    }
}
