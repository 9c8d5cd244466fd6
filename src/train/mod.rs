//! Training a GPT, so that there is something to measure: the loop, its log and its checkpoints.

mod batches;
mod config;
mod consistency;
mod folder;
mod init;
mod jumps;
mod listener;
mod log;
mod resumption;
mod ring;
mod saves;
mod trainer;

pub use config::TrainConfig;
pub use consistency::contradictions;
pub use folder::RunFolder;
pub use init::initial_parameters;
pub use listener::{Cadence, Listener, Position, Tracked};
pub use log::{StepLine, StepLog};
pub use ring::{Held, Ring};
pub use saves::Saves;
pub use trainer::{Ended, Trainer, check};
