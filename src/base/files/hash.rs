//! SHA-256 of bytes, of files, and of several pieces together.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::base::error::{Error, IoContext, Result};

/// Bytes of a file hashed at a time.
const CHUNK: usize = 1 << 20;

/// A hash over several pieces, each with its length, so that no two lists of pieces share a hash by accident.
#[derive(Default)]
pub struct Pieces(Sha256);

impl Pieces {
    /// Adds a piece.
    pub fn add(&mut self, piece: &[u8]) {
        self.begin(piece.len() as u64);
        self.0.update(piece);
    }

    /// Adds a file as a piece, in constant memory; one that is not there is a piece without bytes.
    ///
    /// # Errors
    /// Where it cannot be read, or changes meanwhile.
    pub fn add_file(&mut self, path: &Path) -> Result<()> {
        let file = match File::open(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => {
                self.begin(0);
                return Ok(());
            }
            opened => opened.at("open", path)?,
        };
        let len = file.metadata().at("read", path)?.len();
        self.begin(len);
        if update(&mut self.0, file, path)? != len {
            return Err(Error::file(path, "changes while it is read"));
        }
        Ok(())
    }

    /// The hash, in hexadecimal.
    pub fn finish(self) -> String {
        hexadecimal(self.0)
    }

    fn begin(&mut self, len: u64) {
        self.0.update(len.to_le_bytes());
    }
}

/// The hash of [`Pieces`] that are in memory.
pub fn sha256<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Pieces::default();
    pieces.into_iter().for_each(|piece| hash.add(piece));
    hash.finish()
}

/// The hash of [`Pieces`] that are files; those that are not there have no bytes.
///
/// # Errors
/// Where one cannot be read.
pub fn sha256_of_files(paths: &[impl AsRef<Path>]) -> Result<String> {
    let mut hash = Pieces::default();
    paths.iter().try_for_each(|path| hash.add_file(path.as_ref()))?;
    Ok(hash.finish())
}

/// SHA-256 of bytes, in hexadecimal, as `sha256sum` prints it.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hexadecimal(Sha256::new().chain_update(bytes))
}

/// SHA-256 of a file's content, in hexadecimal, as `sha256sum` prints it.
///
/// # Errors
/// Where it cannot be read.
pub fn sha256_of_file(path: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    update(&mut hash, File::open(path).at("open", path)?, path)?;
    Ok(hexadecimal(hash))
}

/// Hashes what is left of a file, and counts its bytes.
fn update(hash: &mut Sha256, mut file: File, path: &Path) -> Result<u64> {
    let (mut buffer, mut count) = (vec![0u8; CHUNK], 0);
    loop {
        match file.read(&mut buffer).at("read", path)? {
            0 => return Ok(count),
            got => {
                hash.update(&buffer[..got]);
                count += got as u64;
            }
        }
    }
}

fn hexadecimal(hash: Sha256) -> String {
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_hash_as_their_bytes_do() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let [one, none] = ["one", "none"].map(|name| folder.path().join(name));
        let bytes: Vec<u8> = (0..CHUNK + 7).map(|i| i as u8).collect();
        std::fs::write(&one, &bytes).expect("writable");
        assert_eq!(sha256_of_file(&one).expect("readable"), sha256_hex(&bytes));
        let pieces: [&[u8]; 2] = [&bytes, &[]];
        assert_eq!(sha256_of_files(&[&one, &none]).expect("readable"), sha256(pieces));
        // the empty message of FIPS 180
        assert!(sha256_hex(b"").starts_with("e3b0c44298fc1c14"));
    }
}
