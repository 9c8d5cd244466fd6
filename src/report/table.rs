//! Reports for eyes: one line per row, only the columns that say something.

use comfy_table::{Cell, CellAlignment, Table, presets};

use super::digits;
use super::fit::{elide, width};
use crate::base::row::{Row, Status};

/// A column: its name, whether it stands to the right, and a row's cell.
type Column = (&'static str, bool, Box<dyn Fn(&Row) -> String>);

/// Spaces between columns.
const GAP: usize = 2;
/// A name is not cut shorter than this.
const LEAST: usize = 12;

/// A table of the rows in `columns_wide`. Columns that are empty or the same everywhere are left out; a column of
/// sampling errors appears where there is one. Where scopes have no room beside the numbers each stands in a line of
/// its own above them; if that is not enough n is left out, and then the middle of quantities' names.
pub fn table<'a>(rows: impl IntoIterator<Item = &'a Row>, columns_wide: usize) -> String {
    let rows: Vec<&Row> = rows.into_iter().collect();
    let mut columns = columns(&rows);
    let too_wide = |columns: &[Column]| natural(columns, &rows) > columns_wide;
    let above = too_wide(&columns) && columns.iter().any(|(name, ..)| *name == "scope");
    if above {
        columns.retain(|(name, ..)| *name != "scope");
    }
    if too_wide(&columns) {
        columns.retain(|(name, ..)| *name != "n");
    }
    let excess = natural(&columns, &rows).saturating_sub(columns_wide);
    let longest = rows.iter().map(|row| width(&row.quantity)).max().unwrap_or(0);
    let most = longest.saturating_sub(excess).max(LEAST);
    let cell = |(name, right, of): &Column, row: &Row| {
        align(if *name == "quantity" { elide(&of(row), most) } else { of(row) }, *right)
    };

    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(columns.iter().map(|(name, right, _)| align(name.to_string(), *right)));
    for row in &rows {
        table.add_row(columns.iter().map(|column| cell(column, row)));
    }
    let mut lines = table.lines().map(|line| line.trim_end().to_string());
    let mut text: Vec<String> = lines.next().into_iter().collect();
    let mut before = None;
    for (row, line) in rows.iter().zip(lines) {
        if above && before != Some(&row.scope) {
            text.push(elide(&row.scope, columns_wide));
            before = Some(&row.scope);
        }
        text.push(line);
    }
    text.join("\n") + "\n"
}

fn columns(rows: &[&Row]) -> Vec<Column> {
    let any = |has: &dyn Fn(&Row) -> bool| rows.iter().any(|r| has(r));
    let differs = |of: &dyn Fn(&Row) -> String| rows.windows(2).any(|w| of(w[0]) != of(w[1]));
    let optional = |x: Option<u32>| x.map(|x| x.to_string()).unwrap_or_default();
    let mut columns: Vec<Column> = Vec::new();
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
    columns
}

/// Columns of the terminal that they all take.
fn natural(columns: &[Column], rows: &[&Row]) -> usize {
    let widest =
        |(name, _, of): &Column| rows.iter().map(|r| width(&of(r))).max().unwrap_or(0).max(width(name));
    columns.iter().map(|column| widest(column) + GAP).sum()
}

fn align(text: String, right: bool) -> Cell {
    Cell::new(text).set_alignment(if right { CellAlignment::Right } else { CellAlignment::Left })
}

fn value(row: &Row) -> String {
    match row.value {
        None if row.status == Status::Undefined => "undefined".into(),
        None => "not finite".into(),
        // the residual says how far off an unconverged value may be
        Some(value) => digits::with_uncertainty(value, row.uncertainty),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        let scopes = ["transformer.h.10.attn.c_attn.weight", "transformer.wte.weight"];
        let of = |scope: &str| {
            ["preconditioned/density_quantile", "preconditioned_next/lambda_min"].map(|quantity| {
                let row =
                    Row::new(quantity, 50.867_387_7).uncertainty(2e-9).index(1).n(1_000_000).scope(scope);
                row.status(Status::Unconverged)
            })
        };
        scopes.into_iter().flat_map(of).collect()
    }

    #[test]
    fn no_line_is_longer_than_the_terminal_and_no_row_is_lost() {
        let rows = rows();
        for columns in [60, 80, 100, 200] {
            let text = table(&rows, columns);
            assert!(text.lines().all(|line| width(line) <= columns), "{columns}:\n{text}");
            assert_eq!(text.matches("unconverged").count(), 4, "{text}");
            assert_eq!(text.matches("50.867387700 ± 2e-9").count(), 4, "{text}");
            let above = if columns < 120 { 1 } else { 2 };
            assert_eq!(text.matches("transformer.h.10.attn.c_attn.weight").count(), above, "{text}");
        }
        assert!(table(&rows, 200).contains("scope") && table(&rows, 200).contains("1000000"));
        let narrow = table(&rows, 60);
        assert!(narrow.contains('…') && !narrow.contains("1000000"), "{narrow}");
    }

    #[test]
    fn a_table_that_fits_is_left_as_it_is() {
        let rows = [Row::new("hessian/lambda", 50.867).uncertainty(5e-3).index(1).n(40)];
        let text = table(&rows, 80);
        let words: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words[0], ["quantity", "#", "value", "n", "status"]);
        assert_eq!(words[1], ["hessian/lambda", "1", "50.867", "±", "0.005", "40", "ok"]);
    }
}
