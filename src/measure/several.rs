//! What is heard of one computation among several.

use crate::base::observer::Observer;

/// Hears one computation, and passes it on as a part of the whole.
pub struct OneOf<'a> {
    /// Who hears of the whole.
    pub all: &'a dyn Observer,
    /// Of several checkpoints, how many are done: progress counts them, and the computation's own is its state.
    pub done: Option<(u64, u64)>,
    /// Whether another computation of the kind was heard before: what this one notes repeats that.
    pub again: bool,
}

impl Observer for OneOf<'_> {
    fn progress(&self, done: u64, total: u64, state: &str) {
        match self.done {
            None => self.all.progress(done, total, state),
            Some((step, steps)) => self.all.progress(step, steps, &format!("{state} ({done}/{total})")),
        }
    }

    fn note(&self, text: &str) {
        if self.again { self.all.detail(text) } else { self.all.note(text) }
    }

    fn detail(&self, text: &str) {
        self.all.detail(text);
    }

    fn warn(&self, text: &str) {
        self.all.warn(text);
    }

    fn stopped(&self) -> bool {
        self.all.stopped()
    }
}
