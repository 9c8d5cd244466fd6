//! state.json: the step, and what the optimizer was told.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::base::error::{Error, Result};
use crate::run::checkpoint::OptimizerState;

/// state.json. The optimizer is understood apart, so that one that is not keeps nobody from the weights.
#[derive(Debug, Serialize, Deserialize)]
pub struct State {
    pub step: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optimizer: Option<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataPosition>,
    /// The update whose loss jumped, where the state was kept because of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_before: Option<u64>,
}

/// Batches are a function of (seed, step), so this is the whole position.
#[derive(Debug, Serialize, Deserialize)]
pub struct DataPosition {
    pub seed: u64,
    pub step: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct OptimizerHeader {
    name: String,
    /// Where it differs from the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    updates: Option<u64>,
    lr: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_lr: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    beta1: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    beta2: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    eps: Option<f64>,
    #[serde(default)]
    weight_decay: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    momentum: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    grad_clip: Option<f64>,
}

/// The optimizer that state.json describes, without its moments.
///
/// # Errors
/// Naming the field.
pub fn optimizer(path: &Path, value: serde_json::Value, step: u64) -> Result<OptimizerState> {
    let bad = |problem: String| Error::file(path, problem);
    let header: OptimizerHeader = serde_json::from_value(value)
        .map_err(|e| bad(format!("has an optimizer that is not understood: {e}")))?;
    let is_adams = ["adamw", "adam", "amsgrad", "radam", "nadam"].contains(&header.name.as_str());
    let demanded = |name: &str, value: Option<f64>| match value {
        None if is_adams => Err(bad(format!("has an optimizer without `{name}`"))),
        value => Ok(value.unwrap_or(0.0)),
    };
    let optimizer = OptimizerState {
        coupled: header.name == "adam",
        updates: header.updates.unwrap_or(step),
        lr: header.lr,
        last_lr: header.last_lr,
        beta1: demanded("beta1", header.beta1.or(header.momentum))?,
        beta2: demanded("beta2", header.beta2)?,
        eps: demanded("eps", header.eps)?,
        weight_decay: header.weight_decay,
        grad_clip: header.grad_clip,
        name: header.name,
        ..OptimizerState::default()
    };
    let o = &optimizer;
    let sane = (0.0..1.0).contains(&o.beta1) && (0.0..1.0).contains(&o.beta2) && o.eps >= 0.0 && o.lr >= 0.0;
    if !sane {
        return Err(bad(format!(
            "has an optimizer with impossible numbers: lr {}, beta1 {}, beta2 {}, eps {}",
            o.lr, o.beta1, o.beta2, o.eps
        )));
    }
    Ok(optimizer)
}

/// What state.json says of an optimizer after `step` updates of the run.
pub fn describe(o: &OptimizerState, step: u64) -> serde_json::Value {
    let header = OptimizerHeader {
        name: o.name.clone(),
        updates: (o.updates != step).then_some(o.updates),
        lr: o.lr,
        last_lr: o.last_lr,
        beta1: Some(o.beta1),
        beta2: Some(o.beta2),
        eps: Some(o.eps),
        weight_decay: o.weight_decay,
        momentum: None,
        grad_clip: o.grad_clip,
    };
    serde_json::to_value(header).expect("a header is plain data")
}
