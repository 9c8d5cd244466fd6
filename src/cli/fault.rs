//! A panic is a fault of this program, not of who uses it: one sentence instead of a backtrace, and what to send.

use std::io::{IsTerminal, Write};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::atomic::{AtomicBool, Ordering};

use anstyle::AnsiColor;

use super::terminal::paint;
use crate::base::guard;

/// Runs `work`; after a panic in it, on whatever thread, what to report stands on stderr and the result is
/// `failed`. Unwinding lets everything that was being written remove itself.
pub fn answer_for<T>(failed: T, work: impl FnOnce() -> T) -> T {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if guard::is_reading() {
            return;
        }
        say(info);
        if std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0") {
            usual(info);
        }
    }));
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or(failed)
}

/// Says it once, however many threads panic of one fault.
fn say(info: &PanicHookInfo) {
    static SAID: AtomicBool = AtomicBool::new(false);
    if SAID.swap(true, Ordering::SeqCst) {
        return;
    }
    let place = info.location().map(|at| format!("{}:{}", at.file(), at.line()));
    let what = info.payload_as_str().unwrap_or("no reason given");
    let [sentence, request] = report(what, place.as_deref().unwrap_or("an unknown place"), std::env::args());
    let mut stderr = anstream::stderr();
    // over the progress bar, where there is one
    let start = if std::io::stderr().is_terminal() { "\r\x1b[2K" } else { "" };
    // stderr may be closed; there is nobody to tell
    let _ = write!(
        stderr,
        "{start}{}{}",
        paint("error", AnsiColor::Red, &sentence),
        paint("hint", AnsiColor::Cyan, &request)
    );
}

/// What went wrong, and what to send.
fn report(what: &str, place: &str, command: impl Iterator<Item = String>) -> [String; 2] {
    // assertions print their two sides on lines of their own
    let what = what.split_whitespace().collect::<Vec<_>>().join(" ");
    let command: Vec<String> = command.map(quoted).collect();
    [
        format!("warmlab {} has a fault at {place}: {what}", env!("CARGO_PKG_VERSION")),
        format!(
            "this is no mistake of yours; please report it with the line above, this command line and, where you \
             may, its files: {}",
            command.join(" ")
        ),
    ]
}

/// An argument as a shell takes it back.
fn quoted(argument: String) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=,:+%@".contains(c);
    if !argument.is_empty() && argument.chars().all(plain) {
        return argument;
    }
    format!("'{}'", argument.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rayon::prelude::*;

    use super::*;

    #[test]
    fn the_report_is_one_line_each_and_can_be_pasted() {
        let arguments = ["warmlab", "hessian", "--ckpt", "my run's/step_3"].map(String::from);
        let [sentence, request] =
            report("left == right\n  left: 1\n right: 2", "src/a.rs:7", arguments.into_iter());
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            sentence,
            format!("warmlab {version} has a fault at src/a.rs:7: left == right left: 1 right: 2")
        );
        assert!(request.ends_with(r"its files: warmlab hessian --ckpt 'my run'\''s/step_3'"), "{request}");
        assert!(!request.contains('\n'));
    }

    /// The hook and the exit code are the process's, so the test runs itself in another one.
    #[test]
    fn a_panic_on_any_thread_is_said_once_and_ends_with_code_2() {
        const PLACE: &str = "WARMLAB_TEST_PANICS_ON";
        if let Ok(place) = std::env::var(PLACE) {
            let code = answer_for(2, || match place.as_str() {
                "the thread of the command" => panic!("on purpose"),
                "several threads of the pool" => {
                    (0..64).into_par_iter().for_each(|_| panic!("on purpose"));
                    0
                }
                "a reader" => {
                    let read = || -> crate::base::error::Result<i32> { panic!("on purpose") };
                    guard::reading(std::path::Path::new("x.parquet"), read).map_or(3, |_| 0)
                }
                _ => 0,
            });
            std::process::exit(code);
        }
        let run = |place: &str| {
            let test = "cli::fault::tests::a_panic_on_any_thread_is_said_once_and_ends_with_code_2";
            let output = Command::new(std::env::current_exe().expect("the test's binary"))
                .args([test, "--exact", "--nocapture"])
                .env(PLACE, place)
                .env_remove("RUST_BACKTRACE")
                .output()
                .expect("the test's binary runs");
            (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
        };
        for place in ["the thread of the command", "several threads of the pool"] {
            let (code, said) = run(place);
            assert_eq!(code, Some(2), "{place}: {said}");
            let lines: Vec<&str> = said.lines().collect();
            assert_eq!(lines.len(), 2, "{place}: {said}");
            assert!(
                lines[0].contains("has a fault at src/cli/fault.rs:") && lines[0].contains("on purpose"),
                "{said}"
            );
            assert!(lines[1].contains("please report it") && lines[1].contains("--exact"), "{said}");
        }
        assert_eq!(run("nowhere"), (Some(0), String::new()));
        assert_eq!(run("a reader"), (Some(3), String::new()));
    }
}
