//! Where curvature stood out, and where it was above the threshold.

use std::sync::Arc;

use super::words::{Finding, listed, number, rounded};
use crate::base::row::Row;
use crate::report::digits::short;
use crate::report::select::whole;

/// How many times its neighbours a value must be to stand out.
const OUTSTANDING: f64 = 3.0;

/// The step at which curvature stood out most of the steps measured before and after it.
pub fn excursion(rows: &[Row], runs: &[Arc<str>]) -> Option<Finding> {
    let mut most: Option<(f64, &str, &Arc<str>, [(u64, f64); 3])> = None;
    for quantity in ["preconditioned/lambda", "hessian/lambda"] {
        for run in runs {
            let points: Vec<(u64, f64)> =
                whole(rows, run, quantity).into_iter().map(|(s, m)| (s, m.value)).collect();
            for window in points.windows(3) {
                let &[before, here, after] = window else { continue };
                let ratio = here.1 / before.1.max(after.1);
                let stands = before.1 > 0.0 && after.1 > 0.0 && ratio >= OUTSTANDING;
                if stands && most.is_none_or(|(largest, ..)| ratio > largest) {
                    most = Some((ratio, quantity, run, [before, here, after]));
                }
            }
        }
    }
    let (_, quantity, run, [before, here, after]) = most?;
    let name = if quantity == "hessian/lambda" { "λ1" } else { "the preconditioned λ1" };
    let times = |x: f64| short(here.1 / x, Some(here.1 / x * 0.1));
    let also = |quantity: &str, words: &str| {
        let steps = whole(rows, run, quantity);
        let values = [before.0, here.0, after.0].map(|step| steps.get(&step).map(number));
        let [Some(a), Some(b), Some(c)] = values else { return String::new() };
        format!(" {words} went {a}, {b}, {c}.")
    };
    let masked = also("preconditioned/lambda_masked", "Without the coordinates where √v̂ < 10ε it");
    let loss = also("train/loss", "The training loss at these steps");
    Some(Finding {
        sentence: format!(
            "In {run} {name} stood out at step {}: {}, {} times what it was at step {} and {} times step {}.{}{loss}",
            here.0, rounded(here.1, None), times(before.1), before.0, times(after.1), after.0,
            if quantity == "hessian/lambda" { String::new() } else { masked },
        ),
        caveat: "One batch, and only the measured steps: what happened between them is not known. Adam's v is of training \
                 batches, and a direction they hardly moved weighs most."
            .into(),
    })
}

/// Steps that are named one by one.
const NAMED: usize = 8;

/// At which steps curvature was above the threshold, and that this alone means little.
pub fn above_threshold(rows: &[Row], runs: &[Arc<str>]) -> Option<Finding> {
    let above = |run: &Arc<str>| {
        let margins = whole(rows, run, "sharpness/margin");
        let steps: Vec<String> =
            margins.iter().filter(|(_, m)| m.value < 1.0).map(|(step, _)| step.to_string()).collect();
        (!margins.is_empty()).then_some((steps, margins.len()))
    };
    let each: Vec<(Vec<String>, usize)> = runs.iter().map(above).collect::<Option<_>>()?;
    let words = each.iter().map(|(steps, count)| {
        let named = steps.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = if steps.len() > NAMED { ", ..." } else { "" };
        match steps.len() {
            0 => format!("at none of {count} measured steps"),
            some => format!("at {some} of {count} measured steps ({named}{more})"),
        }
    });
    Some(Finding {
        sentence: format!(
            "The preconditioned λ1, times its clip factor, was above threshold_t {}.",
            listed(runs, words)
        ),
        caveat: "The threshold is asymptotic and holds P frozen, while v follows the gradients within some 2/(1−β2) \
                 updates: a step above it is no instability, and one below it no safety."
            .into(),
    })
}
