//! How far a computation is: one line that fits the terminal, or, where there is none, a line every half minute.
//!
//! A computation says where it stands whenever it likes; a thread of its own shows that, so that the line moves on,
//! or appears at all, while one long product is being computed.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Where a computation stands.
#[derive(Debug, Clone)]
struct Standing {
    done: u64,
    total: u64,
    state: String,
    begun: Instant,
    /// When this part of the work was first heard of, and how much of it was done by then: a resumed run has done
    /// some of it in no time.
    first: (Instant, u64),
}

impl Standing {
    /// What is left takes as long per unit as what was done since this part began.
    fn left(&self, now: Instant) -> Option<Duration> {
        let done = self.done.checked_sub(self.first.1).filter(|done| *done > 0)?;
        let rate = (now - self.first.0).as_secs_f64() / done as f64;
        Some(Duration::from_secs_f64(rate * self.total.saturating_sub(self.done) as f64))
    }

    fn line(&self, now: Instant, width: usize) -> String {
        line(self.done, self.total, &self.state, now - self.begun, self.left(now), width)
    }
}

/// Shows where a computation stands until it is dropped.
pub struct Progress {
    standing: Arc<Mutex<Option<Standing>>>,
    /// Closed on drop, which ends the thread.
    _running: Sender<()>,
}

impl Progress {
    /// From now on `show` gets a line every `period`; `width` is asked for the columns it may have.
    pub fn new(period: Duration, width: fn() -> usize, show: impl Fn(String) + Send + 'static) -> Self {
        let standing: Arc<Mutex<Option<Standing>>> = Arc::default();
        let (running, stopped) = mpsc::channel::<()>();
        let shared = standing.clone();
        std::thread::spawn(move || {
            while stopped.recv_timeout(period) == Err(RecvTimeoutError::Timeout) {
                // shown under the lock: after the drop nothing is
                let standing = shared.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(standing) = &*standing {
                    show(standing.line(Instant::now(), width()));
                }
            }
        });
        Progress { standing, _running: running }
    }

    /// The computation has done so much.
    pub fn set(&self, done: u64, total: u64, state: String) {
        let now = Instant::now();
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = standing.take();
        let begun = before.as_ref().map_or(now, |before| before.begun);
        let same = before.filter(|before| before.total == total && before.done <= done);
        let first = same.map_or((now, done), |before| before.first);
        *standing = Some(Standing { done, total, state, begun, first });
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Columns of the bar.
const BAR: usize = 20;

/// What matters most of it in `width` columns: the count, the time left, the state, the time spent, a bar.
fn line(done: u64, total: u64, state: &str, spent: Duration, left: Option<Duration>, width: usize) -> String {
    let total = total.max(done).max(1);
    let count = format!("{done}/{total}");
    let left = left.map(|left| format!("about {} left", words(left)));
    let mut room = width.saturating_sub(count.len());
    let mut fits = |text: &str| {
        let needed = text.chars().count() + 2;
        let fits = needed <= room;
        room -= if fits { needed } else { 0 };
        fits
    };
    let left = left.filter(|left| fits(left));
    let whole = Some(state.to_string()).filter(|state| !state.is_empty() && fits(state));
    let spent = Some(words(spent)).filter(|spent| fits(spent));
    let filled = (BAR as u64 * done / total) as usize;
    let bar = format!("{}{}", "█".repeat(filled), "░".repeat(BAR - filled));
    // words before pictures
    let bar = Some(bar).filter(|bar| (whole.is_some() || state.is_empty()) && fits(bar));
    // a state that is too long is cut where most of it can be shown
    let cut = (whole.is_none() && room > 10).then(|| state.chars().take(room - 3).collect::<String>() + "…");
    [bar, Some(count), spent, left, whole.or(cut)].into_iter().flatten().collect::<Vec<_>>().join("  ")
}

/// `40 s`, `3 min 20 s`, `2 h 5 min`.
fn words(time: Duration) -> String {
    let seconds = time.as_secs_f64().round() as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_fits_its_columns_and_keeps_what_matters() {
        let state =
            "block Lanczos, 3 of 5 pairs converged, largest residual 1.2e-3, checking that none was skipped";
        let times = (Duration::from_secs(3725), Some(Duration::from_secs(20)));
        for width in [12, 20, 40, 60, 80, 200] {
            let text = line(171, 400, state, times.0, times.1, width);
            assert!(text.chars().count() <= width && text.contains("171/400"), "{width}: {text}");
            assert_eq!(text.contains("about 20 s left"), width >= 40, "{width}: {text}");
        }
        let wide = line(200, 400, "loss 2.31", times.0, times.1, 80);
        assert_eq!(wide, "██████████░░░░░░░░░░  200/400  1 h 2 min  about 20 s left  loss 2.31");
        assert!(line(300, 0, "", Duration::ZERO, None, 80).contains("300/300"));
    }

    #[test]
    fn time_left_counts_what_this_process_did() {
        let now = Instant::now();
        let begun = now - Duration::from_secs(10);
        // resumed at 150 of 400: 20 in ten seconds, 230 to go
        let standing = Standing { done: 170, total: 400, state: String::new(), begun, first: (begun, 150) };
        assert_eq!(standing.left(now).expect("known").as_secs_f64().round(), 115.0);
        assert_eq!(Standing { done: 150, ..standing }.left(now), None);
    }

    #[test]
    fn lines_go_on_while_the_computation_is_silent_and_end_with_it() {
        let (lines, heard) = mpsc::channel();
        let progress = Progress::new(
            Duration::from_millis(5),
            || 80,
            move |line| {
                let _ = lines.send(line);
            },
        );
        progress.set(3, 10, "one long product".into());
        for _ in 0..3 {
            let line = heard.recv_timeout(Duration::from_secs(5)).expect("a line");
            assert!(line.contains("3/10") && line.contains("one long product"), "{line}");
        }
        drop(progress);
        while heard.try_recv().is_ok() {}
        std::thread::sleep(Duration::from_millis(30));
        assert!(heard.try_recv().is_err(), "a line after the end");
    }
}
