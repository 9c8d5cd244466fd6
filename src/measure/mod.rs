//! Measurements of training steps: from what the loop tells of an update to reports.
//!
//! Rows, those of the training loop itself too, are appended to a journal as they are made and compacted into Parquet
//! at each checkpoint; a resumed run goes on behind its checkpoint and computes what was beyond it again, bit for bit.

mod consistency;
mod journal;
mod line;
pub mod repeat;
mod state;
mod tracker;
pub mod training;

pub use consistency::contradictions;
pub use journal::RUN;
pub use line::Line;
pub use state::{read_vectors, write_vectors};
pub use tracker::{Tracker, Tracking};
