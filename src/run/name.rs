//! What the run of a checkpoint is called where nobody says it.

use std::ffi::OsStr;
use std::path::{Path, absolute};

/// `runs/NAME/checkpoints/step_N` belongs to NAME. A loose checkpoint is called after its folder where it has
/// nanoGPT's only name, `ckpt`, and after its folder and itself otherwise, so that two never share a name for
/// being called alike.
pub fn of(checkpoint: &Path) -> String {
    // a link's own name counts, not that of what it leads to; `.` and `..` have none
    let path = match checkpoint.file_name() {
        Some(_) => absolute(checkpoint),
        None => checkpoint.canonicalize(),
    };
    let path = path.unwrap_or_else(|_| checkpoint.into());
    let text = |name: Option<&OsStr>| name.map(|name| name.to_string_lossy().into_owned());
    let name = |path: Option<&Path>| {
        let path = path?;
        text(path.file_name()).or_else(|| text(path.canonicalize().ok()?.file_name()))
    };
    let parent = path.parent();
    if parent.and_then(Path::file_name).is_some_and(|folder| folder == "checkpoints") {
        return name(parent.and_then(Path::parent)).unwrap_or_else(|| "checkpoint".into());
    }
    let stem = if path.is_dir() { text(path.file_name()) } else { text(path.file_stem()) };
    match (name(parent), stem) {
        (Some(folder), Some(stem)) if stem == "ckpt" => folder,
        (Some(folder), Some(stem)) => format!("{folder}-{stem}"),
        (folder, stem) => folder.or(stem).unwrap_or_else(|| "checkpoint".into()),
    }
}

/// A run is called as its folder is.
pub fn of_run(folder: &Path) -> String {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let whole = || folder.canonicalize().ok().as_deref().and_then(name);
    name(folder).or_else(whole).unwrap_or_else(|| "run".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_of_one_name_in_two_folders_are_two_runs() {
        for (path, name) in [
            ("/x/runs/cold/checkpoints/step_5", "cold"),
            ("/x/out/ckpt.pt", "out"),
            ("/x/warm/step_500.pt", "warm-step_500"),
            ("/x/golden/tiny-bias", "golden-tiny-bias"),
            ("/ckpt.pt", "ckpt"),
        ] {
            assert_eq!(of(Path::new(path)), name, "{path}");
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let here = folder.path().join("a.b/c");
        std::fs::create_dir_all(&here).expect("made");
        // a folder's name has no ending to lose
        assert!(of(&folder.path().join("a.b")).ends_with("-a.b"));
        assert_eq!(of(&here), "a.b-c");
        assert_eq!(of(&here.join("../c/../ckpt.pt")), "a.b");
    }
}
