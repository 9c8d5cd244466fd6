//! Everything that can go wrong, each with one sentence for the user and, where there is one, the
//! next thing to type.
//!
//! A message names the file, the tensor or the step it is about. The command line prints it after
//! `error:` and the [hint](Error::hint) after `hint:`; exit code 2.

use std::io;
use std::path::{Path, PathBuf};

/// The result of everything in this crate that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line, a configuration file or a caller asks for something impossible.
    #[error("{message}")]
    Usage {
        /// What is impossible, and why.
        message: String,
        /// What to type instead.
        hint: Option<String>,
    },
    /// The operating system refused.
    #[error("cannot {action} `{path}`: {source}", path = path.display())]
    Io {
        /// A verb: "read", "create", "write".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("`{path}` {problem}", path = path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it, a phrase that follows its name.
        problem: String,
        /// What to type instead.
        hint: Option<String>,
    },
    /// A tensor in a checkpoint is missing or is not what the configuration says.
    #[error("`{path}`: tensor `{tensor}` {problem}", path = path.display())]
    Tensor {
        /// The file that should hold it.
        path: PathBuf,
        /// Its name.
        tensor: String,
        /// What is wrong with it, a phrase that follows its name.
        problem: String,
    },
    /// A number came out as NaN or infinite where the computation cannot go on.
    #[error("{what} is not finite")]
    NonFinite {
        /// Which number, at which step.
        what: String,
        /// What to look at.
        hint: Option<String>,
    },
    /// A result of LAPACK failed its check, or LAPACK failed.
    #[error("the dense eigenvalue solver failed: {problem}")]
    Lapack {
        /// Its report, or the check it failed.
        problem: String,
    },
    /// The user pressed Ctrl-C; everything finished so far is kept.
    #[error("interrupted; everything finished so far is kept")]
    Interrupted,
}

impl Error {
    /// A [`Error::Usage`] without a hint.
    pub fn usage(message: impl Into<String>) -> Self {
        Error::Usage { message: sentence(message.into()), hint: None }
    }

    /// A [`Error::Usage`] with the next thing to type.
    pub fn usage_hint(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Error::Usage { message: sentence(message.into()), hint: Some(hint.into()) }
    }

    /// A [`Error::File`] without a hint.
    pub fn file(path: impl AsRef<Path>, problem: impl Into<String>) -> Self {
        Error::File { path: path.as_ref().into(), problem: sentence(problem.into()), hint: None }
    }

    /// A [`Error::File`] with the next thing to type.
    pub fn file_hint(path: impl AsRef<Path>, problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Error::File { path: path.as_ref().into(), problem: sentence(problem.into()), hint: Some(hint.into()) }
    }

    /// A [`Error::Tensor`].
    pub fn tensor(path: impl AsRef<Path>, tensor: impl Into<String>, problem: impl Into<String>) -> Self {
        let (tensor, problem) = (sentence(tensor.into()), sentence(problem.into()));
        Error::Tensor { path: path.as_ref().into(), tensor, problem }
    }

    /// The same of a file in `folder`, which is still called `made` and gets its name when it is whole.
    pub fn in_the_making(mut self, made: &Path, folder: &Path) -> Self {
        if let Error::Io { path, .. } | Error::File { path, .. } = &mut self
            && let Ok(inside) = path.strip_prefix(made)
        {
            *path = folder.join(inside);
        }
        self
    }

    /// The next thing to type, where there is one.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Error::Usage { hint, .. } | Error::File { hint, .. } | Error::NonFinite { hint, .. } => {
                hint.as_deref()
            }
            Error::Tensor { .. } => Some("`warmlab inspect FILE` lists the tensors a checkpoint holds"),
            Error::Lapack { .. } => Some(
                "old OpenBLAS builds compute wrong results on new processors; \
                 try again with OPENBLAS_CORETYPE=Haswell in the environment",
            ),
            Error::Io { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => {
                    Some("check the path; it starts in the folder the command runs in")
                }
                io::ErrorKind::PermissionDenied => Some("check who may read and write there"),
                io::ErrorKind::StorageFull => Some("make room, then run the same command again"),
                _ => None,
            },
            Error::Interrupted => None,
        }
    }
}

/// Most characters of a message: beyond, its middle is left out.
const LONGEST: usize = 600;

/// A message as one line: it may quote a file, which may hold anything.
fn sentence(text: String) -> String {
    let plain = |text: &str| text.replace(|c: char| c.is_control(), " ");
    let count = text.chars().count();
    if count <= LONGEST {
        return plain(&text);
    }
    let at = |i: usize| text.char_indices().nth(i).map_or(text.len(), |(at, _)| at);
    let (start, end) = (&text[..at(LONGEST / 2)], &text[at(count - LONGEST / 2)..]);
    format!("{} … {}", plain(start), plain(end))
}

/// Attaches the path to an [`io::Error`]: `fs::read(p).at("read", p)?`.
pub trait IoContext<T> {
    /// Turns the error into an [`Error::Io`] about `path`.
    fn at(self, action: &'static str, path: impl AsRef<Path>) -> Result<T>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn at(self, action: &'static str, path: impl AsRef<Path>) -> Result<T> {
        self.map_err(|source| Error::Io { action, path: path.as_ref().into(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_says_stays_one_line_and_short() {
        let hostile = format!("unknown field `\x1b[2J\n{}`, expected `n_layer`", "é".repeat(100_000));
        let said = Error::file("config.json", hostile).to_string();
        assert!(said.starts_with("`config.json` unknown field `") && said.ends_with("expected `n_layer`"));
        assert!(said.chars().count() < LONGEST + 50 && !said.chars().any(char::is_control));
        assert_eq!(Error::usage("short").to_string(), "short");
    }
}
