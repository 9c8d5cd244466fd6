//! Rows to Parquet, JSON, CSV and tables: the same columns everywhere.

mod aligned;
mod chart;
mod digits;
mod findings;
mod fit;
mod header;
mod look;
mod page;
mod panels;
mod parquet;
mod promises;
mod section;
mod select;
mod table;
mod text;
mod thrift;

pub use aligned::{Column, aligned};
pub use digits::{plain, with_uncertainty};
pub use fit::wrap;
pub use header::Facts;
pub use page::{Page, Sources};
pub use parquet::{read_parquet, write_parquet};
pub use table::table;
pub use text::{COLUMNS, to_csv, to_json};

use std::collections::BTreeMap;

use crate::row::Row;

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
