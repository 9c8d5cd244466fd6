//! A batch saved as a safetensors file: x and y, (B, T) int64, as PyTorch users save them.

use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors};

use super::batch::Batch;
use crate::base::error::{Error, IoContext, Result};

/// Reads x and y of `path`.
///
/// # Errors
/// Naming the tensor that is missing, misshapen or of another type, or the id that is negative.
pub fn read(path: &Path) -> Result<Batch> {
    let bytes = fs::read(path).at("read", path)?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| {
        Error::file(path, format!("is not a valid safetensors file of {} bytes: {e}", bytes.len()))
    })?;
    let (x, shape) = ids(&file, path, "x")?;
    let (y, other) = ids(&file, path, "y")?;
    if shape != other {
        return Err(Error::tensor(path, "y", format!("has shape {other:?}, unlike x with {shape:?}")));
    }
    let &[batch_size, seq] = shape.as_slice() else {
        return Err(Error::tensor(path, "x", format!("has shape {shape:?}; expected (B, T)")));
    };
    if batch_size * seq == 0 {
        return Err(Error::tensor(path, "x", "holds no tokens"));
    }
    Ok(Batch::new(x, y, seq))
}

fn ids(file: &SafeTensors, path: &Path, name: &str) -> Result<(Vec<u32>, Vec<usize>)> {
    let view = file
        .tensor(name)
        .map_err(|_| Error::tensor(path, name, "is missing; a batch file holds x and y, (B, T) int64"))?;
    let wide: Vec<i64> = match view.dtype() {
        Dtype::I64 => view.data().as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b)).collect(),
        Dtype::I32 => view.data().as_chunks::<4>().0.iter().map(|b| i32::from_le_bytes(*b).into()).collect(),
        other => return Err(Error::tensor(path, name, format!("is of type {other:?}; expected int64"))),
    };
    let ids = wide
        .iter()
        .map(|&id| {
            u32::try_from(id)
                .map_err(|_| Error::tensor(path, name, format!("holds {id}, which is no token id")))
        })
        .collect::<Result<_>>()?;
    Ok((ids, view.shape().to_vec()))
}
