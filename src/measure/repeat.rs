//! The same analysis on several batches: what the spread over batches says about each number.
//!
//! The value becomes the mean over batches, `sampling_error` its standard error, and `uncertainty` that of the
//! mean of independent computations, where every one of them has one. Raw quadrature nodes and weights mean nothing averaged: those of the first
//! batch are kept, and so is what no batch enters.

use std::collections::HashMap;

use crate::base::row::{Row, Status};
use crate::stats;

/// What makes two rows the same number on different batches.
fn key(row: &Row) -> (String, String, [Option<u32>; 4], Option<u64>) {
    let places = [row.layer, row.head, row.index, row.probe];
    (row.quantity.to_string(), row.scope.to_string(), places, row.parameter.map(f64::to_bits))
}

/// Whether the average of a row over batches means something: places on a curve and nodes differ by batch.
fn averages(row: &Row) -> bool {
    row.batch.is_some()
        && row.probe.is_none()
        && !row.quantity.ends_with("/density")
        && !row.quantity.ends_with("/density_width")
}

/// One list of rows from those of each batch, in the order of the first; means are of the batches together,
/// called `id`.
pub fn combine(batches: Vec<Vec<Row>>, id: &str) -> Vec<Row> {
    let mut batches = batches.into_iter();
    let Some(first) = batches.next() else { return vec![] };
    let mut others: HashMap<_, Vec<Row>> = HashMap::new();
    for row in batches.flatten() {
        others.entry(key(&row)).or_default().push(row);
    }
    if others.is_empty() {
        return first;
    }
    let together = |row: Row| Row { batch: Some(id.into()), ..mean(row, &others) };
    first.into_iter().map(|row| if averages(&row) { together(row) } else { row }).collect()
}

fn mean(first: Row, others: &HashMap<(String, String, [Option<u32>; 4], Option<u64>), Vec<Row>>) -> Row {
    let empty = Vec::new();
    let all: Vec<&Row> = std::iter::once(&first).chain(others.get(&key(&first)).unwrap_or(&empty)).collect();
    let values: Vec<f64> = all.iter().filter_map(|row| row.value).collect();
    let Some((mean, error)) = stats::mean_and_error(&values) else { return first };
    let squares: Option<f64> = all.iter().map(|row| row.uncertainty.map(|u| u * u)).sum();
    let worst = [
        Status::Nonfinite,
        Status::Undefined,
        Status::Unconverged,
        Status::Incomplete,
        Status::Unresolved,
        Status::Ok,
    ];
    let status = worst.into_iter().find(|s| all.iter().any(|row| row.status == *s)).unwrap_or(Status::Ok);
    let counts: Option<u64> = all.iter().map(|row| row.n).sum();
    Row {
        value: (!matches!(status, Status::Nonfinite | Status::Undefined)).then_some(mean),
        uncertainty: squares.map(|squares| squares.sqrt() / values.len() as f64),
        sampling_error: Some(error),
        n: counts,
        status,
        ..first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_averaged_row_by_row() {
        let batch = |value: f64, residual: f64| {
            vec![
                Row::new("hessian/lambda", value).index(1).uncertainty(residual).n(40),
                Row { probe: Some(0), ..Row::new("hessian/density_node", value) }.on_batch("first"),
                Row::new("sharpness/threshold", 5.0).without_batch(),
            ]
        };
        let rows = combine(vec![batch(1.0, 0.3), batch(2.0, 0.4), batch(6.0, 0.0)], "0a1b2c3d");
        assert_eq!(rows.len(), 3);
        assert_eq!((rows[0].value, rows[0].n), (Some(3.0), Some(120)));
        assert!((rows[0].uncertainty.expect("kept") - 0.5 / 3.0).abs() < 1e-15);
        // standard error of 1, 2, 6: √(14/2/3)
        assert!((rows[0].sampling_error.expect("three") - (7.0f64 / 3.0).sqrt()).abs() < 1e-15);
        assert_eq!((rows[1].value, rows[1].sampling_error), (Some(1.0), None));
        assert_eq!(rows[0].batch.as_deref(), Some("0a1b2c3d"));
        assert_eq!(rows[1].batch.as_deref(), Some("first"), "that of the first batch alone");
        assert_eq!((rows[2].batch.as_deref(), rows[2].sampling_error), (None, None), "no batch enters");
        // what is not known of one batch is not known of the mean
        let unknown = vec![Row::new("hessian/lambda", 1.0).index(1)];
        assert_eq!(combine(vec![batch(1.0, 0.3), unknown], "0a1b2c3d")[0].uncertainty, None);
    }

    #[test]
    fn the_worst_status_counts() {
        let row = |status| vec![Row::new("hessian/lambda", 1.0).status(status)];
        let rows =
            combine(vec![row(Status::Ok), row(Status::Unconverged), row(Status::Unresolved)], "0a1b2c3d");
        assert_eq!(rows[0].status, Status::Unconverged);
    }
}
