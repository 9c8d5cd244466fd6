//! How much curvature an optimizer stands at its next update, and how much of λ(P⁻¹H) the update meets.
//!
//! **What.** The thresholds of [`super::stability`] at the rate η of update N+1; the clip factor c of that update; and the
//! margin threshold_t/(c λ1), because an update of clipped gradients meets c·P⁻¹H (with every gradient scaled by c,
//! P is scaled by c and Adam moves as before).
//!
//! **Error.** The thresholds are exact, but asymptotic and for a frozen P. c is that of the update where the run's log
//! has it; taken from another batch's gradient it, and all that is made of it, is unresolved. At η = 0 the thresholds
//! are not defined: rows without a value.

use super::{Clip, ClipSource};
use crate::base::row::{Row, Status};

/// The largest eigenvalue of a preconditioned matrix.
#[derive(Debug, Clone, Copy)]
pub struct Lambda {
    /// λ1.
    pub value: f64,
    /// Its residual.
    pub residual: f64,
    /// Products spent on it.
    pub matvecs: usize,
    /// How far it can be trusted.
    pub status: Status,
}

/// How much curvature an optimizer stands at an update.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The update's learning rate, η.
    pub lr: f64,
    /// The largest stable eigenvalue, of P⁻¹H where the optimizer has a preconditioner, else of H: asymptotic.
    pub threshold: f64,
    /// The same at this update, where the correction of the momentum's bias makes it another.
    pub threshold_t: Option<f64>,
    /// The same with the weight decay that matrices have.
    pub threshold_decay: f64,
}

impl Limits {
    /// `sharpness/threshold` and `sharpness/threshold_t`, behind `prefix`.
    pub fn thresholds(&self, prefix: &str) -> Vec<Row> {
        let row = |name: &str, value| {
            at_rate(self.lr, Row::new(format!("{prefix}sharpness/{name}"), value)).without_batch()
        };
        let mut rows = vec![row("threshold", self.threshold)];
        rows.extend(self.threshold_t.map(|threshold| row("threshold_t", threshold)));
        rows
    }

    /// `sharpness/margin`, behind `prefix`; none where no curvature is positive.
    pub fn margin(&self, prefix: &str, lambda: Lambda, clip: Clip) -> Option<Row> {
        if lambda.value <= 0.0 {
            return None;
        }
        let value = self.threshold_t.unwrap_or(self.threshold) / (clip.factor * lambda.value);
        let row = Row::new(format!("{prefix}sharpness/margin"), value);
        let row = row.uncertainty(value * lambda.residual / lambda.value).n(lambda.matvecs as u64);
        let row = at_rate(self.lr, row);
        Some(row.status(if lambda.status == Status::Ok { status(clip) } else { lambda.status }))
    }
}

/// The row of a quantity with the rate η in its denominator: undefined at η = 0.
pub fn at_rate(lr: f64, row: Row) -> Row {
    if lr == 0.0 { row.undefined() } else { row }
}

/// `sharpness/clip_factor`.
pub fn clip_row(clip: Clip) -> Row {
    let row = Row::new("sharpness/clip_factor", clip.factor).status(status(clip));
    if clip.source == ClipSource::Batch { row } else { row.without_batch() }
}

/// A number that contains c is as good as c.
pub fn status(clip: Clip) -> Status {
    if clip.is_known() { Status::Ok } else { Status::Unresolved }
}

/// Where a clip factor is from, in words.
pub fn origin(clip: Clip) -> &'static str {
    match clip.source {
        ClipSource::Never => "1: the run does not clip gradients",
        ClipSource::Run => "that of update N+1, from the run's log",
        ClipSource::Batch => {
            "estimated from the norm of this batch's gradient, because no log has that of update N+1: \
             it and what contains it is unresolved"
        }
        ClipSource::Unknown => {
            "not known, because the checkpoint does not say above which norm gradients were scaled down: \
             1 stands in, and it and what contains it is unresolved"
        }
    }
}

/// What is said of thresholds at η = 0.
pub const NO_RATE: &str =
    "the next update's learning rate is 0: threshold 2/η is not defined (η=0), and its rows have no value";
