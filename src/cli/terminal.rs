//! Everything that is said on stderr, and data on stdout.

use std::cell::RefCell;
use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use clap::ArgMatches;
use indicatif::{ProgressBar, ProgressStyle};
use terminal_size::{Width, terminal_size_of};

use super::progress::Progress;
use crate::base::error::{Error, IoContext, Result};
use crate::base::observer::Observer;

/// On a terminal the line on a computation appears after this long, and moves on as often.
const PATIENCE: Duration = Duration::from_secs(2);
/// Where stderr is a file or a pipe, a line on a computation is written as often as this.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// Columns of such a line: logs scroll sideways.
const LOG_COLUMNS: usize = 160;
/// Columns of a terminal, where nothing says how many.
const COLUMNS: usize = 80;

static STOPPED: AtomicBool = AtomicBool::new(false);

/// The user's terminal, or what stands in for it.
pub struct Terminal {
    quiet: bool,
    verbose: bool,
    bar: RefCell<Option<ProgressBar>>,
    progress: RefCell<Option<Progress>>,
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
            bar: RefCell::default(),
            progress: RefCell::default(),
        }
    }

    /// A sentence on stderr, unless quiet.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            self.above_the_bar(&format!("{text}\n"));
        }
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
        above(self.bar.borrow().as_ref(), text);
    }

    /// Ends the current computation's line.
    pub fn finish(&self) {
        self.progress.replace(None);
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// Columns a table may have: the terminal's, or where stdout is none those of `COLUMNS`, or 80.
    pub fn columns(&self) -> usize {
        let asked = || std::env::var("COLUMNS").ok()?.parse().ok();
        width(terminal_size_of(io::stdout()).map(|(width, _)| width))
            .or_else(asked)
            .unwrap_or(COLUMNS)
            .max(LEAST)
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

/// Fewer columns than these hold nothing.
const LEAST: usize = 20;

fn width(width: Option<Width>) -> Option<usize> {
    width.map(|Width(width)| usize::from(width)).filter(|width| *width > 0)
}

/// Columns of what stderr is shown on.
fn error_columns() -> usize {
    width(terminal_size_of(io::stderr()).map(|(width, _)| width)).unwrap_or(COLUMNS).max(LEAST)
}

/// Text on stderr, which may be closed: there is nobody to tell.
fn above(bar: Option<&ProgressBar>, text: &str) {
    let write = || {
        let _ = anstream::stderr().write_all(text.as_bytes());
    };
    match bar {
        Some(bar) => bar.suspend(write),
        None => write(),
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
        if self.quiet {
            return;
        }
        let start = || {
            if !io::stderr().is_terminal() {
                return Progress::new(HEARTBEAT, || LOG_COLUMNS, |line| above(None, &format!("{line}\n")));
            }
            let bar = ProgressBar::new_spinner();
            bar.set_style(
                ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            self.bar.replace(Some(bar.clone()));
            // one column stays free: some terminals wrap at the last
            Progress::new(PATIENCE, || error_columns() - 1, move |line| bar.set_message(line))
        };
        self.progress.borrow_mut().get_or_insert_with(start).set(done, total, state.to_string());
    }

    fn note(&self, text: &str) {
        self.say(text);
    }

    fn detail(&self, text: &str) {
        if self.verbose {
            self.say(text);
        }
    }

    fn warn(&self, text: &str) {
        Terminal::warn(self, text);
    }

    fn stopped(&self) -> bool {
        STOPPED.load(Ordering::SeqCst)
    }
}
