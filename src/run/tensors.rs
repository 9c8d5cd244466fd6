//! Named tensors of a file into one flat vector, every name, shape and dtype verified first.

use std::borrow::Cow;
use std::path::Path;

use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensors};

use crate::architecture::Parameter;
use crate::base::error::{Error, Result};
use crate::base::files;
use crate::base::values::{DType, Values};

/// How a file stores one tensor's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    F64,
    F32,
    F16,
    Bf16,
}

impl Stored {
    /// PyTorch's name.
    pub fn name(self) -> &'static str {
        match self {
            Stored::F64 => "float64",
            Stored::F32 => "float32",
            Stored::F16 => "float16",
            Stored::Bf16 => "bfloat16",
        }
    }

    /// Bytes of a number.
    pub fn size(self) -> usize {
        match self {
            Stored::F64 => 8,
            Stored::F32 => 4,
            Stored::F16 | Stored::Bf16 => 2,
        }
    }
}

/// Gives tensors by name; what a file format must answer to be read.
pub trait TensorFile {
    /// (dtype, shape) of a tensor, `None` where there is none of that name. The dtype is an error text
    /// where it is not a float.
    fn describe(&self, name: &str) -> Option<(std::result::Result<Stored, String>, Vec<usize>)>;
    /// Bytes of the file.
    fn size(&self) -> u64;
    /// A tensor's bytes, little-endian, row-major.
    fn bytes(&self, name: &str) -> Result<Vec<u8>>;
}

/// The flat vector of all `parameters`, each stored under `name(parameter)`.
///
/// # Errors
/// Naming the first tensor that is missing, misshapen, of another type, or not finite.
pub fn read_flat(
    file: &dyn TensorFile,
    path: &Path,
    parameters: &[Parameter],
    dtype: DType,
    name: impl Fn(&Parameter) -> String,
) -> Result<Values> {
    // everything is verified before anything is allocated
    let mut claimed = 0u64;
    for parameter in parameters {
        let stored = name(parameter);
        let Some((kind, shape)) = file.describe(&stored) else {
            let expected =
                format!("is missing; the configuration asks for it with shape {:?}", parameter.shape);
            return Err(Error::tensor(path, stored, expected));
        };
        match kind {
            Ok(kind) => claimed = claimed.saturating_add((parameter.len() * kind.size()) as u64),
            Err(kind) => {
                let problem = format!("is of type {kind}; expected f32, f64, f16 or bf16");
                return Err(Error::tensor(path, stored, problem));
            }
        }
        if shape != parameter.shape {
            let problem = format!("has shape {shape:?}; the configuration asks for {:?}", parameter.shape);
            return Err(Error::tensor(path, stored, problem));
        }
    }
    // a compressed archive may hold somewhat more than its size; what claims far more was made to
    if claimed > 2 * file.size() + (8 << 20) {
        return Err(Error::file(
            path,
            format!("claims {claimed} bytes of tensors in a file of {}; it is damaged", file.size()),
        ));
    }
    let n = parameters.last().map_or(0, |p| p.range().end);
    let mut flat = Values::zeros(n, dtype);
    for parameter in parameters {
        let stored = name(parameter);
        let Some((Ok(kind), _)) = file.describe(&stored) else { continue };
        let bytes = file.bytes(&stored)?;
        if bytes.len() != parameter.len() * kind.size() {
            let problem = format!("holds {} bytes of {}", bytes.len(), parameter.len() * kind.size());
            return Err(Error::tensor(path, stored, problem));
        }
        match &mut flat {
            Values::F32(v) => decode(&bytes, kind, &mut v[parameter.range()], |x| x as f32),
            Values::F64(v) => decode(&bytes, kind, &mut v[parameter.range()], |x| x),
        }
        let mut wrong = parameter.range().filter(|&i| !flat.get(i).is_finite());
        if let Some(at) = wrong.next() {
            let place = place(at - parameter.offset, &parameter.shape);
            let (first, count) = (flat.get(at), 1 + wrong.count());
            let problem = format!("holds {first} at {place:?}: {count} of its numbers are not finite");
            return Err(Error::tensor(path, stored, problem));
        }
    }
    Ok(flat)
}

/// What is lost of moments that a file holds in half precision, in words, where something is: a second
/// moment that is 0, or known to no better than a tenth, though the first is not.
pub fn vanished(
    file: &dyn TensorFile,
    parameters: &[Parameter],
    exp_avg: &Values,
    exp_avg_sq: &Values,
) -> Option<String> {
    let mut lost = 0usize;
    let mut kept_as = None;
    for p in parameters {
        let Some((Ok(kind), _)) = file.describe(&format!("exp_avg_sq.{}", p.name)) else { continue };
        // half the distance of neighbours near 0
        let rounding = match kind {
            Stored::F16 => 2f64.powi(-25),
            Stored::Bf16 => 2f64.powi(-134),
            Stored::F32 | Stored::F64 => continue,
        };
        let count =
            p.range().filter(|&i| exp_avg.get(i) != 0.0 && exp_avg_sq.get(i) < 10.0 * rounding).count();
        if count > 0 {
            lost += count;
            kept_as = Some(kind.name());
        }
    }
    kept_as.map(|kind| {
        format!(
            "the optimizer's second moment is stored in {kind}, where {lost} of its numbers have vanished or nearly \
             so: what is made of it is unresolved"
        )
    })
}

/// The indices of flat position `at` in a tensor of this shape.
fn place(mut at: usize, shape: &[usize]) -> Vec<usize> {
    let mut indices: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&extent| {
            let i = at % extent;
            at /= extent;
            i
        })
        .collect();
    indices.reverse();
    indices
}

/// Bytes as numbers.
pub fn decode<T>(bytes: &[u8], kind: Stored, out: &mut [T], cast: impl Fn(f64) -> T) {
    let numbers = bytes.chunks_exact(kind.size());
    for (slot, b) in out.iter_mut().zip(numbers) {
        *slot = cast(match (kind, b) {
            (Stored::F64, &[a, b, c, d, e, f, g, h]) => f64::from_le_bytes([a, b, c, d, e, f, g, h]),
            (Stored::F32, &[a, b, c, d]) => f64::from(f32::from_le_bytes([a, b, c, d])),
            (Stored::F16, &[a, b]) => f16::from_le_bytes([a, b]).to_f64(),
            (Stored::Bf16, &[a, b]) => bf16::from_le_bytes([a, b]).to_f64(),
            _ => unreachable!("chunks have the size of the type"),
        });
    }
}

/// A safetensors file in memory.
pub struct Safe<'a> {
    tensors: SafeTensors<'a>,
    size: u64,
}

impl<'a> Safe<'a> {
    /// Checks the header of `bytes`, the content of `path`.
    ///
    /// # Errors
    /// [`Error::File`] where the header is damaged or promises more than the file holds.
    pub fn new(path: &Path, bytes: &'a [u8]) -> Result<Self> {
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| {
            Error::file(
                path,
                format!("is not a valid safetensors file of {} bytes: {}", bytes.len(), explain(&e)),
            )
        })?;
        let file = Safe { tensors, size: bytes.len() as u64 };
        file.verify(path, bytes)?;
        Ok(file)
    }

    /// Compares the data with the checksum in the file's metadata, where there is one (ours have it): a
    /// flipped bit in a weight is otherwise just another weight.
    fn verify(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let stated = SafeTensors::read_metadata(bytes)
            .ok()
            .and_then(|(_, header)| header.metadata().as_ref()?.get(CHECKSUM).cloned());
        match stated {
            Some(stated)
                if stated
                    != checksum(self.tensors.iter().map(|(n, view)| (n.into(), view.data().into()))) =>
            {
                Err(Error::file_hint(
                    path,
                    "is damaged: its tensors do not have the checksum the file states",
                    "copy the file again from where it was written",
                ))
            }
            _ => Ok(()),
        }
    }

    /// All names in the file.
    pub fn names(&self) -> Vec<&str> {
        self.tensors.names()
    }
}

/// The metadata key of [`checksum`].
pub const CHECKSUM: &str = "sha256";

/// SHA-256 over all tensors in the order of their names.
pub fn checksum<'a>(tensors: impl Iterator<Item = (Cow<'a, str>, Cow<'a, [u8]>)>) -> String {
    let mut tensors: Vec<_> = tensors.collect();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    files::sha256(tensors.iter().flat_map(|(name, data)| [name.as_bytes(), data.as_ref()]))
}

/// The crate's error in words a user of checkpoints knows.
fn explain(error: &safetensors::SafeTensorError) -> String {
    use safetensors::SafeTensorError as E;
    match error {
        E::HeaderTooSmall => "it is too short to hold a header".into(),
        E::HeaderTooLarge => "its header claims an impossible size".into(),
        E::InvalidHeaderLength => "its header claims more bytes than the file holds".into(),
        E::MetadataIncompleteBuffer => "the data is cut off, or longer than its header says".into(),
        other => other.to_string(),
    }
}

impl TensorFile for Safe<'_> {
    fn describe(&self, name: &str) -> Option<(std::result::Result<Stored, String>, Vec<usize>)> {
        let view = self.tensors.tensor(name).ok()?;
        let kind = match view.dtype() {
            Dtype::F64 => Ok(Stored::F64),
            Dtype::F32 => Ok(Stored::F32),
            Dtype::F16 => Ok(Stored::F16),
            Dtype::BF16 => Ok(Stored::Bf16),
            other => Err(format!("{other:?}").to_lowercase()),
        };
        Some((kind, view.shape().to_vec()))
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn bytes(&self, name: &str) -> Result<Vec<u8>> {
        self.tensors
            .tensor(name)
            .map(|view| view.data().to_vec())
            .map_err(|e| Error::usage(format!("tensor `{name}` cannot be read: {e}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precisions_are_widened_exactly() {
        let mut out = [0.0f64; 2];
        let bytes: Vec<u8> =
            [f16::from_f32(1.5), f16::from_f32(-0.25)].iter().flat_map(|x| x.to_le_bytes()).collect();
        decode(&bytes, Stored::F16, &mut out, |x| x);
        assert_eq!(out, [1.5, -0.25]);
        let bytes: Vec<u8> =
            [bf16::from_f32(3.0), bf16::from_f32(-2.0)].iter().flat_map(|x| x.to_le_bytes()).collect();
        decode(&bytes, Stored::Bf16, &mut out, |x| x);
        assert_eq!(out, [3.0, -2.0]);
    }

    #[test]
    fn positions_are_named_by_their_indices() {
        assert_eq!(place(7, &[2, 5]), [1, 2]);
        assert_eq!(place(3, &[9]), [3]);
    }
}
