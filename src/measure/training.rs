//! What the loop itself knows of an update, as rows: from its line in steps.jsonl.
//!
//! The loss, the gradient and the rate of update t are of the weights before it: rows of step t−1. What was validated
//! after it, and the tokens seen by then, are rows of step t.

use crate::base::figure::{Column, Figure, Series, Style, Subject};
use crate::base::row::{Origin, Row};
use crate::snapshot::analysis::Quantity;
use crate::train::StepLine;

/// What stands for an analysis: the folder of the reports, and the column.
pub const NAME: &str = "train";

/// What it is, in one sentence.
pub const ABOUT: &str = "What the training loop itself knows of every update";

/// What is known of every update.
pub const QUANTITIES: &[Quantity] = &[
    Quantity {
        name: "train/loss",
        unit: "nats",
        about: "mean cross-entropy on the batch of the next update",
    },
    Quantity { name: "train/lr", unit: "", about: "learning rate of the next update" },
    Quantity {
        name: "train/grad_norm",
        unit: "nats",
        about: "norm of the next update's gradient, before clipping",
    },
    Quantity {
        name: "train/clipped",
        unit: "",
        about: "1 where the next update's gradient was clipped, 0 where not",
    },
    Quantity {
        name: "event/spike",
        unit: "",
        about: "where the next update's loss jumps: robust standard deviations above the median of up to 32 before",
    },
    Quantity { name: "train/tokens", unit: "tokens", about: "tokens seen in training by this step" },
    Quantity {
        name: "train/val_loss",
        unit: "nats",
        about: "mean cross-entropy on the validation sequences",
    },
];

/// How they are drawn.
pub const FIGURES: &[Figure] = &[
    Figure {
        subject: Subject::Training,
        title: "Loss",
        about: "Mean cross-entropy. Training loss is of the next update's batch, at the weights it starts from; \
                validation loss is of the same sequences each time.",
        values: "loss, nats",
        series: &[
            Series::new("train/loss", "training batch", Style::Line),
            Series::new("train/val_loss", "validation", Style::Points),
        ],
        log: false,
        command: "warmlab train",
    },
    Figure {
        subject: Subject::Training,
        title: "Learning rate",
        about: "The rate of the next update.",
        values: "learning rate",
        series: &[Series::new("train/lr", "learning rate", Style::Line)],
        log: false,
        command: "warmlab train",
    },
    Figure {
        subject: Subject::Training,
        title: "Gradient norm",
        about: "Euclidean norm of the next update's gradient before clipping.",
        values: "gradient norm, nats",
        series: &[Series::new("train/grad_norm", "training batch", Style::Line)],
        log: true,
        command: "warmlab train",
    },
];

/// Their columns in the table of runs side by side.
pub const COLUMNS: &[Column] = &[
    Column::new(Subject::Training, "train loss", "train/loss"),
    Column::new(Subject::Training, "validation loss", "train/val_loss"),
    Column::new(Subject::Training, "learning rate", "train/lr"),
    Column::new(Subject::Training, "gradient norm", "train/grad_norm"),
];

/// How to read them, for the metadata.
pub const NOTES: &str = "loss, lr, grad_norm and clipped of update t, which steps.jsonl numbers t, are rows of step \
                         t-1, whose weights they were computed at; val_loss and tokens after update t are of step t; \
                         the uncertainty of val_loss is the half-width of a 68% interval over sequences (Student's t)";

/// The rows of an update of `run`.
pub fn rows(run: &str, line: &StepLine) -> Vec<Row> {
    let batch = |id: &Option<String>, row: Row| match id {
        Some(id) => row.on_batch(id.as_str()),
        // an older log names none
        None => row.without_batch(),
    };
    let before = Origin::new(run, NAME, "", line.step.saturating_sub(1));
    let after = Origin { step: line.step, ..before.clone() };
    let of_batch = [
        ("train/loss", line.loss),
        ("train/grad_norm", line.grad_norm),
        ("train/clipped", f64::from(line.clipped)),
    ];
    let mut rows = vec![Row::new("train/lr", line.lr).without_batch().stamp(&before)];
    rows.extend(of_batch.map(|(name, value)| batch(&line.batch, Row::new(name, value)).stamp(&before)));
    rows.push(Row::new("train/tokens", line.tokens as f64).without_batch().stamp(&after));
    if let Some(height) = line.jump {
        rows.push(batch(&line.batch, Row::new("event/spike", height)).stamp(&before));
    }
    if let Some(loss) = line.val_loss {
        let row =
            Row::new("train/val_loss", loss).uncertainty(line.val_loss_half_width().unwrap_or(f64::NAN));
        rows.push(batch(&line.val_batch, row).stamp(&after));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_belongs_to_the_weights_it_was_computed_at() {
        let line = StepLine {
            step: 7,
            loss: 2.5,
            lr: 1e-3,
            grad_norm: 0.5,
            clipped: true,
            tokens: 700,
            batch: Some("0a1b2c3d".into()),
            jump: Some(9.5),
            val_loss: Some(2.0),
            val_loss_se: Some(0.25),
            val_sequences: Some(2),
            val_batch: Some("ffffffff".into()),
        };
        let rows = rows("r", &line);
        let one = |name: &str| {
            let row = rows.iter().find(|row| &*row.quantity == name).expect("there");
            (row.step, row.value.expect("a number"), row.batch.as_deref())
        };
        assert_eq!(one("train/loss"), (6, 2.5, Some("0a1b2c3d")));
        assert_eq!(one("train/lr"), (6, 1e-3, None));
        assert_eq!(one("train/grad_norm"), (6, 0.5, Some("0a1b2c3d")));
        assert_eq!(one("train/clipped"), (6, 1.0, Some("0a1b2c3d")));
        assert_eq!(one("event/spike"), (6, 9.5, Some("0a1b2c3d")));
        assert_eq!(one("train/tokens"), (7, 700.0, None));
        assert_eq!(one("train/val_loss"), (7, 2.0, Some("ffffffff")));
        // one degree of freedom: Student's t covers 68.27% within 1.837 standard errors
        let half_width = rows.iter().find_map(|row| row.uncertainty).expect("of the validation loss");
        assert!((half_width - 1.837 * 0.25).abs() < 1e-3, "{half_width}");
        assert!(rows.iter().all(|row| QUANTITIES.iter().any(|q| q.name == &*row.quantity)));
        assert_eq!(rows.len(), QUANTITIES.len());
    }
}
