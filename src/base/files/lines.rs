//! Files of JSON lines that are appended to: a kill cuts the last line off, a power loss leaves zeros behind what was
//! synced.

use std::fs;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::base::error::{Error, IoContext, Result};

/// The lines of a file up to the first that is none.
#[derive(Debug)]
pub struct Lines<T> {
    /// Each line.
    pub lines: Vec<T>,
    /// Where each ends, in bytes.
    pub ends: Vec<u64>,
    /// Why the next one is none, where good lines follow it: more than a cut or a power loss does.
    damage: Option<Error>,
}

impl<T> Lines<T> {
    /// All lines.
    ///
    /// # Errors
    /// [`Error::File`] where a line in the middle is damaged.
    pub fn whole(self) -> Result<Vec<T>> {
        self.damage.map_or(Ok(self.lines), Err)
    }
}

/// Reads what there is; a file that is missing has no lines.
///
/// # Errors
/// Where the file cannot be read.
pub fn read_lines<T: DeserializeOwned>(path: &Path) -> Result<Lines<T>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(e).at("read", path),
    };
    let mut found = Lines { lines: Vec::new(), ends: Vec::new(), damage: None };
    let mut end = 0;
    let mut bad = None;
    for (i, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        end += line.len() as u64;
        // a line is whole when its end is written
        let Some(text) = line.strip_suffix(b"\n") else { break };
        match (serde_json::from_slice(text), &bad) {
            (Ok(line), None) => {
                found.lines.push(line);
                found.ends.push(end);
            }
            (Ok(_), Some((line, problem))) => {
                found.damage = Some(Error::file(path, format!("is damaged in line {line}: {problem}")));
                break;
            }
            (Err(_), Some(_)) => {}
            (Err(problem), None) => bad = Some((i + 1, problem)),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_are_dropped_and_holes_are_damage() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("x.jsonl");
        let read = |text: &[u8]| {
            fs::write(&path, text).expect("written");
            read_lines::<u32>(&path).expect("read")
        };
        for text in [&b"1\n2\n"[..], b"1\n2\n3", b"1\n2\n\0\0\0\0", b"1\n2\n\0\0\n\0\0\n", b"1\n2\n{\xff\n"] {
            let lines = read(text);
            assert_eq!((&lines.lines[..], &lines.ends[..]), (&[1, 2][..], &[2, 4][..]));
            assert_eq!(lines.whole().expect("whole"), [1, 2]);
        }
        let lines = read(b"1\nx\n3\n");
        assert_eq!(lines.lines, [1]);
        assert!(lines.whole().expect_err("damaged").to_string().contains("line 2"));
        assert!(read_lines::<u32>(&folder.path().join("none")).expect("read").lines.is_empty());
    }
}
