//! Reports for eyes: one line per row, only the columns that say something.

use comfy_table::{Cell, CellAlignment, Table, presets};

use super::digits;
use crate::row::{Row, Status};

/// A table of the rows that fits 80 columns for the usual quantities. Columns that are empty or the same
/// everywhere are left out; a column of sampling errors appears where there is one.
pub fn table<'a>(rows: impl IntoIterator<Item = &'a Row>) -> String {
    let rows: Vec<&Row> = rows.into_iter().collect();
    let any = |has: &dyn Fn(&Row) -> bool| rows.iter().any(|r| has(r));
    let differs = |of: &dyn Fn(&Row) -> String| rows.windows(2).any(|w| of(w[0]) != of(w[1]));
    let optional = |x: Option<u32>| x.map(|x| x.to_string()).unwrap_or_default();

    let mut columns: Vec<(&str, bool, Box<dyn Fn(&Row) -> String>)> = Vec::new();
    if differs(&|r| r.step.to_string()) {
        columns.push(("step", true, Box::new(|r| r.step.to_string())));
    }
    columns.push(("quantity", false, Box::new(|r| r.quantity.to_string())));
    if any(&|r| &*r.scope != "all") {
        columns.push(("scope", false, Box::new(|r| r.scope.to_string())));
    }
    if any(&|r| r.head.is_some()) {
        columns.push(("layer", true, Box::new(move |r| optional(r.layer))));
        columns.push(("head", true, Box::new(move |r| optional(r.head))));
    }
    if any(&|r| r.index.is_some()) {
        columns.push(("#", true, Box::new(move |r| optional(r.index))));
    }
    columns.push(("value", false, Box::new(value)));
    if any(&|r| r.sampling_error.is_some()) {
        let text = |r: &Row| r.sampling_error.map(|s| format!("{s:.1e}")).unwrap_or_default();
        columns.push(("over batches", false, Box::new(text)));
    }
    columns.push(("n", true, Box::new(|r| r.n.map(|n| n.to_string()).unwrap_or_default())));
    columns.push(("status", false, Box::new(|r| r.status.to_string())));

    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(columns.iter().map(|(name, right, _)| align(name.to_string(), *right)));
    for row in rows {
        table.add_row(columns.iter().map(|(_, right, of)| align(of(row), *right)));
    }
    let text: Vec<String> = table.lines().map(|line| line.trim_end().to_string()).collect();
    text.join("\n") + "\n"
}

fn align(text: String, right: bool) -> Cell {
    Cell::new(text).set_alignment(if right { CellAlignment::Right } else { CellAlignment::Left })
}

fn value(row: &Row) -> String {
    match (row.value, row.status) {
        (None, _) => "not finite".into(),
        // the residual says how far off an unconverged value may be
        (Some(value), Status::Ok | Status::Unresolved | Status::Unconverged | Status::Nonfinite) => {
            digits::with_uncertainty(value, row.uncertainty)
        }
    }
}
