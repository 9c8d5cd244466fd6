//! nanoGPT's `ckpt.pt`, and build-nanogpt's `model_N.pt`.
//!
//! - Keys of `model` may carry the prefixes of a compiled or parallel model, in any order.
//! - `lm_head.weight` shares its storage with `transformer.wte.weight` and is counted once, unless it differs.
//! - A checkpoint is saved at the top of the loop: the stored rate is that of the next update.

mod names;
mod optimizer;
mod rate;
mod rule;

use std::path::Path;
use std::sync::Arc;

use crate::architecture::Activation;
use crate::base::error::{Error, Result};
use crate::base::pickle::Id;
use crate::base::values::{DType, Values};
use crate::run::candidate::Candidate;
use crate::run::checkpoint::{Moments, NoOptimizer};
use crate::run::format::{Format, Given, Header, Opened, step_of};
use crate::run::optimizer::OptimizerState;
use crate::run::pytorch::{Named, TorchFile};
use crate::run::tensor_map::TensorMap;
use crate::run::torch_gpt::{self, Settings};

/// The format.
pub struct NanoGpt;

/// The first is train.py's, which has its step inside.
const NAMES: &[&str] = &["ckpt.pt", "step_N.pt", "ckpt_N.pt", "model_N.pt", "checkpoint-N.pt"];

/// The model, its sizes, and what they say of the nonlinearity.
fn parts(file: &TorchFile) -> Option<(Id, Settings<'static>)> {
    let model = file.find(&["model"])?;
    let settings = |fields, name, activation| Settings { fields, name, activation };
    let nano = file.find(&["model_args"]).map(|args| settings(args, "model_args", Activation::Gelu));
    // build-nanogpt: a pickled configuration, and tanh
    let build = || {
        file.find(&["config", "n_head"])?;
        Some(settings(file.find(&["config"])?, "config", Activation::GeluTanh))
    };
    Some((model, nano.or_else(build)?))
}

/// The run's own number: `iter_num`, or build-nanogpt's `step`.
fn step(file: &TorchFile) -> Option<u64> {
    file.count(file.find(&["iter_num"]).or_else(|| file.find(&["step"]))?)
}

impl Format for NanoGpt {
    fn name(&self) -> &'static str {
        "nanogpt"
    }

    fn about(&self) -> &'static str {
        "nanoGPT's `ckpt.pt`"
    }

    fn recognises(&self, there: &Candidate) -> bool {
        there.torch().is_some_and(|file| parts(file).is_some())
    }

    fn open(&self, there: Candidate, given: &Given) -> Result<Box<dyn Opened>> {
        let file = Arc::new(there.into_torch()?);
        let path = file.path();
        let Some((model, settings)) = parts(&file) else {
            return Err(Error::file(path, "holds no model and model_args"));
        };
        let mut notes = Vec::new();
        if settings.name == "config" {
            notes.push("a checkpoint of build-nanogpt: its GELU is the tanh approximation".into());
        }
        let weights = torch_gpt::weights(&file, model)?;
        let config = torch_gpt::config(&file, &weights, &settings, given)?;
        if !config.tied_lm_head {
            notes.push("`lm_head.weight` differs from the token embedding: the head is untied".into());
        }
        let step = step(&file).unwrap_or_else(|| {
            let named = step_of(path, NAMES);
            notes.push(format!(
                "the checkpoint has no iter_num; its step is taken to be {}",
                named.map_or("0".into(), |step| format!("{step}, from its name"))
            ));
            named.unwrap_or(0)
        });
        let header = Header {
            path: path.into(),
            files: vec![path.into()],
            step,
            config,
            loss: None,
            seed: None,
            next_grad_norm: None,
            notes,
        };
        Ok(Box::new(Parsed { file, weights, header }))
    }

    fn names(&self) -> &'static [&'static str] {
        NAMES
    }

    fn step(&self, checkpoint: &Path) -> Option<u64> {
        if checkpoint.file_name()? == NAMES[0] {
            return step(&TorchFile::open(checkpoint).ok()?);
        }
        step_of(checkpoint, NAMES)
    }
}

/// A checkpoint whose pickle was read.
struct Parsed {
    file: Arc<TorchFile>,
    weights: Named,
    header: Header,
}

impl Opened for Parsed {
    fn header(&self) -> &Header {
        &self.header
    }

    fn parameters(&self, dtype: DType) -> Result<Values> {
        TensorMap::of(&self.header.config).read(&self.weights, dtype)
    }

    fn optimizer(
        &self,
        wanted: Moments,
        dtype: DType,
        notes: &mut Vec<String>,
    ) -> std::result::Result<OptimizerState, NoOptimizer> {
        let Header { path, config, step, .. } = &self.header;
        let read = match self.file.find(&["optimizer"]) {
            Some(id) => optimizer::read(&self.file, id, (config, *step), (wanted, dtype), notes)
                .map_err(|error| format!("its optimizer cannot be used: {error}")),
            None => Err(format!("`{}` holds no optimizer state", path.display())),
        };
        read.map_err(|reason| {
            notes.push(reason.clone());
            NoOptimizer { reason, hint: "use a checkpoint saved with its optimizer" }
        })
    }
}
