//! Readers of formats that are not ours, kept from taking the program down.
//!
//! What a file's headers promise is checked before a reader of another crate sees it; this is the last line of
//! defence: a panic inside such a reader is an error about the file.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;

use crate::base::error::{Error, Result};

thread_local! {
    static READING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is inside [`reading`], where a panic is answered and nobody's news.
pub fn is_reading() -> bool {
    READING.get()
}

/// Runs another crate's reader of `path`.
///
/// # Errors
/// What `read` says; [`Error::File`] where it panics.
pub fn reading<T>(path: &Path, read: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = READING.replace(true);
    // what a reader leaves half done is its own and dropped
    let outcome = panic::catch_unwind(AssertUnwindSafe(read));
    READING.set(before);
    outcome.unwrap_or_else(|_| {
        Err(Error::file_hint(
            path,
            "cannot be read: it contradicts itself in a way its reader does not survive",
            "the file is damaged; copy it again from where it was written",
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_a_reader_is_an_error_about_the_file() {
        let path = Path::new("broken.parquet");
        let error = reading::<()>(path, || {
            assert!(is_reading());
            panic!("as a reader of another crate does");
        });
        assert!(error.expect_err("a panic").to_string().contains("broken.parquet"));
        assert!(!is_reading());
        assert_eq!(reading(path, || Ok(7)).expect("no panic"), 7);
    }
}
