//! The claims that lie in a folder: whose each is, and whether its process may still write.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::base::error::{Error, IoContext, Result};
use crate::base::files::process::Process;

/// Without one a claim is given up.
pub const STALE: Duration = Duration::from_secs(300);
/// How the file's name begins.
pub const PREFIX: &str = ".claim-";

/// Who holds a folder, as the file says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Holder {
    #[serde(flatten)]
    pub process: Process,
    /// Seconds since 1970.
    pub since: u64,
    /// Tells claims of one process apart.
    pub token: String,
}

/// One claim file.
pub struct Found {
    pub number: u64,
    pub path: PathBuf,
    /// `None` for a file that cannot be read as one.
    pub holder: Option<Holder>,
    changed: SystemTime,
}

impl Found {
    /// Whether its process may still write.
    pub fn is_live(&self, now: SystemTime) -> bool {
        let quiet = now.duration_since(self.changed).unwrap_or_default();
        self.holder.as_ref().is_none_or(|holder| holder.process.lives() != Some(false)) && quiet < STALE
    }

    /// What to say of a folder that it holds.
    pub fn refuse(&self, folder: &Path, now: SystemTime) -> Error {
        let ago = |past: SystemTime| words(now.duration_since(past).unwrap_or_default());
        let (who, since) = match &self.holder {
            Some(holder) => {
                (holder.process.to_string(), SystemTime::UNIX_EPOCH + Duration::from_secs(holder.since))
            }
            None => ("a process that does not say which".into(), self.changed),
        };
        Error::file_hint(
            folder,
            format!(
                "is being written by {who}, since {} ago, with the last sign of life {} ago",
                ago(since),
                ago(self.changed)
            ),
            "wait for it, end it there, or use another --name; five minutes after its last sign of life the folder \
             can be taken over",
        )
    }
}

/// Whose a claim file is.
pub fn read(path: &Path) -> Option<Holder> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// The claims on a folder. One that disappears meanwhile is none.
pub fn claims(folder: &Path) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).at("list", folder)? {
        let path = entry.at("list", folder)?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let number = name.strip_prefix(PREFIX).and_then(|number| number.parse().ok());
        let changed = fs::metadata(&path).and_then(|meta| meta.modified());
        if let (Some(number), Ok(changed)) = (number, changed) {
            found.push(Found { number, holder: read(&path), path, changed });
        }
    }
    Ok(found)
}

fn words(age: Duration) -> String {
    match age.as_secs() {
        seconds @ 0..120 => format!("{seconds} seconds"),
        seconds @ 120..7200 => format!("{} minutes", seconds / 60),
        seconds => format!("{} hours", seconds / 3600),
    }
}
