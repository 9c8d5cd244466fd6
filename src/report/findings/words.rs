//! A finding, and the words that numbers of several runs are said in.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::report::digits::short;
use crate::report::select::Measured;

/// A sentence and its caveat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was measured.
    pub sentence: String,
    /// How far that goes.
    pub caveat: String,
}

/// A quantity of every run at the same step, where all have it; of several such steps the one `rank` likes best.
pub fn together(
    each: &[BTreeMap<u64, Measured>],
    rank: impl Fn(u64, &[Measured]) -> f64,
) -> Option<(u64, Vec<Measured>)> {
    let first = each.first()?;
    let at = |step: &u64| each.iter().map(|steps| steps.get(step).copied()).collect::<Option<Vec<_>>>();
    let common = first.keys().filter_map(|step| Some((*step, at(step)?)));
    common.max_by(|a, b| rank(a.0, &a.1).total_cmp(&rank(b.0, &b.1)))
}

/// `a in x, b in y and c in z`.
pub fn listed(runs: &[Arc<str>], numbers: impl Iterator<Item = String>) -> String {
    let parts: Vec<String> =
        runs.iter().zip(numbers).map(|(run, number)| format!("{number} in {run}")).collect();
    match parts.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => parts.concat(),
    }
}

pub fn number(m: &Measured) -> String {
    format!("{}{}", rounded(m.value, m.error), if m.settled { "" } else { " (not settled)" })
}

/// Three digits, or those that are known.
pub fn rounded(value: f64, error: Option<f64>) -> String {
    short(value, Some(error.unwrap_or(0.0).max(value.abs() * 0.01)))
}
