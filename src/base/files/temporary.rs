//! Names of files and folders that are being written, which say whose they are, and the removal of those whose
//! process was killed.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use super::process::Process;
use crate::base::error::{IoContext, Result};

/// How every such name begins.
const PREFIX: &str = ".tmp";

/// What another machine, or a version that wrote no owner into the name, has not touched for so long is nobody's.
const ABANDONED: Duration = Duration::from_secs(3600);

/// Makes something under a temporary name, `.tmp-PID-RANDOM@HOST`.
///
/// # Errors
/// What the system says.
pub fn name<T>(build: impl FnOnce(&mut tempfile::Builder) -> io::Result<T>) -> io::Result<T> {
    let this = Process::this();
    let (prefix, suffix) = (format!("{PREFIX}-{}-", this.pid), format!("@{}", this.host));
    build(tempfile::Builder::new().prefix(&prefix).suffix(&suffix)).map_err(unnamed)
}

/// What the system said, without the temporary name, which says nothing to anybody.
pub fn unnamed(error: io::Error) -> io::Error {
    match error.to_string().split_once(" at path ") {
        Some((said, _)) => io::Error::new(error.kind(), said),
        None => error,
    }
}

/// Whose a temporary name is; `None` for names of another kind.
fn owner(name: &str) -> Option<Process> {
    let (pid, rest) = name.strip_prefix(PREFIX)?.strip_prefix('-')?.split_once('-')?;
    let (_, host) = rest.split_once('@')?;
    Some(Process { host: host.into(), pid: pid.parse().ok()? })
}

/// Removes what killed processes left half written in `folder`; a process looks into each folder once.
///
/// # Errors
/// Where the folder cannot be listed. What cannot be removed is left.
pub fn remove_left(folder: &Path) -> Result<()> {
    static SEEN: OnceLock<Mutex<HashSet<PathBuf>>> = OnceLock::new();
    let seen = SEEN.get_or_init(Mutex::default);
    if !seen.lock().is_ok_and(|mut seen| seen.insert(folder.into())) {
        return Ok(());
    }
    for entry in fs::read_dir(folder).at("list", folder)? {
        let path = entry.at("list", folder)?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.starts_with(PREFIX) && is_left(&path, &name) {
            // another process may be removing it too
            let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
    }
    Ok(())
}

fn is_left(path: &Path, name: &str) -> bool {
    let owner = owner(name);
    if owner.is_none() && name.len() != PREFIX.len() + 6 {
        // neither ours nor an older version's
        return false;
    }
    match owner.and_then(|owner| owner.lives()) {
        Some(lives) => !lives,
        None => fs::metadata(path)
            .and_then(|meta| meta.modified())
            .is_ok_and(|changed| changed.elapsed().is_ok_and(|age| age > ABANDONED)),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn only_what_dead_processes_left_goes() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let this = Process::this();
        let mut child = Command::new("true").spawn().expect("spawned");
        child.wait().expect("ended");
        let named = |pid: u32, host: &str| format!(".tmp-{pid}-AbC123@{host}");
        let old = SystemTime::now() - 2 * ABANDONED;
        let files = [
            (named(child.id(), &this.host), false, false),
            (named(this.pid, &this.host), true, true),
            (named(child.id(), "elsewhere~7"), false, true),
            (named(child.id(), "elsewhere~7") + "8", true, false),
            (".tmpAbC123".into(), false, true),
            (".tmpXyZ789".into(), true, false),
            (".tmp.of.somebody.else".into(), true, true),
            ("report.tmp".into(), true, true),
        ];
        for (name, _, aged) in &files {
            let path = folder.path().join(name);
            fs::write(&path, b"half").expect("written");
            if *aged {
                let file = fs::File::options().write(true).open(&path).expect("opened");
                file.set_modified(old).expect("set");
            }
        }
        fs::create_dir(folder.path().join(named(child.id(), &this.host) + "x")).expect("made");
        remove_left(folder.path()).expect("removed");
        for (name, stays, _) in files {
            assert_eq!(folder.path().join(&name).exists(), stays, "{name}");
        }
    }
}
