//! One optimizer per file, on flat host vectors.

mod adamw;
mod clip;
pub mod stability;

pub use adamw::{AdamW, Hyperparameters};
pub use clip::clip_factor;
