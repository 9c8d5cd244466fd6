//! GPT-2 as in nanoGPT, with every derivative the instrument needs written by hand.

mod fold;
mod forward;
mod gpt;
mod inputs;
pub mod layers;
mod moments;
mod observed;
pub mod parameters;
mod primal;
mod statistics;

pub use fold::{Partial, fold, try_fold};
pub use gpt::Gpt;
pub use inputs::LayerInputs;
pub use moments::GradientMoments;
pub use observed::{Look, Seen};
pub use primal::Primal;
pub use statistics::{ForwardStatistics, RowStatistics};
