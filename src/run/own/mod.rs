//! This program's own folders: what lies in them, what state.json says, and how they are written.

pub mod layout;
pub mod state;
mod write;

pub use layout::{MODEL_FILE, OPTIMIZER_FILE};
pub use state::{Standing, kept_before, standing};
pub use write::{remove_unfinished, write, write_kept};
