//! A line of .journal.jsonl: rows as JSON, without the names of their columns.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::metadata::Meta;
use crate::base::row::{Row, Status};

/// One update's rows, or, as update 0, what the reports of those that follow say of themselves.
#[derive(Serialize, Deserialize)]
pub struct Line<'a> {
    /// The update, counted from 1.
    pub update: u64,
    run: Cow<'a, str>,
    analysis: Cow<'a, str>,
    rows: Vec<Entry<'a>>,
    /// Whether the rows are of the step the run ended with, which no update follows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub end: bool,
    /// `warmlab.*` keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

/// A row: batch, step, quantity, scope, (layer, head, index, probe), parameter, value, uncertainty,
/// sampling error, n, status.
#[derive(Serialize, Deserialize)]
struct Entry<'a>(
    Option<Cow<'a, str>>,
    u64,
    Cow<'a, str>,
    Cow<'a, str>,
    [Option<u32>; 4],
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<u64>,
    u8,
);

const STATUSES: [Status; 6] = [
    Status::Ok,
    Status::Unconverged,
    Status::Unresolved,
    Status::Nonfinite,
    Status::Incomplete,
    Status::Undefined,
];

impl<'a> Entry<'a> {
    fn new(row: &'a Row) -> Self {
        let status = STATUSES.iter().position(|s| *s == row.status).unwrap_or(2) as u8;
        Entry(
            row.batch.as_deref().map(Cow::from),
            row.step,
            (&*row.quantity).into(),
            (&*row.scope).into(),
            [row.layer, row.head, row.index, row.probe],
            row.parameter,
            row.value,
            row.uncertainty,
            row.sampling_error,
            row.n,
            status,
        )
    }

    fn row(self, run: &Arc<str>, analysis: &Arc<str>) -> Row {
        let [layer, head, index, probe] = self.4;
        Row {
            run: run.clone(),
            analysis: analysis.clone(),
            batch: self.0.map(Arc::from),
            step: self.1,
            quantity: self.2.into(),
            scope: self.3.into(),
            layer,
            head,
            index,
            probe,
            parameter: self.5,
            value: self.6,
            uncertainty: self.7,
            sampling_error: self.8,
            n: self.9,
            status: STATUSES.get(usize::from(self.10)).copied().unwrap_or(Status::Unresolved),
        }
    }
}

impl<'a> Line<'a> {
    /// An update's.
    pub fn new(update: u64, rows: &'a [Row]) -> Self {
        let first = rows.first();
        let run = first.map_or("", |row| &row.run).into();
        let analysis = first.map_or("", |row| &row.analysis).into();
        Line { update, run, analysis, rows: rows.iter().map(Entry::new).collect(), end: false, meta: None }
    }

    /// The same, of the step that a run ended with.
    pub fn ending(self) -> Self {
        Line { end: true, ..self }
    }

    /// What stands first.
    pub fn header(meta: &Meta) -> Self {
        Line { meta: Some(meta.clone()), ..Line::new(0, &[]) }
    }

    /// As it is written.
    pub fn text(&self) -> String {
        let mut text = serde_json::to_string(self).expect("a line is plain data");
        text.push('\n');
        text
    }

    /// How many rows it has.
    pub fn count(&self) -> usize {
        self.rows.len()
    }

    /// Its rows.
    pub fn rows(self) -> impl Iterator<Item = Row> {
        let (run, analysis): (Arc<str>, Arc<str>) = (self.run.into(), self.analysis.into());
        self.rows.into_iter().map(move |entry| entry.row(&run, &analysis))
    }
}
