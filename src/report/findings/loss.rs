//! Which run ended better.

use std::sync::Arc;

use super::words::{Finding, together};
use crate::base::row::Row;
use crate::report::digits::short;
use crate::report::select::{Measured, whole};

/// Which run ended with the lower validation loss, and by how much.
pub fn ended(rows: &[Row], runs: &[Arc<str>]) -> Option<Finding> {
    let each: Vec<_> = runs.iter().map(|run| whole(rows, run, "train/val_loss")).collect();
    let (step, losses) = together(&each, |step, _| step as f64)?;
    let with_error = |m: &Measured| match m.error {
        Some(error) => format!("{} ± {}", short(m.value, m.error), short(error, Some(error))),
        None => short(m.value, None),
    };
    let mut order: Vec<usize> = (0..runs.len()).collect();
    order.sort_by(|&a, &b| losses[a].value.total_cmp(&losses[b].value));
    let (&best, others) = order.split_first()?;
    let Some(&next) = others.first() else {
        return Some(Finding {
            sentence: format!(
                "{} had a validation loss of {} nats at step {step}.",
                runs[best],
                with_error(&losses[best])
            ),
            caveat: "± is over validation sequences, 68%; another seed would give another number.".into(),
        });
    };
    let gap = losses[next].value - losses[best].value;
    let error = losses[next].error.zip(losses[best].error).map(|(a, b)| a.hypot(b));
    let numbers = format!(
        "{} nats against {} in {} at step {step}",
        with_error(&losses[best]),
        with_error(&losses[next]),
        runs[next]
    );
    let sentence = match error {
        Some(error) if gap <= 2.0 * error => format!(
            "{} and {} ended alike: validation loss {numbers}, a difference of {} ± {}.",
            runs[best],
            runs[next],
            short(gap, Some(error)),
            short(error, Some(error))
        ),
        Some(error) => format!(
            "{} ended better: validation loss {numbers}, lower by {} ± {}.",
            runs[best],
            short(gap, Some(error)),
            short(error, Some(error))
        ),
        None => format!("{} ended with the lower validation loss: {numbers}.", runs[best]),
    };
    let caveat = "± is over validation sequences, 68%, combined as if the runs had read different ones, which is too \
                  wide where they read the same. One run each: it says nothing of another seed.";
    Some(Finding { sentence, caveat: caveat.into() })
}
