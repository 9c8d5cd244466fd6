//! Measuring: from a source of steps, batches and an analysis to reports.
//!
//! Checkpoints on disk are measured one after the other ([`measure`]): what is measured already is found, a search
//! begins near what the one before found, and a checkpoint that is broken does not take the others down. The steps of a
//! run in training are measured as they happen ([`Tracker`]): rows, those of the training loop itself too, are appended
//! to a journal as they are made and compacted into Parquet at each checkpoint; a resumed run goes on behind its
//! checkpoint and computes what was beyond it again, bit for bit.
//!
//! Nothing here knows a command line or a terminal: what is asked for is a [`Request`], and who hears of it an
//! [`Observer`](crate::base::observer::Observer).

pub mod batches;
mod consistency;
mod journal;
mod line;
pub mod metadata;
pub mod repeat;
mod request;
mod several;
mod spans;
mod starts;
mod state;
mod sums;
mod targets;
pub mod tracked;
mod tracker;
pub mod training;
mod work;

pub use line::Line;
pub use request::{Computing, Request, Sequences, Source, Tokens};
pub use spans::RUN;
pub use tracker::{Measurement, Tracker};
pub use work::{Measured, measure};
