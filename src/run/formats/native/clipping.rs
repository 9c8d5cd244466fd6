//! How a run of ours clips gradients, from what lies beside its checkpoints: run.toml has the threshold, steps.jsonl
//! the norm of every update's gradient.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;

use crate::run::own::layout::{LOG_FILE, RUN_FILE};

/// What is known of the update after a checkpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Clipping {
    /// Gradient norm above which gradients are scaled down; 0 is never.
    pub threshold: Option<f64>,
    /// Norm of the next update's gradient before clipping.
    pub next_norm: Option<f64>,
}

#[derive(Deserialize)]
struct Settings {
    grad_clip: Option<f64>,
}

#[derive(Deserialize)]
struct Line {
    step: u64,
    grad_norm: f64,
}

/// Of the run that the checkpoint `folder` of step `step` lies in. What is not there, or cannot be read, is not known.
pub fn beside(folder: &Path, step: u64) -> Clipping {
    let Ok(folder) = folder.canonicalize() else { return Clipping::default() };
    // runs/NAME/checkpoints/step_N, or runs/NAME/step_N
    let run = folder.ancestors().skip(1).take(2).find(|run| run.join(RUN_FILE).is_file());
    let Some(run) = run else { return Clipping::default() };
    let settings = fs::read_to_string(run.join(RUN_FILE)).ok();
    let threshold =
        settings.and_then(|text| toml::from_str::<Settings>(&text).ok()).and_then(|s| s.grad_clip);
    Clipping { threshold, next_norm: norm_of(&run.join(LOG_FILE), step + 1) }
}

/// The norm that the log has for `update`; a line cut off or damaged ends the search.
fn norm_of(log: &Path, update: u64) -> Option<f64> {
    let lines = BufReader::new(File::open(log).ok()?).lines();
    let lines = lines.map_while(|line| serde_json::from_str::<Line>(&line.ok()?).ok());
    let line = lines.into_iter().find(|line| line.step == update)?;
    Some(line.grad_norm).filter(|norm| norm.is_finite() && *norm >= 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_finds_the_log_of_its_run() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let folder = root.path().join("r/checkpoints/step_2");
        fs::create_dir_all(&folder).expect("made");
        assert_eq!(beside(&folder, 2), Clipping::default());
        fs::write(root.path().join("r/run.toml"), "grad_clip = 0.5\n[model]\nn_layer = 1\n").expect("made");
        assert_eq!(beside(&folder, 2), Clipping { threshold: Some(0.5), next_norm: None });
        let line = |step: u64| format!("{{\"step\":{step},\"loss\":1.0,\"grad_norm\":{}.5}}\n", step);
        let whole: String = (1..=3).map(line).collect();
        for (log, expected) in [
            (whole.clone(), Some(3.5)),
            (whole.replace("3.5", "null"), None),
            (whole[..whole.len() - 9].into(), None),
        ] {
            fs::write(root.path().join("r/steps.jsonl"), log).expect("made");
            assert_eq!(beside(&folder, 2).next_norm, expected);
        }
    }
}
