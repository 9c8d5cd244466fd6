//! Named tensors of a file, whatever the file: what a container must answer to be read.

use std::path::Path;

use half::{bf16, f16};

use crate::base::error::Result;

/// How a file stores one tensor's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// Double precision.
    F64,
    /// Single precision.
    F32,
    /// Half precision of IEEE.
    F16,
    /// Single precision cut to 16 bits.
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

/// A tensor's type, an error text where it is not a float, and its extents.
pub type Described = (std::result::Result<Stored, String>, Vec<usize>);

/// Gives tensors by name.
pub trait TensorFile {
    /// Where it is.
    fn path(&self) -> &Path;
    /// Bytes of the file.
    fn size(&self) -> u64;
    /// All names.
    fn names(&self) -> Vec<&str>;
    /// A tensor's type and shape, `None` where there is none of that name.
    fn describe(&self, name: &str) -> Option<Described>;
    /// A tensor's bytes, little-endian, row-major.
    ///
    /// # Errors
    /// Where there is none of that name, or it cannot be read.
    fn bytes(&self, name: &str) -> Result<Vec<u8>>;
    /// Whether two tensors are alike in every bit.
    ///
    /// # Errors
    /// Where one cannot be read.
    fn same(&self, one: &str, other: &str) -> Result<bool> {
        Ok(self.describe(one) == self.describe(other) && self.bytes(one)? == self.bytes(other)?)
    }
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
}
