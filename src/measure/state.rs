//! .state_N.safetensors: what a tracker remembers at the checkpoint of step N.
//!
//! Written before the checkpoint is, so that no checkpoint is without it; when that is there, all but the last two go,
//! since a crash in between leaves the checkpoint before. A run resumed from an older checkpoint starts anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::base::error::{Error, IoContext, Result};
use crate::base::files;
use crate::base::values::{DType, Values};
use crate::base::vectors::Vectors;

/// Files kept.
const KEPT: usize = 2;

fn path(folder: &Path, step: u64) -> PathBuf {
    folder.join(format!(".state_{step}.safetensors"))
}

/// Writes the state at `step`.
///
/// # Errors
/// Where the disk refuses.
pub fn write(folder: &Path, step: u64, state: &BTreeMap<String, Vectors>) -> Result<()> {
    write_vectors(&path(folder, step), state)
}

/// Writes named vectors.
///
/// # Errors
/// Where the disk refuses.
pub fn write_vectors(path: &Path, state: &BTreeMap<String, Vectors>) -> Result<()> {
    let unwritten = |e: SafeTensorError| Error::file(path, format!("cannot be written: {e}"));
    let bytes: Vec<Vec<u8>> = state.values().map(|vectors| vectors.values().to_le_bytes()).collect();
    let mut views = Vec::new();
    for ((name, vectors), bytes) in state.iter().zip(&bytes) {
        let dtype = if vectors.dtype() == DType::F32 { Dtype::F32 } else { Dtype::F64 };
        let view = TensorView::new(dtype, vec![vectors.k(), vectors.n()], bytes);
        views.push((name, view.map_err(unwritten)?));
    }
    files::write_bytes(path, &safetensors::serialize(views, None).map_err(unwritten)?)
}

/// Removes what is before the last two up to `step`.
///
/// # Errors
/// Where the disk refuses.
pub fn prune(folder: &Path, step: u64) -> Result<()> {
    let mut others: Vec<u64> = steps(folder)?.into_iter().filter(|other| *other < step).collect();
    others.sort_unstable();
    for old in others.iter().rev().skip(KEPT - 1) {
        let path = self::path(folder, *old);
        fs::remove_file(&path).at("remove", &path)?;
    }
    Ok(())
}

/// The state at `step`, where there is one; those beyond it are removed.
///
/// # Errors
/// Where it is damaged, or the disk refuses.
pub fn read(folder: &Path, step: u64) -> Result<Option<BTreeMap<String, Vectors>>> {
    for later in steps(folder)?.into_iter().filter(|other| *other > step) {
        let path = path(folder, later);
        fs::remove_file(&path).at("remove", &path)?;
    }
    read_vectors(&path(folder, step))
}

/// Named vectors, where there is such a file.
///
/// # Errors
/// Where it is damaged.
pub fn read_vectors(path: &Path) -> Result<Option<BTreeMap<String, Vectors>>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).at("read", path),
    };
    let damaged = |what: String| Error::file(path, format!("is damaged: {what}"));
    let tensors = SafeTensors::deserialize(&bytes).map_err(|e| damaged(e.to_string()))?;
    let mut state = BTreeMap::new();
    for (name, tensor) in tensors.iter() {
        let data = tensor.data();
        let values = match tensor.dtype() {
            Dtype::F32 => {
                Values::F32(data.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
            }
            Dtype::F64 => {
                Values::F64(data.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect())
            }
            other => return Err(damaged(format!("`{name}` holds {other:?}"))),
        };
        let n = match tensor.shape() {
            [k, n] if *k > 0 && *n > 0 => *n,
            shape => return Err(damaged(format!("`{name}` has the shape {shape:?}"))),
        };
        if values.first_nonfinite().is_some() {
            return Err(damaged(format!("`{name}` holds numbers that are not finite")));
        }
        state.insert(name.to_string(), Vectors::new(values, n));
    }
    Ok(Some(state))
}

fn steps(folder: &Path) -> Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).at("list", folder)? {
        let name = entry.at("list", folder)?.file_name().to_string_lossy().into_owned();
        let step = name.strip_prefix(".state_").and_then(|name| name.strip_suffix(".safetensors"));
        found.extend(step.and_then(|step| step.parse::<u64>().ok()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_two_are_kept_and_what_is_beyond_a_checkpoint_goes() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let state = |step: u64| {
            let vectors = Vectors::new(Values::F32(vec![step as f32, 0.1, -3.0, 1e-30]), 2);
            let values = Vectors::new(Values::F64(vec![0.1 * step as f64]), 1);
            BTreeMap::from([("a.vectors".to_string(), vectors), ("a.values".to_string(), values)])
        };
        for step in [1, 4, 9] {
            write(folder.path(), step, &state(step)).expect("written");
            prune(folder.path(), step).expect("removed");
        }
        let mut left = steps(folder.path()).expect("listed");
        left.sort_unstable();
        assert_eq!(left, [4, 9]);
        assert_eq!(read(folder.path(), 4).expect("read"), Some(state(4)));
        assert_eq!(steps(folder.path()).expect("listed"), [4]);
        assert_eq!(read(folder.path(), 2).expect("read"), None);
        fs::write(path(folder.path(), 2), b"rubbish").expect("written");
        assert!(read(folder.path(), 2).is_err());
    }
}
