//! GPT-2 as in nanoGPT, with every derivative the instrument needs written by hand.

mod gpt;
mod inputs;
pub mod layers;
mod moments;
pub mod parameters;
mod primal;
mod statistics;

pub use gpt::Gpt;
pub use inputs::{LayerInputs, Seen};
pub use moments::GradientMoments;
pub use primal::Primal;
pub use statistics::{ForwardStatistics, RowStatistics};
