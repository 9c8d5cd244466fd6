//! From a path to what is there: the registry is asked, and the format that recognises it reads it.

use std::path::Path;

use super::candidate::Candidate;
use super::checkpoint::{Checkpoint, Moments};
use super::format::{Format, Given, Header, Opened};
use super::formats::FORMATS;
use super::series::Series;
use super::{name, unknown};
use crate::base::error::{Error, Result};
use crate::base::files;
use crate::base::values::DType;

/// Reads the checkpoint at `path`, whatever its format, with parameters and moments cast to `dtype`.
///
/// # Errors
/// Naming the file, the tensor and the problem.
pub fn open(path: &Path, dtype: DType) -> Result<Checkpoint> {
    open_for(path, dtype, Moments::Both, &Given::default())
}

/// Reads of a checkpoint's moments only those that are wanted, and takes from the user what it does not say.
///
/// # Errors
/// Naming the file, the tensor and the problem.
pub fn open_for(path: &Path, dtype: DType, wanted: Moments, given: &Given) -> Result<Checkpoint> {
    let there = Candidate::at(path)?;
    if let Some(format) = format_of(&there) {
        let opened = format.open(there, given)?;
        contradicts(opened.header(), given)?;
        return read(&*opened, format.name(), dtype, wanted);
    }
    match FORMATS.iter().find_map(|format| format.only(path)) {
        Some(only) => open_for(&only, dtype, wanted, given),
        None => Err(unknown::refusal(there, &formats_read())),
    }
}

/// Whether `path` is a checkpoint of some format, one that is only recognised too, or a folder of one.
pub fn is_checkpoint(path: &Path) -> bool {
    Candidate::at(path).is_ok_and(|there| format_of(&there).is_some())
        || FORMATS.iter().any(|format| format.only(path).is_some())
}

/// What the log of a run's folder, or a log alone, has of each step; nothing where there is no log that is known.
///
/// # Errors
/// Where the log is damaged.
pub fn series(path: &Path) -> Result<Vec<Series>> {
    FORMATS.iter().find_map(|format| format.series(path)).unwrap_or_else(|| Ok(Vec::new()))
}

fn format_of(there: &Candidate) -> Option<&'static dyn Format> {
    FORMATS.iter().copied().find(|format| format.recognises(there))
}

/// The formats whose checkpoints are read, in words.
fn formats_read() -> String {
    let words: Vec<&str> =
        FORMATS.iter().filter(|format| format.is_read()).map(|format| format.about()).collect();
    words.join(", or ")
}

/// What the user says must not be other than what the checkpoint says.
fn contradicts(header: &Header, given: &Given) -> Result<()> {
    let says = header.config.n_head;
    match given.n_head.filter(|n_head| *n_head != says) {
        Some(n_head) => Err(Error::usage_hint(
            format!("--n-head is {n_head}, and `{}` says that it has {says} heads", header.path.display()),
            "leave it out: it is for checkpoints that do not say it",
        )),
        None => Ok(()),
    }
}

/// Reads what was opened, and hashes its files meanwhile.
fn read(opened: &dyn Opened, format: &'static str, dtype: DType, wanted: Moments) -> Result<Checkpoint> {
    let Header { path, files, step, config, loss, seed, next_grad_norm, mut notes } = opened.header().clone();
    let numbers = || {
        let parameters = opened.parameters(dtype)?;
        Ok::<_, Error>((parameters, opened.optimizer(wanted, dtype, &mut notes)))
    };
    let hash = || match &files[..] {
        [only] => files::sha256_of_file(only),
        several => files::sha256_of_files(several),
    };
    let (numbers, sha256) = rayon::join(numbers, hash);
    let (parameters, optimizer) = numbers?;
    let (optimizer, without_optimizer) = match optimizer {
        Ok(optimizer) => (Some(optimizer), None),
        Err(none) => (None, Some(none)),
    };
    notes.extend(optimizer.iter().flat_map(|o| o.doubt.clone()));
    Ok(Checkpoint {
        run: name::of(&path),
        path,
        format,
        step,
        config,
        parameters,
        optimizer,
        next_grad_norm,
        without_optimizer,
        loss,
        seed,
        notes,
        sha256: sha256?,
    })
}
