//! Trace, Frobenius norm and diagonal as rows, with 68% intervals.

use super::condition::{SpectralSummary, whole, whole_square};
use crate::base::error::Result;
use crate::base::observer::Observer;
use crate::base::random::Random;
use crate::base::row::{Row, Status};
use crate::linalg::{LinearOperator, trace};
use crate::operator::Scope;
use crate::snapshot::Snapshot;
use crate::stats::interval;

/// Rows of one matrix; tells `summary` the norm and the trace. On the whole model the trace of each parameter's
/// block comes from the same products.
pub fn rows(
    matrix: &dyn LinearOperator,
    scope: &Scope,
    snapshot: &Snapshot,
    probes: usize,
    group: usize,
    random: &mut Random,
    summary: &mut SpectralSummary,
    observer: &dyn Observer,
    prefix: &str,
) -> Result<Vec<Row>> {
    let parameters = if scope.name == "all" { snapshot.config().parameters() } else { vec![] };
    let ranges: Vec<_> = parameters.iter().map(|p| p.range()).collect();
    let found = trace::traces(matrix, probes, group, &ranges, random, observer)?;
    let products = found.matvecs as u64;
    let row = |name: &str, (value, half_width): (f64, f64)| {
        Row::new(format!("{prefix}/{name}"), value).uncertainty(half_width).n(products)
    };
    // what cannot be negative is not said to be, and is not known to be there where its interval reaches 0
    let positive = |name: &str, (value, half_width): (f64, f64)| {
        let status = if half_width < value { Status::Ok } else { Status::Unresolved };
        row(name, (value.max(0.0), half_width)).status(status)
    };
    // the Gauss-Newton matrix has no negative eigenvalue
    let traced =
        |estimate| if prefix == "ggn" { positive("trace", estimate) } else { row("trace", estimate) };
    summary.trace = whole(&found.trace).map(|(value, half_width)| (value, Some(half_width)));
    summary.norm(&found.frobenius_sq);
    let mut rows = Vec::new();
    rows.extend(whole(&found.trace).map(traced));
    rows.extend(whole_square(&found.frobenius_sq).map(|square| row("frobenius_sq", square)));
    rows.extend(interval::of_squared_mean(&found.diagonals).map(|square| positive("diagonal_sq", square)));
    for (parameter, block) in parameters.iter().zip(&found.blocks) {
        let layer = parameter.layer.map(|layer| layer as u32);
        let row = whole(block).map(traced);
        rows.extend(row.map(|row| Row { layer, ..row.scope(parameter.name.as_str()) }));
    }
    Ok(rows)
}
