//! The checkpoints that a request is about.

use std::path::{Path, PathBuf};

use super::request::Source;
use crate::base::error::{Error, Result};
use crate::base::observer::Observer;
use crate::run;
use crate::train::TrainConfig;

/// A checkpoint to measure.
pub struct Target {
    /// Where it is.
    pub path: PathBuf,
    /// Its run's folder, where that is known.
    pub run: Option<PathBuf>,
}

/// The checkpoints of a source.
///
/// # Errors
/// Where there are none.
pub fn targets(source: &Source, observer: &dyn Observer) -> Result<Vec<Target>> {
    match source {
        Source::Checkpoint { named, run, runs } => {
            let run = run.as_deref().map(|run| run::folder(run, runs)).transpose()?;
            let found = run::find(named, run.as_deref(), runs)?;
            if let (Some(found), None) = (&found.run, run) {
                observer.note(&format!("{named} is that of the newest run that has it, {}", found.display()));
            }
            Ok(vec![Target { path: found.path, run: found.run }])
        }
        Source::Run { named, steps, runs } => {
            let run = run::folder(named, runs)?;
            let mut checkpoints = run::checkpoints(&run)?;
            if checkpoints.is_empty() {
                return Err(Error::file_hint(
                    run,
                    "holds no checkpoints",
                    format!("they lie in RUN or RUN/checkpoints, and are called {}", run::names()),
                ));
            }
            if let Some(steps) = steps {
                let known: Vec<u64> = checkpoints.iter().map(|(step, _)| *step).collect();
                if let Some(missing) = steps.without(&known) {
                    let problem = format!("has no checkpoint of {missing}");
                    let there = run::available(&run)?;
                    return Err(Error::file_hint(run, problem, there));
                }
                checkpoints.retain(|(step, _)| steps.contains(*step));
            }
            Ok(checkpoints.into_iter().map(|(_, path)| Target { path, run: Some(run.clone()) }).collect())
        }
    }
}

impl Target {
    /// The folder of its run, if it has one.
    pub fn run_folder(&self) -> Option<PathBuf> {
        let above = || self.path.canonicalize().ok()?.parent()?.parent().map(Path::to_path_buf);
        self.run.clone().or_else(above)
    }

    /// The data of run.toml, for a checkpoint of a run of ours.
    pub fn trained_on(&self) -> Option<String> {
        let run = self.run_folder()?;
        TrainConfig::read(&run.join("run.toml")).ok().map(|config| config.data)
    }
}
