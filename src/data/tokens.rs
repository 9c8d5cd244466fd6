//! A long list of token ids, in memory or in a file that is read where it is needed.
//!
//! Files are nanoGPT's `.bin` (uint16, no header) or llm.c's (256 int32 of header, then uint16, or uint32
//! for the large vocabularies), told apart by the header's magic number.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::base::error::{Error, IoContext, Result};

/// Token ids.
#[derive(Debug, Clone)]
pub struct Tokens {
    source: Source,
    len: usize,
    name: String,
}

#[derive(Debug, Clone)]
enum Source {
    Memory(Arc<[u32]>),
    File { file: Arc<Mutex<File>>, path: PathBuf, start: u64, width: u64 },
}

const LLMC_UINT16: i32 = 20240520;
const LLMC_UINT32: i32 = 20240801;
const LLMC_HEADER: u64 = 1024;

impl Tokens {
    /// Ids in memory; `name` is what messages call them.
    pub fn from_memory(ids: Vec<u32>, name: impl Into<String>) -> Self {
        Tokens { len: ids.len(), source: Source::Memory(ids.into()), name: name.into() }
    }

    /// Opens a token file.
    ///
    /// # Errors
    /// [`Error::File`] where it is empty or its length contradicts its header.
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = File::open(path).at("open", path)?;
        let bytes = file.metadata().at("read", path)?.len();
        if bytes == 0 {
            return Err(Error::file_hint(
                path,
                "is empty; it holds no tokens",
                "prepare it again: warmlab data FILE.txt",
            ));
        }
        let (start, width) = match header(&mut file, bytes).at("read", path)? {
            None => (0, 2),
            Some((magic, count)) => {
                let width = if magic == LLMC_UINT16 { 2 } else { 4 };
                let promised = u64::try_from(count).unwrap_or(u64::MAX);
                if promised.checked_mul(width).and_then(|b| b.checked_add(LLMC_HEADER)) != Some(bytes) {
                    return Err(Error::file(
                        path,
                        format!(
                            "has a header that promises {count} tokens of {width} bytes, but {bytes} bytes in all"
                        ),
                    ));
                }
                (LLMC_HEADER, width)
            }
        };
        let body = bytes - start;
        if !body.is_multiple_of(width) {
            return Err(Error::file(
                path,
                format!("has {bytes} bytes, no multiple of the {width} of a token; it is cut off"),
            ));
        }
        let source = Source::File { file: Arc::new(Mutex::new(file)), path: path.into(), start, width };
        Ok(Tokens { source, len: (body / width) as usize, name: path.display().to_string() })
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What messages call them: the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Ids `start..start + count`.
    ///
    /// # Errors
    /// Where the file cannot be read.
    ///
    /// # Panics
    /// Where the range lies outside: a caller's mistake.
    pub fn read(&self, start: usize, count: usize) -> Result<Vec<u32>> {
        assert!(start + count <= self.len, "tokens {start}..{} of {}", start + count, self.len);
        match &self.source {
            Source::Memory(ids) => Ok(ids[start..start + count].to_vec()),
            Source::File { file, path, start: offset, width } => {
                let mut bytes = vec![0u8; count * *width as usize];
                let mut file = file.lock().expect("no reader panics while it holds the lock");
                file.seek(SeekFrom::Start(offset + start as u64 * width)).at("read", path)?;
                file.read_exact(&mut bytes).at("read", path)?;
                Ok(match width {
                    2 => bytes.chunks_exact(2).map(|b| u32::from(u16::from_le_bytes([b[0], b[1]]))).collect(),
                    _ => {
                        bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
                    }
                })
            }
        }
    }
}

/// (magic, token count) of llm.c's header, where the file has one.
fn header(file: &mut File, bytes: u64) -> std::io::Result<Option<(i32, i32)>> {
    if bytes < LLMC_HEADER {
        return Ok(None);
    }
    let mut start = [0u8; 12];
    file.read_exact(&mut start)?;
    let word = |i: usize| i32::from_le_bytes([start[i], start[i + 1], start[i + 2], start[i + 3]]);
    Ok([LLMC_UINT16, LLMC_UINT32].contains(&word(0)).then(|| (word(0), word(8))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), bytes).expect("written");
        file
    }

    fn llmc(magic: i32, count: i32, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0u8; 1024];
        bytes[..4].copy_from_slice(&magic.to_le_bytes());
        bytes[4..8].copy_from_slice(&1i32.to_le_bytes());
        bytes[8..12].copy_from_slice(&count.to_le_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    #[test]
    fn the_three_layouts_are_read() {
        let short: Vec<u8> = [1u16, 65535, 7].iter().flat_map(|x| x.to_le_bytes()).collect();
        let long: Vec<u8> = [1u32, 128_255, 7].iter().flat_map(|x| x.to_le_bytes()).collect();
        for (bytes, middle) in [
            (short.clone(), 65535),
            (llmc(LLMC_UINT16, 3, &short), 65535),
            (llmc(LLMC_UINT32, 3, &long), 128_255),
        ] {
            let file = file(&bytes);
            let tokens = Tokens::open(file.path()).expect("opened");
            assert_eq!((tokens.len(), tokens.read(1, 2).expect("read")), (3, vec![middle, 7]));
        }
    }

    #[test]
    fn empty_odd_and_lying_files_are_refused() {
        for bytes in [vec![], vec![1, 2, 3], llmc(LLMC_UINT16, 4, &[0; 6]), llmc(LLMC_UINT16, -1, &[0; 6])] {
            let file = file(&bytes);
            assert!(Tokens::open(file.path()).is_err());
        }
    }
}
