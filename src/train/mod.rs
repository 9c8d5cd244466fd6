//! Training a GPT, so that there is something to measure: the loop, its log and its checkpoints.

mod config;
mod init;
mod listener;
mod log;
mod saves;
mod trainer;

pub use config::TrainConfig;
pub use init::initial_parameters;
pub use listener::{Cadence, Deaf, Listener, Tracked};
pub use log::{StepLine, StepLog};
pub use saves::Saves;
pub use trainer::{Ended, Trainer};
