//! Eigenpairs as rows.

use crate::linalg::{Eigenpairs, Ritz};
use crate::optim::stability;
use crate::row::{Row, Status};
use crate::snapshot::Snapshot;

/// The limit at the next update's learning rate, and how far the largest eigenvalue is from it.
pub fn stability(snapshot: &Snapshot, found: &Eigenpairs) -> Vec<Row> {
    let Some(o) = snapshot.optimizer().filter(|o| o.lr > 0.0) else { return vec![] };
    let threshold = stability::threshold(o.beta1, o.lr);
    let threshold_t = stability::threshold_at(o.beta1, o.lr, snapshot.step() + 1);
    let mut rows =
        vec![Row::new("sharpness/threshold", threshold), Row::new("sharpness/threshold_t", threshold_t)];
    if let Some(first) = found.top.first().filter(|first| first.value > 0.0) {
        let margin = threshold_t / first.value;
        let row = Row::new("sharpness/margin", margin).uncertainty(margin * first.residual / first.value);
        rows.push(row.n(found.matvecs as u64).status(status(found, first)));
    }
    rows
}

/// How far a pair can be trusted.
pub fn status(pairs: &Eigenpairs, pair: &Ritz) -> Status {
    match (pair.converged, pairs.complete) {
        (false, _) => Status::Unconverged,
        (true, Some(false)) => Status::Unresolved,
        (true, _) => Status::Ok,
    }
}

/// The pairs of one end.
pub fn list(pairs: &Eigenpairs, quantity: String, chosen: &[Ritz]) -> Vec<Row> {
    let row = |(i, pair): (usize, &Ritz)| {
        Row::new(quantity.as_str(), pair.value)
            .index(i + 1)
            .uncertainty(pair.residual)
            .n(pairs.matvecs as u64)
            .status(status(pairs, pair))
    };
    chosen.iter().enumerate().map(row).collect()
}
