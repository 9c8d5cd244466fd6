//! Measurements of training steps: from what the loop tells of an update to reports.
//!
//! Rows are appended to a journal as they are made and compacted into Parquet at each checkpoint; a
//! resumed run goes on behind its checkpoint and computes what was beyond it again, bit for bit.

mod journal;
mod state;
mod tracker;

pub use tracker::{Tracker, Tracking};
