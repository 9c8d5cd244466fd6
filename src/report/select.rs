//! Which of a step's rows stands for a quantity.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::row::{Row, Status};

/// Whether a row is the one of the whole model, the first where there is a list.
pub fn is_whole(row: &Row) -> bool {
    &*row.scope == "all" && row.layer.is_none() && row.head.is_none() && row.index.is_none_or(|i| i == 1)
}

/// The runs, in the order of their first row.
pub fn runs(rows: &[Row]) -> Vec<Arc<str>> {
    let mut runs: Vec<Arc<str>> = Vec::new();
    for row in rows {
        if !runs.contains(&row.run) {
            runs.push(row.run.clone());
        }
    }
    runs
}

/// A number at a step: of one row, or of several.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// The number.
    pub value: f64,
    /// Half-width of its interval.
    pub error: Option<f64>,
    /// Whether its status is ok.
    pub settled: bool,
}

impl Measured {
    fn of(row: &Row) -> Option<Self> {
        let settled = row.status == Status::Ok;
        row.value.map(|value| Measured { value, error: row.sampling_error.or(row.uncertainty), settled })
    }
}

/// The quantity of a run by step: the row of the whole model, or where there is none the median over tensors.
pub fn whole(rows: &[Row], run: &str, quantity: &str) -> BTreeMap<u64, Measured> {
    by_step(rows, run, quantity).into_iter().filter_map(|(step, rows)| Some((step, one(&rows)?))).collect()
}

/// The lowest of all heads by step.
pub fn lowest_head(rows: &[Row], run: &str, quantity: &str) -> BTreeMap<u64, Measured> {
    let lowest = |rows: Vec<&Row>| {
        let heads = rows.into_iter().filter(|r| r.head.is_some()).filter_map(Measured::of);
        heads.min_by(|a, b| a.value.total_cmp(&b.value))
    };
    by_step(rows, run, quantity).into_iter().filter_map(|(step, rows)| Some((step, lowest(rows)?))).collect()
}

fn by_step<'a>(rows: &'a [Row], run: &str, quantity: &str) -> BTreeMap<u64, Vec<&'a Row>> {
    let mut steps: BTreeMap<u64, Vec<&Row>> = BTreeMap::new();
    for row in rows.iter().filter(|r| &*r.run == run && &*r.quantity == quantity && r.value.is_some()) {
        steps.entry(row.step).or_default().push(row);
    }
    steps
}

fn one(rows: &[&Row]) -> Option<Measured> {
    if let Some(row) = rows.iter().find(|row| is_whole(row)) {
        return Measured::of(row);
    }
    // eigenvalues of blocks, quantiles: a median over unlike things would mean nothing
    let tensors: Vec<&&Row> =
        rows.iter().filter(|r| r.index.is_none() && r.head.is_none() && r.parameter.is_none()).collect();
    let value = median(tensors.iter().filter_map(|r| r.value))?;
    Some(Measured { value, error: None, settled: tensors.iter().all(|r| r.status == Status::Ok) })
}

/// The middle of some numbers, between the two middle ones where they are even.
pub fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    Some((values[last / 2] + values[last.div_ceil(2)]) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::row::Origin;

    #[test]
    fn the_whole_model_stands_before_the_median_of_tensors() {
        let at = |step, row: Row| row.stamp(&Origin::new("a", "angular", "0a1b2c3d", step));
        let mut rows: Vec<Row> =
            [0.3, 0.1, 0.2, 0.9].map(|x| at(1, Row::new("update/angle", x).scope("w"))).to_vec();
        assert_eq!(whole(&rows, "a", "update/angle")[&1].value, 0.25);
        rows.push(at(1, Row::new("update/angle", 7.0)));
        assert_eq!(whole(&rows, "a", "update/angle")[&1].value, 7.0);
        assert!(whole(&rows, "b", "update/angle").is_empty());
        let heads = [1.5, 0.5]
            .map(|x| at(2, Row { head: Some(0), layer: Some(1), ..Row::new("attention/entropy", x) }));
        assert_eq!(lowest_head(&heads, "a", "attention/entropy")[&2].value, 0.5);
        assert!(whole(&heads, "a", "attention/entropy").is_empty());
        assert_eq!(median([].into_iter()), None);
    }
}
