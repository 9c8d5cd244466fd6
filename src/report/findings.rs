//! What the rows say in a few sentences, each with what it does not say.
//!
//! A finding is a pure function of rows: it names runs, steps and numbers that stand in the table or the charts, and
//! is left out where a number it needs was not measured.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::digits::short;
use super::select::{Measured, lowest_head, runs, whole};
use crate::base::row::Row;

/// A sentence and its caveat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was measured.
    pub sentence: String,
    /// How far that goes.
    pub caveat: String,
}

/// More than these nobody reads.
const MOST: usize = 5;

/// What the runs in `rows` have in common and what sets them apart.
pub fn findings(rows: &[Row]) -> Vec<Finding> {
    let runs = runs(rows);
    if runs.is_empty() {
        return vec![];
    }
    let all = [ended, first_update, largest_logit, entropy, excursion, above_threshold];
    all.iter().filter_map(|finding| finding(rows, &runs)).take(MOST).collect()
}

/// A quantity of every run at the same step, where all have it; of several such steps the one `rank` likes best.
fn together(
    each: &[BTreeMap<u64, Measured>],
    rank: impl Fn(u64, &[Measured]) -> f64,
) -> Option<(u64, Vec<Measured>)> {
    let first = each.first()?;
    let at = |step: &u64| each.iter().map(|steps| steps.get(step).copied()).collect::<Option<Vec<_>>>();
    let common = first.keys().filter_map(|step| Some((*step, at(step)?)));
    common.max_by(|a, b| rank(a.0, &a.1).total_cmp(&rank(b.0, &b.1)))
}

/// `a in x, b in y and c in z`.
fn listed(runs: &[Arc<str>], numbers: impl Iterator<Item = String>) -> String {
    let parts: Vec<String> =
        runs.iter().zip(numbers).map(|(run, number)| format!("{number} in {run}")).collect();
    match parts.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => parts.concat(),
    }
}

fn number(m: &Measured) -> String {
    format!("{}{}", rounded(m.value, m.error), if m.settled { "" } else { " (not settled)" })
}

/// Three digits, or those that are known.
fn rounded(value: f64, error: Option<f64>) -> String {
    short(value, Some(error.unwrap_or(0.0).max(value.abs() * 0.01)))
}

/// Which run ended with the lower validation loss, and by how much.
fn ended(rows: &[Row], runs: &[Arc<str>]) -> Option<Finding> {
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

/// How far the first update turned the weights, and how long it was.
fn first_update(rows: &[Row], runs: &[Arc<str>]) -> Option<Finding> {
    let of = |quantity| runs.iter().map(|run| whole(rows, run, quantity)).collect::<Vec<_>>();
    let (step, angles) = together(&of("update/angle"), |step, _| -(step as f64))?;
    let angles = listed(runs, angles.iter().map(|m| format!("{} rad", number(m))));
    let size = together(&of("adam/update_rms"), |at, _| if at == step { 1.0 } else { 0.0 })
        .filter(|(at, _)| *at == step);
    let size = size.map_or_else(String::new, |(_, sizes)| {
        format!(
            "; in units of the learning rate its root mean square was {}",
            listed(runs, sizes.iter().map(number))
        )
    });
    let which = if step == 1 {
        "The first update".to_string()
    } else {
        format!("Update {step}, the first measured,")
    };
    Some(Finding {
        sentence: format!("{which} turned the weights by {angles}{size}."),
        caveat: "The angle is proportional to the learning rate of that update. Adam's first update has size 1 whatever the \
                 gradient is: that is its bias correction, not the run."
            .into(),
    })
}

/// Where the largest attention logits differ most; of one run, where it is largest.
fn largest_logit(rows: &[Row], runs: &[Arc<str>]) -> Option<Finding> {
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
fn entropy(rows: &[Row], runs: &[Arc<str>]) -> Option<Finding> {
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

/// How many times its neighbours a value must be to stand out.
const OUTSTANDING: f64 = 3.0;

/// The step at which curvature stood out most of the steps measured before and after it.
fn excursion(rows: &[Row], runs: &[Arc<str>]) -> Option<Finding> {
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
fn above_threshold(rows: &[Row], runs: &[Arc<str>]) -> Option<Finding> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::row::Origin;

    fn row(run: &str, step: u64, quantity: &'static str, value: f64) -> Row {
        Row::new(quantity, value).stamp(&Origin::new(run, "test", "0a1b2c3d", step))
    }

    fn sentences(rows: &[Row]) -> Vec<String> {
        let all = findings(rows);
        assert!(all.iter().all(|f| f.caveat.len() > 40 && !f.sentence.contains("NaN")), "{all:?}");
        all.into_iter().map(|finding| finding.sentence).collect()
    }

    #[test]
    fn the_better_run_is_named_with_the_difference_and_its_error() {
        let end = |cold: f64, error: f64| {
            [
                row("cold", 300, "train/val_loss", cold).uncertainty(error),
                row("warm", 300, "train/val_loss", 2.36).uncertainty(0.03),
                row("warm", 200, "train/val_loss", 2.9).uncertainty(0.03),
                // a step that only one run has is not compared
                row("warm", 400, "train/val_loss", 2.0).uncertainty(0.03),
            ]
        };
        // 2.61 − 2.36 = 0.25, √(0.04² + 0.03²) = 0.05
        assert_eq!(
            sentences(&end(2.61, 0.04)),
            [
                "warm ended better: validation loss 2.36 ± 0.03 nats against 2.61 ± 0.04 in cold at step 300, lower by 0.25 ± 0.05."
            ]
        );
        // a gap of 0.06 is within two of √(0.04² + 0.03²)
        let alike = sentences(&end(2.42, 0.04));
        assert!(
            alike[0].starts_with("warm and cold ended alike") && alike[0].contains("0.06 ± 0.05"),
            "{alike:?}"
        );
        let alone = sentences(&[row("cold", 9, "train/val_loss", 2.5).uncertainty(0.1)]);
        assert_eq!(alone, ["cold had a validation loss of 2.5 ± 0.1 nats at step 9."]);
    }

    #[test]
    fn first_updates_logits_and_entropies_are_compared_at_the_same_step() {
        let mut rows = vec![];
        for (run, angle, logits) in [("cold", 0.145, [6.7, 64.4, 113.0]), ("warm", 0.0026, [0.3, 6.0, 80.0])]
        {
            rows.push(row(run, 1, "update/angle", angle));
            rows.push(row(run, 2, "update/angle", 9.0));
            rows.push(row(run, 1, "adam/update_rms", 0.9988));
            for (step, logit) in [10, 50, 200].into_iter().zip(logits) {
                rows.push(row(run, step, "attention/max_logit", logit));
            }
        }
        for (run, mean, low) in [("cold", 0.84, 0.01), ("warm", 2.4, 0.5)] {
            rows.push(row(run, 200, "attention/entropy", mean));
            for (head, value) in [(0, low), (1, 3.0)] {
                rows.push(Row {
                    layer: Some(0),
                    head: Some(head),
                    ..row(run, 200, "attention/entropy", value)
                });
            }
        }
        rows.push(row("warm", 300, "attention/entropy", 9.0));
        let all = sentences(&rows);
        assert_eq!(
            all[0],
            "The first update turned the weights by 0.145 rad in cold and 0.00260 rad in warm; in units of the learning \
             rate its root mean square was 0.999 in cold and 0.999 in warm."
        );
        // 64.4 − 6.0 is more than 113 − 80 and 6.7 − 0.3
        assert_eq!(
            all[1],
            "The largest attention logits differ most at step 50: 64.4 in cold and 6.00 in warm."
        );
        assert_eq!(
            all[2],
            "At step 200 the entropy of attention, mean over all heads, was 0.840 nats in cold and 2.40 nats in warm; of the \
             head that attends most narrowly it was 0.0100 in cold and 0.500 in warm."
        );
        assert_eq!(all.len(), 3);
    }

    #[test]
    fn an_excursion_is_the_step_that_stands_out_of_its_neighbours() {
        let mut rows = vec![];
        for (step, value, masked) in
            [(10, 1312.0, 1000.0), (50, 2100.0, 1500.0), (100, 1.5e5, 3000.0), (200, 1.0e4, 900.0)]
        {
            rows.push(row("cold", step, "preconditioned/lambda", value).index(1));
            rows.push(row("cold", step, "preconditioned/lambda_masked", masked).index(1));
            // rises without falling again: no excursion
            rows.push(row("warm", step, "preconditioned/lambda", value.min(2e3) * step as f64).index(1));
        }
        let all = sentences(&rows);
        assert_eq!(all.len(), 1);
        assert!(
            all[0].starts_with(
                "In cold the preconditioned λ1 stood out at step 100: 1.50e5, 71 times what it was at step 50 and 15 times \
                 step 200. Without the coordinates where √v̂ < 10ε it went 1500, 3000, 900."
            ),
            "{}",
            all[0]
        );
        // and none where nothing is three times its neighbours
        let calm: Vec<Row> = [(1, 1.0), (2, 2.9), (3, 1.0)]
            .map(|(step, x)| row("a", step, "hessian/lambda", x).index(1))
            .to_vec();
        assert!(sentences(&calm).is_empty());
    }

    #[test]
    fn steps_above_the_threshold_are_counted_and_nothing_is_called_unstable() {
        let rows = [
            row("cold", 1, "sharpness/margin", 0.002),
            row("cold", 5, "sharpness/margin", 2.7),
            row("warm", 1, "sharpness/margin", 0.04),
            row("warm", 2, "sharpness/margin", 0.3),
            row("warm", 5, "sharpness/margin", 1.2),
        ];
        let all = findings(&rows);
        assert_eq!(
            all[0].sentence,
            "The preconditioned λ1, times its clip factor, was above threshold_t at 1 of 2 measured steps (1) in cold and at \
             2 of 3 measured steps (1, 2) in warm."
        );
        assert!(all[0].caveat.contains("no instability") && all[0].caveat.contains("frozen"));
    }

    #[test]
    fn nothing_measured_is_nothing_found() {
        assert!(findings(&[]).is_empty());
        assert!(findings(&[row("a", 1, "train/loss", 2.0)]).is_empty());
    }
}
