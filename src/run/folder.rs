//! Which folder is a run: from what the user typed after `--run`.

use std::path::{Path, PathBuf};

use super::find::checkpoints;
use super::formats::FORMATS;
use crate::base::error::{Error, Result};
use crate::base::takes::{nearest, or};

/// The run that was named: the folder itself, or the run of that name in `runs`.
///
/// # Errors
/// [`Error::Usage`] or [`Error::File`] with the runs there are.
pub fn folder(named: &Path, runs: &Path) -> Result<PathBuf> {
    let below = runs.join(named);
    if let Some(run) = [named, &*below].into_iter().find(|folder| is_run(folder)) {
        return Ok(run.into());
    }
    let inner = within(named);
    if !inner.is_empty() {
        return Err(Error::file_hint(
            named,
            "is a folder of runs, not a run",
            format!(
                "name one of them: --run {}",
                or(inner.iter().map(|run| run.to_str().unwrap_or_default()))
            ),
        ));
    }
    let known = within(runs);
    let names: Vec<&str> = known.iter().filter_map(|run| run.file_name()?.to_str()).collect();
    let word = named.file_name().map_or("".into(), |name| name.to_string_lossy());
    let hint = match (nearest(&word, names.iter().copied()), names.is_empty()) {
        (Some(near), _) => format!("did you mean {}?", runs.join(near).display()),
        (None, false) => format!("`{}` has {}", runs.display(), or(names)),
        (None, true) => "a run is a folder with checkpoints; train one: warmlab train --name first".into(),
    };
    if named.is_dir() {
        return Err(Error::file_hint(named, "is not a run: it has no run.toml and no checkpoints", hint));
    }
    Err(Error::usage_hint(format!("run `{}` does not exist", named.display()), hint))
}

/// The runs in a folder, by name.
pub fn within(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    // what is hidden is being made
    let hidden =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    let mut runs: Vec<PathBuf> = entries.filter(|path| !hidden(path) && is_run(path)).collect();
    runs.sort();
    runs
}

/// Whether a folder is a run of some format, or has checkpoints.
fn is_run(folder: &Path) -> bool {
    let known = || FORMATS.iter().any(|format| format.is_run(folder));
    folder.is_dir() && (known() || checkpoints(folder).is_ok_and(|found| !found.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_found_by_its_folder_or_its_name_and_others_are_offered() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let runs = root.path().join("runs");
        for name in ["cold", "warm"] {
            std::fs::create_dir_all(runs.join(name).join("checkpoints/step_1")).expect("made");
        }
        std::fs::create_dir_all(root.path().join("empty")).expect("made");
        let cold = runs.join("cold");
        assert_eq!(folder(&cold, &runs).expect("found"), cold);
        assert_eq!(folder(Path::new("cold"), &runs).expect("found"), cold);
        let hint =
            |named: &Path| folder(named, &runs).expect_err("no run").hint().expect("a hint").to_string();
        assert_eq!(hint(Path::new("cald")), format!("did you mean {}?", cold.display()));
        assert!(hint(&runs).starts_with(&format!("name one of them: --run {} or", cold.display())));
        assert!(hint(&root.path().join("empty")).contains("cold or warm"));
        assert!(folder(&runs, &runs).expect_err("several").to_string().contains("is a folder of runs"));
        assert_eq!(within(&runs), [cold, runs.join("warm")]);
    }
}
