//! What lies in a folder, by its name.

/// The architecture.
pub const CONFIG_FILE: &str = "config.json";
/// The file of parameters.
pub const MODEL_FILE: &str = "model.safetensors";
/// The step, and what the optimizer was told.
pub const STATE_FILE: &str = "state.json";
/// The file of the optimizer's vectors.
pub const OPTIMIZER_FILE: &str = "optimizer.safetensors";
/// Of a run: its settings.
pub const RUN_FILE: &str = "run.toml";
/// Of a run: a line per update.
pub const LOG_FILE: &str = "steps.jsonl";
/// Of a run: the folder of its checkpoints.
pub const CHECKPOINTS: &str = "checkpoints";
