//! Trace, Frobenius norm and diagonal as rows.

use super::condition::{Known, whole};
use crate::error::Result;
use crate::linalg::{LinearOperator, trace};
use crate::observer::Observer;
use crate::operator::Scope;
use crate::random::Random;
use crate::row::Row;
use crate::snapshot::Snapshot;
use crate::stats;

/// Rows of one matrix; tells `known` the norm and the trace. On the whole model the trace of each parameter's
/// block comes from the same products.
pub fn rows(
    matrix: &dyn LinearOperator,
    scope: &Scope,
    snapshot: &Snapshot,
    probes: usize,
    group: usize,
    random: &mut Random,
    known: &mut Known,
    observer: &dyn Observer,
    prefix: &str,
) -> Result<Vec<Row>> {
    let parameters = if scope.name == "all" { snapshot.config().parameters() } else { vec![] };
    let ranges: Vec<_> = parameters.iter().map(|p| p.range()).collect();
    let samples = trace::hutchinson(matrix, probes, group, &ranges, random, observer)?;
    let (sum, square, matvecs) = trace::hutch_plus_plus(matrix, probes, group, random, observer)?;
    let row = |name: &str, estimate: Option<(f64, f64)>, n: usize| {
        let (value, error) = estimate?;
        Some(Row::new(format!("{prefix}/{name}"), value).uncertainty(error).n(n as u64))
    };
    known.trace = whole(&sum).map(|(value, error)| (value, Some(error)));
    known.norm(&square);
    let mut rows = Vec::new();
    rows.extend(row("trace", whole(&sum), matvecs));
    rows.extend(row("frobenius_sq", whole(&square), matvecs));
    let pairs = &samples.diagonal_sq;
    rows.extend(row("diagonal_sq", stats::mean_and_error(pairs), pairs.len()));
    for (parameter, block) in parameters.iter().zip(&samples.blocks) {
        let layer = parameter.layer().map(|layer| layer as u32);
        let row = row("trace", stats::mean_and_error(block), block.len());
        rows.extend(row.map(|row| Row { layer, ..row.scope(parameter.name.as_str()) }));
    }
    Ok(rows)
}
