//! What makes a report the result of a command, and so the name of its file.
//!
//! A command that is repeated writes the same file; one that could have another result, because its checkpoint,
//! its batch, its options, its precision, its device or this program's columns are others, writes another. Threads,
//! memory and micro-batches are options where they were asked for: they change roundings.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Report, read_metadata, read_parquet};
use crate::base::files;

/// `warmlab.*` keys.
type Meta = BTreeMap<String, String>;

/// The keys of the metadata that say so. `start`: where a search began, in place of at random.
const IDENTITY: [&str; 7] =
    ["schema_version", "options", "checkpoint_sha256", "batch_sha256", "dtype", "device", "start"];

/// Digits of a key.
const DIGITS: usize = 8;

/// Which job a report with this metadata is the result of, in 8 hexadecimal digits.
pub fn key(meta: &Meta) -> String {
    let value = |key: &str| meta.get(&format!("warmlab.{key}")).map_or("", String::as_str);
    // `cuda:1` is of the kind `cuda`
    let kind = |device: &str| device.split(':').next().unwrap_or_default().to_string();
    let pieces = IDENTITY.map(|key| if key == "device" { kind(value(key)) } else { value(key).to_string() });
    files::sha256(pieces.iter().map(String::as_bytes)).chars().take(DIGITS).collect()
}

/// `step_N-KEY`, the name of a checkpoint's report and of all that lies beside it.
pub fn stem(step: u64, meta: &Meta) -> String {
    format!("step_{step}-{}", key(meta))
}

/// Where the files of one analysis of one run lie below the folder of all reports.
#[derive(Debug, Clone)]
pub struct Shelf {
    run: PathBuf,
    analysis: String,
}

impl Shelf {
    /// Of an analysis of a run.
    pub fn new(out: &Path, run: &str, analysis: &str) -> Self {
        Shelf { run: out.join(run), analysis: analysis.into() }
    }

    /// The report of the job with this metadata.
    pub fn report(&self, stem: &str) -> PathBuf {
        self.run.join(&self.analysis).join(format!("{stem}.parquet"))
    }

    /// The folder for what lies beside the reports. Names that begin with a dot are no part of a Parquet dataset.
    pub fn commands(&self) -> PathBuf {
        self.run.join(".commands").join(&self.analysis)
    }

    /// What the command was and what it took.
    pub fn command(&self, stem: &str) -> PathBuf {
        self.commands().join(format!("{stem}.json"))
    }

    /// The report that is the result of the job with this metadata, and its name; of several, because a search may
    /// have begun elsewhere, the one that began as this job says, or the first by name. One that cannot be read is
    /// none.
    pub fn finished(&self, step: u64, meta: &Meta) -> Option<(String, Report)> {
        let value = |meta: &Meta, key: &str| meta.get(&format!("warmlab.{key}")).cloned();
        let result = |stem: &String| {
            let own = read_metadata(&self.report(stem)).ok()?;
            let same = |key: &&str| *key == "start" || value(&own, key) == value(meta, key);
            if !IDENTITY.iter().all(same) {
                return None;
            }
            Some((stem.clone(), read_parquet(&self.report(stem)).ok()?))
        };
        let beginning = format!("step_{step}-");
        let files = std::fs::read_dir(self.run.join(&self.analysis)).into_iter().flatten().flatten();
        let stems = files.filter_map(|file| file.path().file_stem()?.to_str().map(String::from));
        let mut stems: Vec<String> = stems.filter(|stem| stem.starts_with(&beginning)).collect();
        stems.sort();
        std::iter::once(&stem(step, meta)).chain(&stems).find_map(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_job_is_in_its_key_and_nothing_else_is() {
        let meta = |changed: &str, to: &str| -> Meta {
            let pairs = IDENTITY.map(|key| (format!("warmlab.{key}"), format!("the {key}")));
            let changed = [(format!("warmlab.{changed}"), to.to_string())];
            pairs.into_iter().chain(changed).collect()
        };
        let first = key(&meta("notes", "a"));
        assert!(first.len() == 8 && first.chars().all(|c| c.is_ascii_hexdigit()), "{first}");
        assert_eq!(first, key(&meta("notes", "b")));
        for part in IDENTITY {
            assert_ne!(first, key(&meta(part, "another")), "{part}");
        }
        assert_eq!(key(&meta("device", "cuda:0")), key(&meta("device", "cuda:1")));
        // what moves from one part to the next is not the same
        assert_ne!(key(&meta("dtype", "")), key(&meta("device", "")));
    }
}
