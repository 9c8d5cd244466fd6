//! Everything that is said on stderr, and data on stdout.

use std::cell::{Cell, RefCell};
use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use clap::ArgMatches;
use indicatif::{ProgressBar, ProgressStyle};

use crate::error::{Error, IoContext, Result};
use crate::observer::Observer;

/// A bar appears when a computation has taken this long.
const PATIENCE: Duration = Duration::from_secs(2);

static STOPPED: AtomicBool = AtomicBool::new(false);

/// The user's terminal, or what stands in for it.
pub struct Terminal {
    quiet: bool,
    verbose: bool,
    /// Whether what computations note is worth saying.
    notes: Cell<bool>,
    start: RefCell<Option<Instant>>,
    bar: RefCell<Option<ProgressBar>>,
    /// Of several checkpoints, how many are done: the bar counts them, and a computation is its message.
    steps: Cell<Option<(u64, u64)>>,
}

impl Terminal {
    /// As loud as the flags say. From here on Ctrl-C asks computations to stop; a second one kills.
    pub fn new(matches: &ArgMatches) -> Self {
        static HANDLER: OnceLock<()> = OnceLock::new();
        HANDLER.get_or_init(|| {
            let handler = || {
                if STOPPED.swap(true, Ordering::SeqCst) {
                    std::process::exit(130);
                }
            };
            // without a handler Ctrl-C kills at once, which loses the current step only
            let _ = ctrlc::set_handler(handler);
        });
        let flag = |name| matches.try_get_one::<bool>(name).ok().flatten().copied().unwrap_or(false);
        Terminal {
            quiet: flag("quiet"),
            verbose: flag("verbose"),
            notes: Cell::new(true),
            start: RefCell::default(),
            bar: RefCell::default(),
            steps: Cell::default(),
        }
    }

    /// Says that `done` of `total` checkpoints are measured; until [`finish`](Self::finish) the bar counts them.
    pub fn steps(&self, done: u64, total: u64) {
        self.steps.set(Some((done, total)));
        self.draw(done, total, "checkpoints");
    }

    fn draw(&self, done: u64, total: u64, state: &str) {
        if self.quiet || !io::stderr().is_terminal() {
            return;
        }
        let start = *self.start.borrow_mut().get_or_insert_with(Instant::now);
        if start.elapsed() < PATIENCE {
            return;
        }
        let mut bar = self.bar.borrow_mut();
        let bar = bar.get_or_insert_with(|| {
            let bar = ProgressBar::new(total).with_elapsed(start.elapsed());
            let style =
                ProgressStyle::with_template("{bar:24} {pos}/{len} {elapsed} (about {eta} left) {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        bar.set_length(total.max(done));
        bar.set_position(done);
        bar.set_message(state.to_string());
    }

    /// A sentence on stderr, unless quiet.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            self.above_the_bar(&format!("{text}\n"));
        }
    }

    /// A sentence on stderr for those who asked for more.
    pub fn detail(&self, text: &str) {
        if self.verbose {
            self.say(text);
        }
    }

    /// From here on computations repeat themselves: their notes are for those who asked for more.
    pub fn heard_enough(&self) {
        self.notes.set(self.verbose);
    }

    /// A warning on stderr, unless quiet.
    pub fn warn(&self, text: &str) {
        if !self.quiet {
            self.above_the_bar(&paint("warning", AnsiColor::Yellow, text));
        }
    }

    /// An error with its hint.
    pub fn error(&self, error: &Error) {
        self.finish();
        self::error(error);
    }

    fn above_the_bar(&self, text: &str) {
        let write = || {
            // stderr may be closed; there is nobody to tell
            let _ = anstream::stderr().write_all(text.as_bytes());
        };
        match &*self.bar.borrow() {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// Ends the current bar.
    pub fn finish(&self) {
        if let Some(bar) = self.bar.borrow_mut().take() {
            bar.finish_and_clear();
        }
        *self.start.borrow_mut() = None;
        self.steps.set(None);
    }

    /// Data on stdout. A reader that has closed the pipe is content.
    ///
    /// # Errors
    /// Where stdout refuses for another reason.
    pub fn data(&self, text: &str) -> Result<()> {
        self.finish();
        match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other.at("write", "standard output"),
        }
    }
}

/// An error with its hint on stderr, which may be closed: there is nobody to tell.
pub fn error(error: &Error) {
    let mut text = paint("error", AnsiColor::Red, &error.to_string());
    if let Some(hint) = error.hint() {
        text += &paint("hint", AnsiColor::Cyan, hint);
    }
    let _ = anstream::stderr().write_all(text.as_bytes());
}

/// A word in its colour, and what it announces.
pub(super) fn paint(word: &str, color: AnsiColor, text: &str) -> String {
    let style = Style::new().bold().fg_color(Some(color.into()));
    format!("{style}{word}:{style:#} {text}\n")
}

impl Observer for Terminal {
    fn progress(&self, done: u64, total: u64, state: &str) {
        match self.steps.get() {
            None => self.draw(done, total, state),
            Some((step, steps)) => self.draw(step, steps, &format!("{state} ({done}/{total})")),
        }
    }

    fn note(&self, text: &str) {
        if self.notes.get() {
            self.say(text);
        }
    }

    fn stopped(&self) -> bool {
        STOPPED.load(Ordering::SeqCst)
    }
}
