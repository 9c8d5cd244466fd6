//! What the rows say in a few sentences, each with what it does not say.
//!
//! A finding is a pure function of rows: it names runs, steps and numbers that stand in the table or the charts, and
//! is left out where a number it needs was not measured.

mod attention;
mod curvature;
mod loss;
mod update;
mod words;

pub use words::Finding;

use super::select::runs;
use crate::base::row::Row;

/// More than these nobody reads.
const MOST: usize = 5;

/// What the runs in `rows` have in common and what sets them apart.
pub fn findings(rows: &[Row]) -> Vec<Finding> {
    let runs = runs(rows);
    if runs.is_empty() {
        return vec![];
    }
    let all = [
        loss::ended,
        update::first_update,
        attention::largest_logit,
        attention::entropy,
        curvature::excursion,
        curvature::above_threshold,
    ];
    all.iter().filter_map(|finding| finding(rows, &runs)).take(MOST).collect()
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
