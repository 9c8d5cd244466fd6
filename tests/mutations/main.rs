//! Hostile input: files of every kind this program reads, mutated, each read in this process.
//!
//! Whatever a file says, its reader ends with a value or with one sentence; it takes no more memory than 64 MiB and
//! eight times the file; it does not panic, hang or overflow the stack; it leaves nothing behind. A thousand files
//! are tried, or as many as `WARMLAB_MUTATIONS` says, the same ones each time. A file that fails is saved under
//! the build's folder; to keep it for good, move it to `corpus/READER/`, whose files are tried as they are and
//! mutated further.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stderr)]

mod counting;
mod mutate;
mod readers;

use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use readers::{READERS, Reader};
use warmlab::base::error::{Error, Result};
use warmlab::base::{guard, random};

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

/// Memory a reader may take whatever the file.
const ALLOWANCE: usize = 64 << 20;
/// And per byte of the file.
const PER_BYTE: usize = 8;
/// A reader that takes longer hangs, on the busiest machine: a thousand of these files take a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// Panics since the last look: where and what.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn count() -> u64 {
    std::env::var("WARMLAB_MUTATIONS").map_or(1000, |text| text.parse().unwrap())
}

/// Reads one file; `Err` is what its reader must not do.
fn attempt(reader: &Reader, folder: &Path, bytes: &[u8]) -> std::result::Result<Result<()>, String> {
    fs::write(folder.join(reader.file), bytes).unwrap();
    PANICS.lock().unwrap().clear();
    let start = Instant::now();
    let (outcome, peak) =
        counting::peak_of(|| panic::catch_unwind(AssertUnwindSafe(|| (reader.read)(folder))));
    let taken = start.elapsed();
    let panics = PANICS.lock().unwrap().join("; ");
    // caught or not, this crate's own code does not panic
    let Ok(outcome) = outcome else { return Err(format!("panics: {panics}")) };
    if panics.contains("warmlab") || panics.starts_with("src/") || panics.starts_with("analyses/") {
        return Err(format!("panics in our own code: {panics}"));
    }
    if peak > ALLOWANCE + PER_BYTE * bytes.len() {
        return Err(format!("takes {peak} bytes of memory for a file of {}", bytes.len()));
    }
    if taken > PATIENCE {
        return Err(format!("takes {taken:?}"));
    }
    if let Err(error) = &outcome {
        one_sentence(error)?;
    }
    Ok(outcome)
}

/// What an error says is for a line of a terminal.
fn one_sentence(error: &Error) -> std::result::Result<(), String> {
    let text = error.to_string();
    if text.is_empty() || text.chars().any(char::is_control) || text.len() > 2000 {
        return Err(format!("says {} bytes that are not one sentence: {text}", text.len()));
    }
    Ok(())
}

/// All files below a folder.
fn names(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> =
        entries.flat_map(|path| if path.is_dir() { names(&path) } else { vec![path] }).collect();
    found.sort();
    found
}

/// The files kept for a reader.
fn kept(reader: &Reader) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mutations/corpus").join(reader.name);
    if !folder.exists() {
        return vec![];
    }
    names(&folder).iter().map(|path| fs::read(path).unwrap()).collect()
}

fn try_reader(reader: &Reader) {
    // one reader at a time: the memory counted is the process's
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    panic::set_hook(Box::new(|info| {
        let place = info.location().map_or("nowhere".into(), |at| format!("{}:{}", at.file(), at.line()));
        let caught = if guard::is_reading() { "caught" } else { "not caught" };
        let mut panics = PANICS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        panics.push(format!("{place}: {} ({caught})", info.payload_as_str().unwrap_or_default()));
    }));
    // where there is a file system in memory, a million files cost no disk
    let memory = Path::new("/dev/shm");
    let root = if memory.is_dir() { memory } else { Path::new(env!("CARGO_TARGET_TMPDIR")) };
    let folder = tempfile::Builder::new().prefix("warmlab-mutations-").tempdir_in(root).unwrap();
    let good = (reader.seeds)(folder.path());
    let kept = kept(reader);
    let fail = |bytes: &[u8], about: &str, problem: &str| {
        let saved = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutations").join(reader.name);
        fs::create_dir_all(&saved).unwrap();
        let saved = saved.join(about);
        fs::write(&saved, bytes).unwrap();
        let _ = panic::take_hook();
        panic!("{}: the reader {problem}\n  the file is {}", reader.name, saved.display());
    };
    for (i, bytes) in good.iter().enumerate() {
        match attempt(reader, folder.path(), bytes) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => fail(bytes, &format!("good-{i}"), &format!("refuses a good file: {error}")),
            Err(problem) => fail(bytes, &format!("good-{i}"), &problem),
        }
    }
    let before = names(folder.path());
    for (i, bytes) in kept.iter().enumerate() {
        if let Err(problem) = attempt(reader, folder.path(), bytes) {
            fail(bytes, &format!("kept-{i}"), &problem);
        }
    }
    let seeds = [good, kept].concat();
    let share = count().div_ceil(READERS.len() as u64);
    let (start, mut accepted, mut caught) = (Instant::now(), 0u64, 0u64);
    for i in 0..share {
        let bytes = mutate::mutate(&seeds, &mut random::stream(i, 0, reader.name));
        match attempt(reader, folder.path(), &bytes) {
            Ok(outcome) => accepted += u64::from(outcome.is_ok()),
            Err(problem) => fail(&bytes, &format!("case-{i}"), &problem),
        }
        caught += u64::from(!PANICS.lock().unwrap().is_empty());
        if names(folder.path()) != before {
            fail(&bytes, &format!("case-{i}"), "leaves other files behind than there were");
        }
    }
    let _ = panic::take_hook();
    eprintln!(
        "{}: {share} files in {:.0?}, {accepted} of them read, {caught} panics of other crates caught",
        reader.name,
        start.elapsed()
    );
}

macro_rules! readers {
    ($($test:ident),+) => {
        $(#[test]
        fn $test() {
            try_reader(&readers::$test());
        })+

        #[test]
        fn every_reader_has_its_test() {
            assert_eq!(READERS, [$(stringify!($test)),+]);
        }
    };
}
readers!(
    pytorch,
    meta_pickle,
    model,
    optimizer,
    state_tensors,
    batch,
    config,
    state,
    meta,
    tokens,
    report,
    steps,
    journal,
    run,
    dataset,
    words
);
