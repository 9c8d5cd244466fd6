//! Eigenpairs as rows.

use crate::base::row::{Row, Status};
use crate::linalg::{Completeness, Eigenpairs, Ritz};
use crate::optim::limits::Lambda;

/// What is known of eigenvalues that the list skips, in words.
pub fn completeness(pairs: &Eigenpairs) -> String {
    match pairs.completeness {
        Completeness::Unasked => {
            "not checked (--no-completeness): the list may skip eigenvalues, copies of multiple ones above all".into()
        }
        checked => checked.describe(),
    }
}

/// How far a pair can be trusted.
pub fn status(pairs: &Eigenpairs, pair: &Ritz) -> Status {
    match (pair.converged, pairs.completeness.doubtful()) {
        (false, _) => Status::Unconverged,
        (true, true) => Status::Incomplete,
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

/// The first of the largest, with what it cost.
pub fn first(pairs: &Eigenpairs) -> Option<Lambda> {
    pairs.top.first().map(|pair| Lambda {
        value: pair.value,
        residual: pair.residual,
        matvecs: pairs.matvecs,
        status: status(pairs, pair),
    })
}
