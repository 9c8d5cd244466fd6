//! The tensors of any file that parses, whatever it is: names, kinds and shapes, no numbers.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::pytorch::TorchFile;
use crate::base::error::{Error, IoContext, Result};

/// A tensor as its file describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its path within the file.
    pub name: String,
    /// PyTorch's or safetensors' name of its numbers.
    pub kind: String,
    /// Its extents.
    pub shape: Vec<usize>,
}

/// The tensors of a file, or of each file of tensors in a folder.
///
/// # Errors
/// Where a file does not parse, or none is there.
pub fn tensors(path: &Path) -> Result<Vec<(PathBuf, Vec<Listed>)>> {
    if !path.is_dir() {
        return Ok(vec![(path.into(), of_file(path)?)]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).at("list", path)? {
        let file = entry.at("list", path)?.path();
        let known =
            file.extension().is_some_and(|e| ["safetensors", "bin", "pt", "pth"].iter().any(|k| e == *k));
        files.extend((known && file.is_file()).then_some(file));
    }
    files.sort();
    // token files end in .bin too
    Ok(files.into_iter().filter_map(|file| of_file(&file).ok().map(|tensors| (file, tensors))).collect())
}

fn of_file(path: &Path) -> Result<Vec<Listed>> {
    if path.extension().is_some_and(|e| e == "safetensors") {
        return of_safetensors(path);
    }
    let file = TorchFile::open(path)?;
    let listed = |(name, tensor): (String, super::pytorch::Tensor)| Listed {
        name,
        kind: tensor.kind.into(),
        shape: tensor.shape,
    };
    Ok(file.tensors(file.pickle().root()).into_iter().map(listed).collect())
}

/// A tensor's entry in the header.
#[derive(Deserialize)]
struct Info {
    dtype: String,
    shape: Vec<usize>,
}

/// From the header alone, which is compared with the file's size before it is read.
fn of_safetensors(path: &Path) -> Result<Vec<Listed>> {
    let bad = |problem: String| Error::file(path, format!("is not a valid safetensors file: {problem}"));
    let mut file = fs::File::open(path).at("open", path)?;
    let len = file.metadata().at("read", path)?.len();
    let bytes = super::safetensors::header(&mut file, len).map_err(bad)?;
    let entries: Map<String, Value> = serde_json::from_slice(&bytes).map_err(|e| bad(e.to_string()))?;
    let listed = |(name, entry): (String, Value)| {
        let info: Info = serde_json::from_value(entry).ok()?;
        Some(Listed { name, kind: info.dtype.to_lowercase(), shape: info.shape })
    };
    let mut listed: Vec<Listed> = entries.into_iter().filter_map(listed).collect();
    listed.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(listed)
}
