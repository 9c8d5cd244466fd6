//! Which rows are of lists that may have a hole: their status is written as unresolved, like that of what the data
//! cannot answer, and the metadata tells the two apart.

use super::Report;
use crate::row::{Row, Status};

const KEY: &str = "warmlab.incomplete";

/// The key with the rows' numbers, where there are any.
pub fn note(rows: &[Row]) -> Option<(String, String)> {
    let here = rows.iter().enumerate().filter(|(_, row)| row.status == Status::Incomplete);
    let numbers: Vec<String> = here.map(|(i, _)| i.to_string()).collect();
    (!numbers.is_empty()).then(|| (KEY.into(), format!("rows {}", numbers.join(" "))))
}

/// Gives the rows of a report that was read their status back.
pub fn recall(report: &mut Report) {
    let Some(text) = report.meta.remove(KEY) else { return };
    for number in text.split(' ').filter_map(|word| word.parse::<usize>().ok()) {
        if let Some(row) = report.rows.get_mut(number).filter(|row| row.status == Status::Unresolved) {
            row.status = Status::Incomplete;
        }
    }
}
