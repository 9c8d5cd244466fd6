//! The plain values of `ckpt.pt`: everything but tensors.

use serde::Deserialize;

use super::rate::TrainConfig;

#[derive(Debug, Deserialize)]
pub struct Header {
    pub model_args: ModelArgs,
    pub iter_num: u64,
    #[serde(default)]
    pub config: Option<TrainConfig>,
    #[serde(default)]
    pub optimizer: Option<Optimizer>,
}

#[derive(Debug, Deserialize)]
pub struct ModelArgs {
    pub n_layer: usize,
    pub n_head: usize,
    pub n_embd: usize,
    pub block_size: usize,
    #[serde(default)]
    pub bias: bool,
    pub vocab_size: usize,
}

#[derive(Debug, Deserialize)]
pub struct Optimizer {
    pub param_groups: Vec<ParamGroup>,
}

#[derive(Debug, Deserialize)]
pub struct ParamGroup {
    pub lr: Number,
    pub betas: (Number, Number),
    pub eps: Number,
    pub weight_decay: Number,
    pub params: Vec<u64>,
    #[serde(default)]
    pub param_names: Option<Vec<String>>,
}

/// A number as Python wrote it: `weight_decay=0` is an int, `0.0` a float.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
pub enum Number {
    Int(i64),
    Float(f64),
}

impl Default for Number {
    fn default() -> Self {
        Number::Int(0)
    }
}

impl Number {
    pub fn get(self) -> f64 {
        match self {
            Number::Int(x) => x as f64,
            Number::Float(x) => x,
        }
    }
}
