//! The folder of a run: a name is taken by one process, and one process writes at a time.
//!
//! It is made under another name and renamed when run.toml is in it, which exactly one of several processes that want
//! the name can do; killed before, a process leaves nothing under the name.

use std::fs;
use std::path::{Path, PathBuf};

use super::config::TrainConfig;
use crate::base::error::{Error, IoContext, Result};
use crate::base::files::{self, Claim};
use crate::run;

/// The file with the settings.
const SETTINGS: &str = "run.toml";

/// A run's folder, held by this process.
pub struct RunFolder {
    path: PathBuf,
    claim: Claim,
}

impl RunFolder {
    /// Makes `runs`/`name` with its settings; without a name it is the first of run-1, run-2, ... that is free. A folder
    /// in which no training has begun is taken as it is.
    ///
    /// # Errors
    /// Where the name is none, or taken.
    pub fn create(runs: &Path, name: Option<&str>, config: &TrainConfig) -> Result<Self> {
        if let Some(name) = name
            && (name.is_empty() || name.starts_with('.') || name.contains(['/', '\\']))
        {
            return Err(Error::usage(format!("--name `{name}` is no name for a folder")));
        }
        files::create_folder(runs)?;
        files::remove_left(runs)?;
        let numbered = (1..).map(|i| format!("run-{i}"));
        let names: Box<dyn Iterator<Item = String>> = match name {
            Some(name) => Box::new(std::iter::once(name.to_string())),
            None => Box::new(numbered.filter(|name| !runs.join(name).exists())),
        };
        let mut paths = names.map(|name| runs.join(name)).peekable();
        let first = paths.peek().map_or(runs, |path| path).to_path_buf();
        let made = files::temporary_name(|builder| builder.tempdir_in(runs)).at("create", &first)?;
        files::set_listable(made.path()).at("create", &first)?;
        config.write(&made.path().join(SETTINGS)).map_err(|e| e.in_the_making(made.path(), &first))?;
        for path in paths {
            match fs::rename(made.path(), &path) {
                Ok(()) => {
                    let _ = made.keep();
                    files::sync_folder(runs)?;
                    return Ok(RunFolder { claim: Claim::take(&path)?, path });
                }
                // somebody was faster
                Err(_) if path.exists() && name.is_none() => {}
                Err(_) if path.exists() => return Self::begin(&path, config),
                Err(e) => return Err(e).at("create", &path),
            }
        }
        Err(Error::usage("no name is free"))
    }

    /// Takes a folder that is there, if no training has begun in it.
    fn begin(path: &Path, config: &TrainConfig) -> Result<Self> {
        let exists = || {
            Error::file_hint(
                path,
                "exists already",
                format!("go on with it: warmlab train --resume {}; or choose another --name", path.display()),
            )
        };
        if !path.is_dir() {
            return Err(exists());
        }
        Claim::free(path)?;
        if !is_untouched(path)? {
            return Err(exists());
        }
        let folder = RunFolder { claim: Claim::take(path)?, path: path.into() };
        if !is_untouched(path)? {
            return Err(exists());
        }
        config.write(&path.join(SETTINGS))?;
        Ok(folder)
    }

    /// Takes the folder of a run that is to go on, and reads its settings.
    ///
    /// # Errors
    /// Where it is not there, held by another process, or no run.
    pub fn open(path: &Path) -> Result<(Self, TrainConfig)> {
        if !path.is_dir() {
            return Err(Error::usage_hint(
                format!("run `{}` does not exist", path.display()),
                "--resume takes the folder of a run, such as runs/NAME",
            ));
        }
        let folder = RunFolder { claim: Claim::take(path)?, path: path.into() };
        let settings = path.join(SETTINGS);
        if !settings.exists() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            return Err(Error::file_hint(
                path,
                "has no run.toml: its process ended before it wrote one, or it is no run",
                format!("start it again: warmlab train --name {name} and its settings"),
            ));
        }
        Ok((folder, TrainConfig::read(&settings)?))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The run's name.
    pub fn name(&self) -> String {
        let path = self.path.canonicalize().unwrap_or_else(|_| self.path.clone());
        path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// Makes sure that it is still this process's.
    ///
    /// # Errors
    /// Where another process has taken it over.
    pub fn check(&self) -> Result<()> {
        self.claim.check()
    }

    /// Writes the settings.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn write(&self, config: &TrainConfig) -> Result<()> {
        config.write(&self.path.join(SETTINGS))
    }
}

/// Whether a folder holds nothing of a run but settings: what a process leaves that ends before the first checkpoint.
fn is_untouched(path: &Path) -> Result<bool> {
    for entry in fs::read_dir(path).at("list", path)? {
        let entry = entry.at("list", path)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let own = match name.as_str() {
            SETTINGS => true,
            "steps.jsonl" => entry.metadata().at("read", entry.path())?.len() == 0,
            "checkpoints" => run::checkpoints(path)?.is_empty(),
            hidden => hidden.starts_with(".claim-") || hidden.starts_with(".tmp"),
        };
        if !own {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> TrainConfig {
        toml::from_str(
            r#"
            warmlab = "0"
            data = "synthetic"
            seed = 1
            steps = 3
            batch_size = 1
            grad_accumulation = 1
            grad_clip = 1.0
            dtype = "f32"
            eval_every = 0
            eval_sequences = 1
            model = { arch = "gpt2", n_layer = 1, n_head = 1, n_embd = 4, block_size = 4, vocab_size = 8, bias = false }
            optimizer = { beta1 = 0.9, beta2 = 0.95, eps = 1e-8, weight_decay = 0.1 }
            schedule = { peak = 1e-3, warmup = 1, decay = 3, min_lr = 1e-4 }
            checkpoints = { early = 1, growth = 1.0, every = 0, at = [] }
            "#,
        )
        .expect("settings")
    }

    #[test]
    fn of_many_that_want_a_name_one_gets_it_and_numbers_are_shared_out() {
        let runs = tempfile::tempdir().expect("a temporary folder");
        let mut names: Vec<String> = std::thread::scope(|scope| {
            let take = |name: Option<&'static str>| {
                let runs = runs.path();
                scope.spawn(move || RunFolder::create(runs, name, &settings()))
            };
            let named: Vec<_> = (0..6).map(|_| take(Some("x"))).collect();
            let numbered: Vec<_> = (0..6).map(|_| take(None)).collect();
            let taken: Vec<RunFolder> =
                named.into_iter().filter_map(|t| t.join().expect("no panic").ok()).collect();
            assert!(taken.len() <= 1, "{} hold one name", taken.len());
            numbered.into_iter().map(|t| t.join().expect("no panic").expect("taken").name()).collect()
        });
        names.sort();
        assert_eq!(names, ["run-1", "run-2", "run-3", "run-4", "run-5", "run-6"]);
        let left = fs::read_dir(runs.path()).expect("listed").count();
        assert_eq!(left, 7, "what the losers prepared is gone");
    }

    #[test]
    fn what_never_began_begins_again() {
        let runs = tempfile::tempdir().expect("a temporary folder");
        let create = || RunFolder::create(runs.path(), Some("x"), &settings());
        let path = runs.path().join("x");
        // as processes left it that were killed before run.toml, and before the first checkpoint
        fs::create_dir_all(path.join("checkpoints/.writing-abc")).expect("made");
        fs::write(path.join("steps.jsonl"), b"").expect("written");
        let error = RunFolder::open(&path).err().expect("no settings");
        assert!(error.hint().expect("a hint").contains("--name x"), "{error}");
        drop(create().expect("begun"));
        assert_eq!(RunFolder::open(&path).expect("opened").1, settings());
        drop(create().expect("begun again"));
        // held by another, then begun, then somebody's own folder
        let held = create().expect("held");
        assert!(create().err().expect("refused").to_string().contains("is being written by process"));
        drop(held);
        fs::write(path.join("steps.jsonl"), b"{}").expect("written");
        assert!(create().err().expect("refused").to_string().contains("exists already"));
        fs::write(path.join("steps.jsonl"), b"").expect("written");
        fs::write(path.join("notes.txt"), b"mine").expect("written");
        assert!(create().err().expect("refused").to_string().contains("exists already"));
    }
}
