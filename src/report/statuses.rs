//! Statuses that share a word in the column: a list that may have a hole is written as unresolved, like what the data
//! cannot answer, and what has no value by definition as nonfinite, like what overflowed. The metadata tells them
//! apart.

use super::Report;
use crate::base::row::{Row, Status};

/// The key that names the rows of a status, and the status that their word stands for without it.
const SHARED: [(&str, Status, Status); 2] = [
    ("warmlab.incomplete", Status::Incomplete, Status::Unresolved),
    ("warmlab.undefined", Status::Undefined, Status::Nonfinite),
];

/// The keys with the rows' numbers, where there are any.
pub fn notes(rows: &[Row]) -> Vec<(String, String)> {
    let note = |(key, status, _): &(&str, Status, Status)| {
        let here = rows.iter().enumerate().filter(|(_, row)| row.status == *status);
        let numbers: Vec<String> = here.map(|(i, _)| i.to_string()).collect();
        (!numbers.is_empty()).then(|| (key.to_string(), format!("rows {}", numbers.join(" "))))
    };
    SHARED.iter().filter_map(note).collect()
}

/// Gives the rows of a report that was read their status back.
pub fn recall(report: &mut Report) {
    for (key, status, written) in SHARED {
        let Some(text) = report.meta.remove(key) else { continue };
        for number in text.split(' ').filter_map(|word| word.parse::<usize>().ok()) {
            if let Some(row) = report.rows.get_mut(number).filter(|row| row.status == written) {
                row.status = status;
            }
        }
    }
}
