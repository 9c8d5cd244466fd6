//! state.json: the step, and what the optimizer was told.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::layout::STATE_FILE;
use crate::base::error::{Error, IoContext, Result};
use crate::base::specification::Specification;
use crate::optim;
use crate::run::optimizer::OptimizerState;

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

impl State {
    /// What a folder says, where it says something.
    ///
    /// # Errors
    /// Where that is damaged.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(STATE_FILE);
        let bytes = match fs::read(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            read => read.at("read", &path)?,
        };
        let bad = |e: serde_json::Error| Error::file(&path, format!("is no checkpoint state: {e}"));
        serde_json::from_slice(&bytes).map(Some).map_err(bad)
    }
}

/// Batches are a function of (seed, step), so this is the whole position.
#[derive(Debug, Serialize, Deserialize)]
pub struct DataPosition {
    pub seed: u64,
    pub step: u64,
}

/// The optimizer's name and constants stand beside what is of the moment.
#[derive(Debug, Serialize, Deserialize)]
struct OptimizerHeader {
    #[serde(flatten)]
    told: BTreeMap<String, serde_json::Value>,
    /// Where it differs from the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    updates: Option<u64>,
    lr: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_lr: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    grad_clip: Option<f64>,
}

/// The optimizer that state.json describes, without its vectors.
///
/// # Errors
/// Naming the field.
pub fn optimizer(path: &Path, value: serde_json::Value, step: u64) -> Result<OptimizerState> {
    let bad = |problem: String| Error::file(path, problem);
    let header: OptimizerHeader = serde_json::from_value(value)
        .map_err(|e| bad(format!("has an optimizer that is not understood: {e}")))?;
    let told = Specification::of_scalars(header.told);
    if told.name().is_empty() {
        return Err(bad("has an optimizer that is not understood: it has no name".into()));
    }
    let told = if told.get("weight_decay").is_some() { told } else { told.with("weight_decay", "0.0") };
    optim::measured(&told.clone().with("coupled", false))
        .map_err(|problem| bad(format!("has an optimizer that is impossible: {problem}")))?;
    if header.lr.is_nan() || header.lr < 0.0 {
        return Err(bad(format!("has an optimizer with impossible numbers: lr {}", header.lr)));
    }
    Ok(OptimizerState {
        told,
        updates: header.updates.unwrap_or(step),
        lr: header.lr,
        last_lr: header.last_lr,
        grad_clip: header.grad_clip,
        ..OptimizerState::default()
    })
}

/// What state.json says of an optimizer after `step` updates of the run.
pub fn describe(o: &OptimizerState, step: u64) -> serde_json::Value {
    let told = serde_json::to_value(&o.told).expect("a specification is plain data");
    let header = OptimizerHeader {
        told: serde_json::from_value(told).expect("a specification is a table"),
        updates: (o.updates != step).then_some(o.updates),
        lr: o.lr,
        last_lr: o.last_lr,
        grad_clip: o.grad_clip,
    };
    serde_json::to_value(header).expect("a header is plain data")
}

/// The update whose jump of the loss a checkpoint was kept for.
pub fn kept_before(folder: &Path) -> Option<u64> {
    standing(folder)?.kept_before
}

/// Where in its run a checkpoint says it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// Updates applied.
    pub step: u64,
    /// Loss of the last one's batch.
    pub loss: Option<f64>,
    /// The run's seed.
    pub seed: Option<u64>,
    /// The update whose jump of the loss it was kept for.
    pub kept_before: Option<u64>,
}

/// What state.json says, where there is one that can be read.
pub fn standing(folder: &Path) -> Option<Standing> {
    let bytes = fs::read(folder.join(STATE_FILE)).ok()?;
    let State { step, loss, data, kept_before, .. } = serde_json::from_slice(&bytes).ok()?;
    Some(Standing { step, loss, seed: data.map(|data| data.seed), kept_before })
}
