//! A training run on disk: one file per format, all read into the same [`Checkpoint`].
//!
//! Everything here is untrusted input. Pickles are parsed, never executed; sizes in headers are
//! compared with the file's length and the configuration's shapes before memory is taken; weights
//! that are not finite are refused by name. Weights and optimizer are read apart: an optimizer that is damaged, or not
//! understood, is said and keeps nobody from the weights.

mod candidate;
mod checkpoint;
mod find;
mod folder;
mod format;
mod formats;
mod head;
mod listing;
mod moments;
mod name;
mod open;
mod optimizer;
mod own;
pub mod piece;
mod pytorch;
mod safetensors;
mod series;
pub mod tensor_map;
pub mod tensors;
mod torch_gpt;
mod unknown;

pub use candidate::Candidate;
pub use checkpoint::{Checkpoint, Moments, NoOptimizer};
pub use find::{Found, available, checkpoints, find, names};
pub use folder::{folder, within};
pub use format::{Format, Given, Header, Opened};
pub use formats::FORMATS;
pub use listing::{Listed, tensors};
pub use name::of_run as folder_name;
pub use open::{is_checkpoint, open, open_for, series};
pub use optimizer::{OptimizerState, PerTensor};
pub use own::{MODEL_FILE, OPTIMIZER_FILE, Standing, kept_before, remove_unfinished, standing};
pub use own::{write as write_native, write_kept as write_native_kept};
pub use series::Series;
