//! What the rows say together: the exit code, and why.
//!
//! Something unconverged, and a list of eigenvalues that may have skipped one, are failures of the search, which may
//! be allowed; a number that is not finite and a checkpoint that failed are failures always. What the data cannot
//! tell, and what has no value by its definition, are answers, and no failures.

use super::terminal::Terminal;
use crate::base::row::{Row, Status};
use crate::snapshot::analysis::Analysis;

/// What a command ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Everything asked for was done.
    Done,
    /// Something asked for is unconverged or may be incomplete, or was not measured at all.
    Doubtful,
}

/// Quantities named in a sentence.
const NAMED: usize = 4;

/// Says on stderr what is not settled, and what the command ends with; `failed` checkpoints were not measured.
pub fn outcome(
    analysis: &dyn Analysis,
    rows: &[Row],
    failed: usize,
    allow_unconverged: bool,
    terminal: &Terminal,
) -> Outcome {
    let searches = analysis.options().names().iter().any(|name| name == "max-matvecs");
    let advice = if searches { "; more --max-matvecs or a larger --tol may help" } else { "" };
    let unconverged = named(rows, Status::Unconverged);
    if let Some(names) = &unconverged {
        terminal.warn(&format!("unconverged: {names}{advice}"));
    }
    let incomplete = named(rows, Status::Incomplete);
    if let Some(names) = &incomplete {
        terminal.warn(&format!(
            "unresolved, because an eigenvalue may be missing from the list: {names}; a larger --top or more \
             --max-matvecs may help"
        ));
    }
    let nonfinite = named(rows, Status::Nonfinite);
    if let Some(names) = &nonfinite {
        terminal.warn(&format!("not finite: {names}; --dtype f64 tells whether f32 overflows"));
    }
    if let Some(names) = named(rows, Status::Unresolved) {
        terminal.say(&format!("unresolved, because these data cannot tell: {names}"));
    }
    let unsettled = unconverged.is_some() || incomplete.is_some();
    if failed > 0 || nonfinite.is_some() || unsettled && !allow_unconverged {
        Outcome::Doubtful
    } else {
        Outcome::Done
    }
}

/// How many numbers have that status, and of which quantities.
fn named(rows: &[Row], status: Status) -> Option<String> {
    let mut quantities: Vec<&str> = Vec::new();
    let mut count = 0;
    for row in rows.iter().filter(|row| row.status == status) {
        count += 1;
        if !quantities.contains(&&*row.quantity) {
            quantities.push(&row.quantity);
        }
    }
    let more = match quantities.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    quantities.truncate(NAMED);
    (count > 0).then(|| format!("{count} of {} numbers ({}{more})", rows.len(), quantities.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_settled_is_counted_and_named() {
        let row = |name: &'static str, status| Row::new(name, 1.0).status(status);
        let rows = [
            row("a/a", Status::Ok),
            row("b/b", Status::Unresolved),
            row("c/c", Status::Incomplete),
            row("b/b", Status::Unresolved),
        ];
        assert_eq!(named(&rows, Status::Unresolved).as_deref(), Some("2 of 4 numbers (b/b)"));
        assert_eq!(named(&rows, Status::Incomplete).as_deref(), Some("1 of 4 numbers (c/c)"));
        assert_eq!(named(&rows, Status::Nonfinite), None);
    }
}
