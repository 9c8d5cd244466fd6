//! Several runs at the same steps, side by side.

use std::collections::BTreeSet;

use comfy_table::{Cell, CellAlignment, Table, presets};

use super::digits;
use super::fit::{self, elide};
use super::select::{is_whole, runs};
use crate::base::figure::Column;
use crate::base::row::{Row, Status};

/// One line per step and run, runs in the order of their first row; only steps at which one of the
/// `measured` quantities is known. A column nobody has values for is left out. Digits are those known; a
/// question mark says that a number is not settled. What does not fit `columns_wide` follows in a further
/// table over the same steps and runs.
pub fn aligned(rows: &[Row], columns: &[Column], measured: &[&str], columns_wide: usize) -> String {
    let (header, mut lines) = grid(rows, columns, measured);
    // a long name must leave room for numbers
    lines.iter_mut().for_each(|line| line[1] = elide(&line[1], (columns_wide / 3).max(8)));
    let width = |column: usize| {
        let cells = std::iter::once(&header).chain(&lines).map(|line| fit::width(&line[column]));
        // two spaces stand between columns
        cells.max().unwrap_or(0) + 2
    };
    let lead = width(0) + width(1);
    let (mut tables, mut used) = (vec![vec![]], lead);
    for column in 2..header.len() {
        used += width(column);
        if used > columns_wide && used > lead + width(column) {
            tables.push(vec![]);
            used = lead + width(column);
        }
        if let Some(table) = tables.last_mut() {
            table.push(column);
        }
    }
    let texts: Vec<String> = tables.iter().map(|chosen| text(&header, &lines, chosen)).collect();
    texts.join("\n")
}

/// Step, run and the chosen columns.
fn text(header: &[String], lines: &[Vec<String>], chosen: &[usize]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let pick = |line: &[String]| {
        let columns: Vec<Cell> =
            [0, 1].iter().chain(chosen).map(|&i| (i, line[i].clone())).map(cell).collect();
        columns
    };
    table.set_header(pick(header));
    for line in lines {
        table.add_row(pick(line));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_string()).collect();
    lines.join("\n") + "\n"
}

/// The table's header and lines, step and run first.
pub fn grid(rows: &[Row], columns: &[Column], measured: &[&str]) -> (Vec<String>, Vec<Vec<String>>) {
    let runs = runs(rows);
    let steps: BTreeSet<u64> =
        rows.iter().filter(|r| measured.contains(&&*r.quantity)).map(|r| r.step).collect();
    let known: Vec<&Column> =
        columns.iter().filter(|c| rows.iter().any(|r| &*r.quantity == c.quantity)).collect();

    let header = ["step", "run"].into_iter().chain(known.iter().map(|c| c.header));
    let mut lines = Vec::new();
    for step in steps {
        for run in &runs {
            let here: Vec<&Row> = rows.iter().filter(|r| r.step == step && r.run == *run).collect();
            if here.is_empty() {
                continue;
            }
            let values = known.iter().map(|c| value(find(&here, c.quantity)));
            lines.push([step.to_string(), run.to_string()].into_iter().chain(values).collect());
        }
    }
    (header.map(String::from).collect(), lines)
}

fn find<'a>(rows: &[&'a Row], quantity: &str) -> Option<&'a Row> {
    rows.iter().filter(|r| &*r.quantity == quantity).find(|r| is_whole(r)).copied()
}

/// Names to the left, numbers to the right.
fn cell((column, text): (usize, String)) -> Cell {
    Cell::new(text).set_alignment(if column == 1 { CellAlignment::Left } else { CellAlignment::Right })
}

fn value(row: Option<&Row>) -> String {
    let Some(row) = row else { return "-".into() };
    let undefined = row.status == Status::Undefined;
    let Some(value) = row.value else { return if undefined { "undefined" } else { "not finite" }.into() };
    let text = digits::short(value, row.uncertainty);
    if row.status == Status::Ok { text } else { format!("{text}?") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::figure::Subject;
    use crate::base::row::Origin;

    #[test]
    fn runs_meet_at_their_steps() {
        let row = |run: &str, step, quantity: &'static str, value| {
            Row::new(quantity, value).stamp(&Origin::new(run, "hessian", "0a1b2c3d", step))
        };
        let rows = [
            row("cold", 1, "hessian/lambda", 50.867).index(1).uncertainty(0.02),
            row("cold", 1, "hessian/lambda", 3.0).index(2),
            row("warm", 1, "hessian/lambda", 40.0).index(1).status(Status::Unconverged),
            row("cold", 7, "train/loss", 2.0),
        ];
        let columns = [
            Column::new(Subject::Update, "λ1", "hessian/lambda"),
            Column::new(Subject::Update, "loss", "train/loss"),
            Column::new(Subject::Update, "angle", "update/angle"),
        ];
        let text = aligned(&rows, &columns, &["hessian/lambda"], 80);
        let words: Vec<Vec<&str>> = text.lines().map(|l| l.split_whitespace().collect()).collect();
        assert_eq!(words[0], ["step", "run", "λ1", "loss"]);
        assert_eq!(words[1], ["1", "cold", "50.87", "-"]);
        assert_eq!(words[2], ["1", "warm", "40.00?", "-"]);
        assert_eq!(words.len(), 3);
    }

    #[test]
    fn what_does_not_fit_a_terminal_follows_below() {
        let names = ["a/a", "b/b", "c/c", "d/d", "e/e"];
        let origin = Origin::new("a-run-with-a-name", "adam", "0a1b2c3d", 3);
        let rows: Vec<Row> = names.iter().map(|name| Row::new(*name, 1.0).stamp(&origin)).collect();
        let columns = names.map(|quantity| Column::new(Subject::Update, "a header of its own", quantity));
        for width in [50, 80, 120] {
            let text = aligned(&rows, &columns, &["a/a"], width);
            assert!(text.lines().all(|line| fit::width(line) <= width), "{width}: {text}");
        }
        let text = aligned(&rows, &columns, &["a/a"], 80);
        assert_eq!(text.matches("a-run-with-a-name").count(), 3, "{text}");
        assert_eq!(text.matches("a header of its own").count(), 5, "{text}");
    }
}
