//! Something on disk of which nobody knows yet what it is.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::pytorch::TorchFile;
use crate::base::error::{Error, IoContext, Result};

/// How much of a file's start formats may look at.
const START: u64 = 64;

/// A path, and what formats ask about it. What is expensive to answer is answered once.
pub struct Candidate {
    path: PathBuf,
    is_folder: bool,
    start: Vec<u8>,
    torch: OnceLock<Result<TorchFile>>,
}

impl Candidate {
    /// Looks at what is there.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn at(path: &Path) -> Result<Self> {
        let (is_folder, mut start) = (path.is_dir(), Vec::new());
        if !is_folder {
            File::open(path).at("open", path)?.take(START).read_to_end(&mut start).at("read", path)?;
        }
        Ok(Candidate { path: path.into(), is_folder, start, torch: OnceLock::new() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The first bytes of a file.
    pub fn start(&self) -> &[u8] {
        &self.start
    }

    /// Whether it is a folder.
    pub fn is_folder(&self) -> bool {
        self.is_folder
    }

    /// Whether it is a folder with something of that name in it.
    pub fn holds(&self, name: &str) -> bool {
        self.is_folder && self.path.join(name).exists()
    }

    /// A JSON file of the folder.
    pub fn json(&self, name: &str) -> Option<serde_json::Value> {
        serde_json::from_slice(&fs::read(self.path.join(name)).ok()?).ok()
    }

    /// The file of `torch.save` that it is, where it is one that can be read.
    pub fn torch(&self) -> Option<&TorchFile> {
        self.parsed()?.as_ref().ok()
    }

    /// The same, to keep.
    ///
    /// # Errors
    /// Where it is none, or damaged.
    pub fn into_torch(self) -> Result<TorchFile> {
        self.torch.into_inner().unwrap_or_else(|| TorchFile::open(&self.path))
    }

    /// What is wrong with a file that begins as one of `torch.save` does.
    pub fn damage(self) -> Option<Error> {
        self.parsed()?;
        self.torch.into_inner()?.err()
    }

    fn parsed(&self) -> Option<&Result<TorchFile>> {
        // a zip archive, torch.save since 1.6, or a bare pickle before
        let is_torch = self.start.starts_with(b"PK") || self.start.first() == Some(&0x80);
        is_torch.then(|| self.torch.get_or_init(|| TorchFile::open(&self.path)))
    }
}
