//! Trace, Frobenius norm and diagonal as rows.

use super::condition::Known;
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
    let (exact, rest, matvecs) = trace::hutch_plus_plus(matrix, probes, group, random, observer)?;
    let estimate = |name: &str, samples: &[f64], shift: f64| {
        let (mean, error) = stats::mean_and_error(samples)?;
        let row = Row::new(format!("{prefix}/{name}"), shift + mean).uncertainty(error);
        Some(row.n(samples.len() as u64))
    };
    let mut rows = Vec::new();
    if let Some(row) = estimate("trace", &rest, exact) {
        known.trace = row.value.map(|value| (value, row.uncertainty));
        rows.push(row.n(matvecs as u64));
    }
    if let Some(row) = estimate("frobenius_sq", &samples.frobenius_sq, 0.0) {
        known.frobenius_sq = row.value.map(|value| (value, row.uncertainty));
        rows.push(row);
    }
    rows.extend(estimate("diagonal_sq", &samples.diagonal_sq, 0.0));
    for (parameter, block) in parameters.iter().zip(&samples.blocks) {
        let layer = parameter.layer().map(|layer| layer as u32);
        let row = estimate("trace", block, 0.0).map(|row| row.scope(parameter.name.as_str()));
        rows.extend(row.map(|row| Row { layer, ..row }));
    }
    Ok(rows)
}
