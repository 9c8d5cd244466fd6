//! Eigenpairs as rows.

use super::job::Kind;
use crate::linalg::{Eigenpairs, Ritz};
use crate::optim::stability;
use crate::row::{Row, Status};

/// Adam's limit at update `t` with the rate `lr`, and how far λ1 of a preconditioned matrix, given as value,
/// residual, products and status, is from it. Those of preconditioned-next carry its name in front.
pub fn limits(kind: Kind, first: Option<(f64, f64, usize, Status)>, beta1: f64, lr: f64, t: u64) -> Vec<Row> {
    if lr <= 0.0 {
        return vec![];
    }
    let name = |name: &str| match kind {
        Kind::PreconditionedNext => format!("{}/sharpness/{name}", kind.prefix()),
        _ => format!("sharpness/{name}"),
    };
    let threshold_t = stability::threshold_at(beta1, lr, t);
    let mut rows = vec![
        Row::new(name("threshold"), stability::threshold(beta1, lr)).without_batch(),
        Row::new(name("threshold_t"), threshold_t).without_batch(),
    ];
    if let Some((value, residual, matvecs, status)) = first.filter(|first| first.0 > 0.0) {
        let margin = threshold_t / value;
        let row = Row::new(name("margin"), margin).uncertainty(margin * residual / value);
        rows.push(row.n(matvecs as u64).status(status));
    }
    rows
}

/// The share of the `n` coordinates that are left out. The gradient of the batch is part of the next v; in the
/// stored one no batch of ours enters.
pub fn masked_fraction(kind: Kind, share: f64, n: usize) -> Row {
    let row = Row::new(format!("{}/masked_fraction", kind.prefix()), share).n(n as u64);
    if kind == Kind::PreconditionedNext { row } else { row.without_batch() }
}

/// How far a pair can be trusted.
pub fn status(pairs: &Eigenpairs, pair: &Ritz) -> Status {
    match (pair.converged, pairs.completeness.doubtful()) {
        (false, _) => Status::Unconverged,
        (true, true) => Status::Unresolved,
        (true, false) => Status::Ok,
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
