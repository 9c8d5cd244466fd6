//! Files of `torch.save`, read without PyTorch and without running anything in them.
//!
//! The reader is our own because a checkpoint's plain values matter as much as its tensors: numbers that
//! numpy or PyTorch wrapped, the attributes of pickled configurations, the order of dictionaries, which
//! tensors share a storage. Every size is compared with the file before memory is taken.

mod archive;
mod named;
mod tensor;
mod wrappers;

use std::path::{Path, PathBuf};

pub use named::Named;
pub use tensor::Tensor;
pub use wrappers::plain;

use super::tensors::{Stored, decode};
use crate::base::error::{Error, Result};
use crate::base::pickle::{Id, Pickle, Value};
use archive::Archive;

/// A file of `torch.save`.
pub struct TorchFile {
    path: PathBuf,
    archive: Archive,
    pickle: Pickle,
}

/// Deeper nesting, or more values on the way, is no checkpoint's.
const DEEPEST: usize = 24;
const MOST: usize = 1 << 20;

impl TorchFile {
    /// Opens the file and parses its pickle; tensors are read when they are asked for.
    ///
    /// # Errors
    /// [`Error::File`] where it is damaged.
    pub fn open(path: &Path) -> Result<Self> {
        let (archive, pickle) = archive::open(path).map_err(|problem| {
            Error::file_hint(
                path,
                format!("is not a readable PyTorch file: {problem}"),
                "it may be cut off or damaged; compare its size with the original",
            )
        })?;
        Ok(TorchFile { path: path.into(), archive, pickle })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its bytes.
    pub fn size(&self) -> u64 {
        self.archive.len()
    }

    /// Its plain values.
    pub fn pickle(&self) -> &Pickle {
        &self.pickle
    }

    /// What lies under `names`, one within the other.
    pub fn find(&self, names: &[&str]) -> Option<Id> {
        names.iter().try_fold(self.pickle.root(), |id, name| self.pickle.get(id, name))
    }

    /// The tensor that a value is.
    pub fn tensor(&self, id: Id) -> Option<Tensor> {
        Tensor::of(&self.pickle, id)
    }

    /// The numbers of a tensor, little-endian, row by row.
    ///
    /// # Errors
    /// What is wrong, a phrase that follows the tensor's name.
    pub fn bytes(&self, tensor: &Tensor) -> std::result::Result<Vec<u8>, String> {
        let (start, len) = tensor.range();
        Ok(tensor.gather(self.archive.bytes(&tensor.key, start, len)?))
    }

    /// A number, whether Python, numpy or PyTorch holds it.
    pub fn number(&self, id: Id) -> Option<f64> {
        match self.pickle.value(id) {
            Value::Int(n) => Some(*n as f64),
            Value::Float(x) => Some(*x),
            _ => self.numpy_number(id).or_else(|| self.only_number(&self.tensor(id)?)),
        }
    }

    /// A number that counts something.
    pub fn count(&self, id: Id) -> Option<u64> {
        self.number(id).filter(|x| *x >= 0.0 && x.fract() == 0.0 && *x < 1e15).map(|x| x as u64)
    }

    /// A truth value, whoever holds it.
    pub fn truth(&self, id: Id) -> Option<bool> {
        match self.pickle.value(id) {
            Value::Bool(truth) => Some(*truth),
            _ => self.number(id).map(|x| x != 0.0),
        }
    }

    /// The number of a tensor with one.
    fn only_number(&self, tensor: &Tensor) -> Option<f64> {
        if tensor.shape.iter().any(|&extent| extent != 1) {
            return None;
        }
        let bytes = self.bytes(tensor).ok()?;
        number_of(&tensor.kind, &bytes)
    }

    /// numpy.core.multiarray.scalar(dtype, bytes), where bytes may be spelt as encoded text.
    fn numpy_number(&self, id: Id) -> Option<f64> {
        let pickle = &self.pickle;
        let call = |id: Id| match pickle.value(id) {
            Value::Call { callable, args, state } => {
                Some((pickle.text(*callable)?, pickle.items(*args), *state))
            }
            _ => None,
        };
        let ("numpy.core.multiarray.scalar" | "numpy._core.multiarray.scalar", [dtype, data], _) = call(id)?
        else {
            return None;
        };
        let ("numpy.dtype", [code, ..], state) = call(*dtype)? else { return None };
        let mut bytes: Vec<u8> = match pickle.value(*data) {
            Value::Bytes(bytes) => bytes.to_vec(),
            Value::Text(text) => latin(text)?,
            _ => match call(*data)? {
                ("_codecs.encode", [text, ..], _) => latin(pickle.text(*text)?)?,
                _ => return None,
            },
        };
        // (version, byte order, ...)
        let order = state.and_then(|state| pickle.text(*pickle.items(state).get(1)?));
        if order == Some(">") {
            bytes.reverse();
        }
        let kind = match pickle.text(*code)? {
            "f8" => "float64",
            "f4" => "float32",
            "f2" => "float16",
            "i8" => "int64",
            "i4" => "int32",
            "i2" => "int16",
            "i1" => "int8",
            "u8" => "uint64",
            "u4" => "uint32",
            "u2" => "uint16",
            "u1" => "uint8",
            "b1" => "bool",
            _ => return None,
        };
        number_of(kind, &bytes)
    }

    /// The tensors below `id` with their paths, in the file's order.
    pub fn tensors(&self, id: Id) -> Vec<(String, Tensor)> {
        let mut found = Vec::new();
        self.collect(id, &mut String::new(), DEEPEST, &mut MOST.clone(), &mut found);
        found
    }

    fn collect(
        &self,
        id: Id,
        path: &mut String,
        depth: usize,
        left: &mut usize,
        found: &mut Vec<(String, Tensor)>,
    ) {
        let Some(rest) = left.checked_sub(1).filter(|_| depth > 0) else { return };
        *left = rest;
        if let Some(tensor) = self.tensor(id) {
            found.push((path.clone(), tensor));
            return;
        }
        let pickle = &self.pickle;
        let children = pickle.entries(id).iter().map(|(key, child)| {
            let name = match pickle.value(*key) {
                Value::Int(n) => n.to_string(),
                _ => pickle.text(*key).unwrap_or("?").to_string(),
            };
            (name, *child)
        });
        let items = pickle.items(id).iter().enumerate().map(|(i, child)| (i.to_string(), *child));
        for (name, child) in children.chain(items) {
            let before = path.len();
            // a module keeps its parameters in tables of these names
            if !["_parameters", "_buffers", "_modules"].contains(&name.as_str()) {
                path.push_str(if before == 0 { "" } else { "." });
                path.push_str(&name);
            }
            self.collect(child, path, depth - 1, left, found);
            path.truncate(before);
        }
    }
}

/// Bytes spelt as the characters of Latin-1.
fn latin(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

/// The one number that little-endian `bytes` hold.
fn number_of(kind: &str, bytes: &[u8]) -> Option<f64> {
    let float = |stored: Stored| {
        let mut number = [0.0];
        (bytes.len() == stored.size()).then(|| decode(bytes, stored, &mut number, |x| x))?;
        Some(number[0])
    };
    let mut wide = [0; 8];
    wide.get_mut(..bytes.len())?.copy_from_slice(bytes);
    let (unsigned, bits) = (u64::from_le_bytes(wide), 8 * bytes.len() as u32);
    match kind {
        "float64" => float(Stored::F64),
        "float32" => float(Stored::F32),
        "float16" => float(Stored::F16),
        "bfloat16" => float(Stored::Bf16),
        _ if bytes.is_empty() => None,
        "int64" | "int32" | "int16" | "int8" => {
            // the sign bit moves to the top and back
            Some(((unsigned << (64 - bits)) as i64 >> (64 - bits)) as f64)
        }
        "uint64" | "uint32" | "uint16" | "uint8" | "bool" => Some(unsigned as f64),
        _ => None,
    }
}
