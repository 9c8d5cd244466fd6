//! How a long computation tells of itself and is told to stop, without knowing terminals.

use crate::base::error::{Error, Result};

/// Listens to a computation.
pub trait Observer {
    /// `done` of about `total` units are finished; `state` is a few words on where it stands.
    fn progress(&self, done: u64, total: u64, state: &str);
    /// A sentence the user should read.
    fn note(&self, text: &str);
    /// A sentence for those who asked for more.
    fn detail(&self, _text: &str) {}
    /// A sentence on what the user did not expect.
    fn warn(&self, text: &str) {
        self.note(text);
    }
    /// Whether the user asked to stop.
    fn stopped(&self) -> bool;

    /// Ends a computation that was asked to stop.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when it was.
    fn check(&self) -> Result<()> {
        if self.stopped() { Err(Error::Interrupted) } else { Ok(()) }
    }
}

/// Hears nothing and never stops.
pub struct Silent;

impl Observer for Silent {
    fn progress(&self, _done: u64, _total: u64, _state: &str) {}
    fn note(&self, _text: &str) {}
    fn stopped(&self) -> bool {
        false
    }
}
