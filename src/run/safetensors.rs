//! A safetensors file: its header in memory, its tensors read when they are asked for.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use safetensors::tensor::{Dtype, Metadata};

use super::tensors::{Described, Stored, TensorFile};
use crate::base::error::{Error, IoContext, Result};
use crate::base::files;

/// An open file.
pub struct SafeFile {
    path: PathBuf,
    file: Mutex<File>,
    len: u64,
    /// Where tensors begin.
    start: u64,
    header: Metadata,
    names: Vec<String>,
}

impl SafeFile {
    /// Opens the file and checks its header: every tensor lies within the file, and nothing else does.
    ///
    /// # Errors
    /// [`Error::File`] where the header is damaged or promises more than the file holds.
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = File::open(path).at("read", path)?;
        let len = file.metadata().at("read", path)?.len();
        let bad = |problem: &str| {
            Error::file(path, format!("is not a valid safetensors file of {len} bytes: {problem}"))
        };
        let bytes = header(&mut file, len).map_err(|problem| bad(&problem))?;
        let header: Metadata = serde_json::from_slice(&bytes).map_err(|e| bad(&e.to_string()))?;
        let start = 8 + bytes.len() as u64;
        if start + header.data_len() as u64 != len {
            return Err(bad("the data is cut off, or longer than its header says"));
        }
        let names = header.offset_keys();
        Ok(SafeFile { path: path.into(), file: Mutex::new(file), len, start, header, names })
    }

    /// Compares the data with the checksum in the file's metadata, where there is one (ours have it): a flipped bit in
    /// a weight is otherwise just another weight.
    ///
    /// # Errors
    /// [`Error::File`] where they differ.
    pub fn verify(&self) -> Result<()> {
        let Some(stated) = self.header.metadata().as_ref().and_then(|entries| entries.get(CHECKSUM)) else {
            return Ok(());
        };
        if *stated == checksum(self.names(), |name| self.bytes(name))? {
            return Ok(());
        }
        Err(Error::file_hint(
            &self.path,
            "is damaged: its tensors do not have the checksum the file states",
            "copy the file again from where it was written",
        ))
    }
}

impl TensorFile for SafeFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn size(&self) -> u64 {
        self.len
    }

    fn names(&self) -> Vec<&str> {
        self.names.iter().map(String::as_str).collect()
    }

    fn describe(&self, name: &str) -> Option<Described> {
        let info = self.header.info(name)?;
        let kind = match info.dtype {
            Dtype::F64 => Ok(Stored::F64),
            Dtype::F32 => Ok(Stored::F32),
            Dtype::F16 => Ok(Stored::F16),
            Dtype::BF16 => Ok(Stored::Bf16),
            other => Err(format!("{other:?}").to_lowercase()),
        };
        Some((kind, info.shape.clone()))
    }

    fn bytes(&self, name: &str) -> Result<Vec<u8>> {
        let info = self.header.info(name).ok_or_else(|| Error::tensor(&self.path, name, "is missing"))?;
        let (from, to) = info.data_offsets;
        let mut bytes = vec![0; to - from];
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.start + from as u64))
            .and_then(|_| file.read_exact(&mut bytes))
            .at("read", &self.path)?;
        Ok(bytes)
    }
}

/// The header of a file of `len` bytes, JSON, which is left behind it.
///
/// # Errors
/// What is wrong with it, a clause.
pub fn header(file: &mut File, len: u64) -> std::result::Result<Vec<u8>, String> {
    let mut size = [0; 8];
    file.read_exact(&mut size).map_err(|_| "it is too short to hold a header")?;
    let size = u64::from_le_bytes(size);
    if size > LONGEST_HEADER {
        return Err("its header claims an impossible size".into());
    }
    if size > len.saturating_sub(8) {
        return Err("its header claims more bytes than the file holds".into());
    }
    let mut bytes = Vec::new();
    file.take(size).read_to_end(&mut bytes).map_err(|e| format!("it cannot be read: {e}"))?;
    if bytes.len() as u64 != size {
        return Err("its header is cut off".into());
    }
    Ok(bytes)
}

/// Bytes of a header, as the format's definition has it.
const LONGEST_HEADER: u64 = 100_000_000;

/// The metadata key of [`checksum`].
pub const CHECKSUM: &str = "sha256";

/// SHA-256 over tensors in the order of their names, one in memory at a time.
///
/// # Errors
/// Where `bytes` cannot give one.
pub fn checksum<'a, B: AsRef<[u8]>>(
    names: impl IntoIterator<Item = &'a str>,
    bytes: impl Fn(&str) -> Result<B>,
) -> Result<String> {
    let mut names: Vec<&str> = names.into_iter().collect();
    names.sort_unstable();
    let mut hash = files::Pieces::default();
    for name in names {
        hash.add(name.as_bytes());
        hash.add(bytes(name)?.as_ref());
    }
    Ok(hash.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_does_not_depend_on_the_order_in_the_file() {
        let bytes = |name: &str| Ok(name.repeat(3).into_bytes());
        let sum = |names: [&'static str; 2]| checksum(names, bytes).expect("in memory");
        assert_eq!(sum(["a", "b"]), sum(["b", "a"]));
        assert_eq!(sum(["a", "b"]), files::sha256([&b"a"[..], b"aaa", b"b", b"bbb"]));
    }
}
