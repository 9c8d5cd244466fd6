//! The layers of the code: who may know whom. The table is design, the test reads `use` lines.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms, lowest first, and those each may use beside the base.
const ROOMS: [(&str, &[&str]); 17] = [
    ("base", &[]),
    ("linalg", &[]),
    ("stats", &[]),
    ("architecture", &[]),
    ("data", &[]),
    ("run", &["architecture"]),
    ("kernels", &["architecture"]),
    ("model", &["architecture", "kernels", "data"]),
    ("operator", &["architecture", "kernels", "model", "linalg", "data", "run"]),
    ("optim", &["architecture", "stats"]),
    ("schedule", &[]),
    ("snapshot", &["architecture", "operator", "model", "data", "run", "optim"]),
    ("train", &["architecture", "model", "optim", "schedule", "data", "run", "stats", "snapshot"]),
    (
        "analyses",
        &["architecture", "snapshot", "operator", "linalg", "model", "stats", "data", "run", "optim"],
    ),
    ("report", &[]),
    ("measure", &["optim", "snapshot", "stats", "report", "train", "run", "data"]),
    (
        "cli",
        &[
            "architecture",
            "linalg",
            "stats",
            "run",
            "data",
            "kernels",
            "model",
            "operator",
            "optim",
            "schedule",
            "train",
            "snapshot",
            "analyses",
            "report",
            "measure",
        ],
    ),
];

/// A crate and the only places that may name it.
const CRATES: [(&str, &[&str]); 6] = [
    ("burn", &["kernels", "model", "base"]),
    ("burn_flex", &["kernels"]),
    ("polars", &["report"]),
    ("clap", &["cli"]),
    ("indicatif", &["cli"]),
    ("ndarray_linalg", &["linalg"]),
];

fn sources() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    walk(&root.join("src"), &mut found);
    walk(&root.join("analyses"), &mut found);
    found.sort();
    found
}

/// The layer of a source file: the folder below src, the file's stem, or "analyses".
fn layer(path: &Path) -> String {
    let relative = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap();
    let mut parts = relative.components().map(|c| c.as_os_str().to_string_lossy().into_owned());
    let first = parts.next().unwrap();
    if first == "analyses" {
        return first;
    }
    parts.next().unwrap().trim_end_matches(".rs").to_string()
}

/// The lines of a file outside its tests.
fn lines(path: &Path) -> Vec<(usize, String)> {
    let text = fs::read_to_string(path).unwrap();
    let end = text.find("#[cfg(test)]\nmod tests").or(text.find("#[cfg(test)]\npub(crate) mod tests"));
    text[..end.unwrap_or(text.len())].lines().enumerate().map(|(i, l)| (i + 1, l.to_string())).collect()
}

#[test]
fn no_layer_reaches_upwards() {
    for path in sources() {
        let layer = layer(&path);
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == layer) else {
            assert!(["lib", "main"].contains(&layer.as_str()), "{} lies in no room", path.display());
            continue;
        };
        for (number, line) in lines(&path) {
            let mut rest = line.as_str();
            while let Some(at) = rest.find("crate::") {
                rest = &rest[at + "crate::".len()..];
                let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let known = ROOMS.iter().any(|(l, _)| *l == name);
                let common = name == "base" && layer != "base";
                let fine = !known || common || name == layer || allowed.contains(&name.as_str());
                assert!(fine, "{}:{number}: layer `{layer}` must not use `{name}`: {line}", path.display());
            }
        }
    }
}

#[test]
fn analyses_do_not_know_each_other() {
    for path in sources().into_iter().filter(|p| layer(p) == "analyses") {
        // the files of one analysis lie in a folder of its own and may know each other
        let alone = path.parent().is_some_and(|folder| folder.ends_with("analyses"));
        let outward = if alone { "use super::" } else { "use super::super::" };
        for (number, line) in lines(&path) {
            let other = line.contains("crate::analyses::") || line.trim_start().starts_with(outward);
            assert!(!other, "{}:{number}: an analysis uses another: {line}", path.display());
        }
    }
}

#[test]
fn crates_stay_in_their_rooms() {
    for path in sources() {
        let layer = layer(&path);
        for (number, line) in lines(&path) {
            for (name, places) in CRATES {
                let code = line.split("//").next().unwrap();
                let named = code.contains(&format!("{name}::")) && !code.contains(&format!("_{name}::"));
                let fine = !named || places.contains(&layer.as_str());
                assert!(fine, "{}:{number}: `{name}` is named outside {places:?}: {line}", path.display());
            }
        }
    }
}

#[test]
fn files_stay_small() {
    for path in sources() {
        let count = fs::read_to_string(&path).unwrap().lines().count();
        assert!(count <= 420, "{} has {count} lines", path.display());
    }
}
