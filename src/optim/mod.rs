//! One optimizer per file, on flat host vectors, and the statistics of their updates.

mod adamw;
mod clip;
mod distribution;
pub mod equilibrium;
pub mod limits;
mod radam;
mod real;
mod representation;
pub mod stability;
mod statistics;
mod tracked;

pub use adamw::{AdamW, Hyperparameters, last_update};
pub use clip::{Clip, ClipSource, clip_factor};
pub use distribution::{Distribution, distributions};
pub use radam::RAdam;
pub use representation::{RepresentationChange, representation_change};
pub use statistics::{Motion, Part, Sums, UpdateStatistics};
