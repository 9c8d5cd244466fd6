//! Where heads look: logits and entropies.

use std::sync::Arc;

use super::words::{Finding, listed, number, together};
use crate::base::row::Row;
use crate::report::select::{Measured, lowest_head, whole};

/// Where the largest attention logits differ most; of one run, where it is largest.
pub fn largest_logit(rows: &[Row], runs: &[Arc<str>]) -> Option<Finding> {
    let each: Vec<_> = runs.iter().map(|run| whole(rows, run, "attention/max_logit")).collect();
    // logits are exponents: their difference counts, not their ratio
    let spread = |_: u64, logits: &[Measured]| {
        let values = logits.iter().map(|m| m.value);
        let (low, high) =
            (values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max));
        if logits.len() == 1 { high } else { high - low }
    };
    let (step, logits) = together(&each, spread)?;
    let numbers = listed(runs, logits.iter().map(number));
    let sentence = match runs.len() {
        1 => format!("The largest attention logit was {numbers}, at step {step}."),
        _ => format!("The largest attention logits differ most at step {step}: {numbers}."),
    };
    let caveat =
        "A maximum over heads, sequences and positions: it grows with the batch, and one head can set it.";
    Some(Finding { sentence, caveat: caveat.into() })
}

/// Mean and lowest entropy at the last step that all have.
pub fn entropy(rows: &[Row], runs: &[Arc<str>]) -> Option<Finding> {
    let each: Vec<_> = runs.iter().map(|run| whole(rows, run, "attention/entropy")).collect();
    let (step, means) = together(&each, |step, _| step as f64)?;
    let each: Vec<_> = runs.iter().map(|run| lowest_head(rows, run, "attention/entropy")).collect();
    let lowest = together(&each, |at, _| if at == step { 1.0 } else { 0.0 }).filter(|(at, _)| *at == step);
    let lowest = lowest.map_or_else(String::new, |(_, lowest)| {
        format!("; of the head that attends most narrowly it was {}", listed(runs, lowest.iter().map(number)))
    });
    let means = listed(runs, means.iter().map(|m| format!("{} nats", number(m))));
    Some(Finding {
        sentence: format!("At step {step} the entropy of attention, mean over all heads, was {means}{lowest}."),
        caveat: "Low entropy is narrow attention, which may be what was learnt; collapse is when it comes with a loss that \
                 stops falling."
            .into(),
    })
}
