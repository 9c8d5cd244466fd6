//! Rows to Parquet, JSON, CSV and tables: the same columns everywhere.

mod aligned;
mod answers;
mod axes;
mod chart;
mod conflict;
mod digits;
mod findings;
mod fit;
mod folder;
mod header;
mod html;
mod identity;
mod layout;
mod page;
mod parquet;
mod promises;
mod section;
mod select;
mod statuses;
mod table;
mod text;
mod thrift;

pub use aligned::aligned;
pub use answers::{Answers, Choices, choose};
pub use digits::{plain, with_uncertainty};
pub use fit::wrap;
pub use folder::{Reading, Source, entries, is_report, read_run};
pub use header::Facts;
pub use identity::{Shelf, stem};
pub use layout::Layout;
pub use page::Page;
pub use parquet::{read_metadata, read_parquet, write_parquet};
pub use section::Sources;
pub use table::table;
pub use text::{COLUMNS, to_csv, to_json};

use std::collections::BTreeMap;

use crate::base::row::Row;

/// The version of the columns and of the metadata's keys.
pub const SCHEMA_VERSION: &str = "2";

/// Rows and what is needed to repeat them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// `warmlab.*` keys: versions, options, hashes, seed, precision.
    pub meta: BTreeMap<String, String>,
    /// The numbers.
    pub rows: Vec<Row>,
}

impl Report {
    /// Adds another's rows; where the two differ in a key, its values follow each other.
    pub fn join(&mut self, other: Report) {
        for (key, value) in other.meta {
            let all = self.meta.entry(key).or_default();
            if all.is_empty() {
                *all = value;
            } else if all.split(SEVERAL).all(|one| one != value) {
                *all = format!("{all}{SEVERAL}{value}");
            }
        }
        self.rows.extend(other.rows);
    }
}

/// Between values of a key.
const SEVERAL: &str = " | ";
