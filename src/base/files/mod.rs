//! Files that are written whole or not at all, folders that one process writes, and what a kill or a power loss
//! leaves of them.
//!
//! A file is on disk when its content is synced and its folder is: the name is the folder's. Whoever writes two files
//! of which one speaks for the other syncs the one before the other gets its name.

mod claim;
mod hash;
mod lines;
mod process;
mod temporary;

use std::fs;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::Path;

use crate::base::error::{IoContext, Result};

pub use claim::Claim;
pub use hash::{Pieces, sha256, sha256_hex, sha256_of_file, sha256_of_files};
pub use lines::{Lines, read_lines};
pub use temporary::{name as temporary_name, remove_left, unnamed};

/// Writes a file under a temporary name in the same folder and renames it into place, so that a crash,
/// a full disk or Ctrl-C never leaves half of it. When it returns, a power loss does not undo it.
///
/// # Errors
/// Where the folder cannot be made or written, or `fill` fails; nothing is left behind.
pub fn write_whole(path: &Path, fill: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let folder = folder_of(path);
    create_folder(folder)?;
    remove_left(folder)?;
    let temporary = temporary_name(|builder| builder.tempfile_in(folder)).at("create", path)?;
    // the file alone: errors of the temporary one name it
    let mut writer = BufWriter::new(temporary.as_file());
    fill(&mut writer)?;
    writer.into_inner().map_err(|e| e.into_error()).at("write", path)?;
    temporary.as_file().sync_all().at("write", path)?;
    set_readable(temporary.as_file()).at("write", path)?;
    temporary.persist(path).map_err(|e| e.error).at("create", path)?;
    sync_folder(folder)
}

/// Writes and syncs a file of a folder that nobody knows yet, and whose names are synced when it is whole.
///
/// # Errors
/// Where the disk refuses.
pub fn write_synced(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = fs::File::create(path).at("create", path)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).at("write", path)
}

/// The folder a path lies in.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a folder and those above it, each on disk before there is anything in it.
///
/// # Errors
/// Where the disk refuses.
pub fn create_folder(folder: &Path) -> Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    create_folder(folder_of(folder))?;
    match fs::create_dir(folder) {
        Err(_) if folder.is_dir() => Ok(()),
        made => made.at("create", folder).and_then(|()| sync_folder(folder_of(folder))),
    }
}

/// Puts the names in a folder on disk: what was made, renamed or removed there.
///
/// # Errors
/// Where the disk refuses.
#[cfg(unix)]
pub fn sync_folder(folder: &Path) -> Result<()> {
    match fs::File::open(folder).and_then(|opened| opened.sync_all()) {
        // file systems that cannot sync a folder keep its names in order by themselves
        Err(e) if matches!(e.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        other => other.at("write", folder),
    }
}
#[cfg(not(unix))]
pub fn sync_folder(_folder: &Path) -> Result<()> {
    Ok(())
}

/// Temporary files are private; the finished file is like any other.
#[cfg(unix)]
fn set_readable(file: &fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}
#[cfg(not(unix))]
fn set_readable(_file: &fs::File) -> std::io::Result<()> {
    Ok(())
}

/// The same of a folder.
///
/// # Errors
/// Where the system refuses.
#[cfg(unix)]
pub fn set_listable(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
}
#[cfg(not(unix))]
pub fn set_listable(_folder: &Path) -> std::io::Result<()> {
    Ok(())
}

/// Writes bytes whole or not at all.
///
/// # Errors
/// As [`write_whole`].
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<()> {
    write_whole(path, |out| out.write_all(bytes).at("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Error;

    #[test]
    fn a_failed_write_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("report");
        let failed = write_whole(&path, |out| {
            out.write_all(b"half").at("write", &path)?;
            Err(Error::usage("no"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 0);
        write_bytes(&path, b"whole").expect("writable");
        assert_eq!(fs::read(&path).expect("readable"), b"whole");
    }
}
