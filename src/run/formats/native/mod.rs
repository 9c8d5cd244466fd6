//! warmlab's own checkpoint folder: config.json, model.safetensors, optimizer.safetensors, state.json.
//!
//! A folder with only the first two is a valid checkpoint. Tensors carry nanoGPT's names and shapes;
//! tied weights are stored once.

mod clipping;
mod moments;
mod series;

use std::fs;
use std::path::{Path, PathBuf};

use crate::architecture::GptConfig;
use crate::base::error::{Error, IoContext, Result};
use crate::base::values::{DType, Values};
use crate::run::candidate::Candidate;
use crate::run::checkpoint::{Moments, NoOptimizer};
use crate::run::format::{Format, Given, Header, Opened, step_of};
use crate::run::head::{EMBEDDING, HEAD, Head};
use crate::run::optimizer::OptimizerState;
use crate::run::own::layout::{
    CHECKPOINTS, CONFIG_FILE, LOG_FILE, MODEL_FILE, OPTIMIZER_FILE, RUN_FILE, STATE_FILE,
};
use crate::run::own::state::State;
use crate::run::safetensors::SafeFile;
use crate::run::series::Series;
use crate::run::tensor_map::TensorMap;

/// What checkpoints are called.
const NAMES: &[&str] = &["step_N", "ckpt_N", "model_N", "checkpoint-N"];

/// The format.
pub struct Native;

impl Format for Native {
    fn name(&self) -> &'static str {
        "native"
    }

    fn about(&self) -> &'static str {
        "a folder with config.json and model.safetensors"
    }

    fn recognises(&self, there: &Candidate) -> bool {
        there.holds(CONFIG_FILE)
    }

    fn open(&self, there: Candidate, _: &Given) -> Result<Box<dyn Opened>> {
        let folder = there.path();
        let config_path = folder.join(CONFIG_FILE);
        let bytes = fs::read(&config_path).at("read", &config_path)?;
        let config = GptConfig::from_json(&bytes)
            .map_err(|e| Error::file(&config_path, format!("is no model configuration: {e}")))?;

        let model = SafeFile::open(&folder.join(MODEL_FILE))?;
        let state = State::read(folder)?;
        let mut notes = Vec::new();
        let step = match (&state, step_of(folder, NAMES)) {
            (Some(state), _) => state.step,
            (None, Some(step)) => step,
            (None, None) => {
                notes.push(format!("`{}` has no state.json; its step is taken to be 0", folder.display()));
                0
            }
        };
        let clipping = clipping::beside(folder, step);
        let files =
            [CONFIG_FILE, MODEL_FILE, STATE_FILE, OPTIMIZER_FILE].map(|name| folder.join(name)).into();
        let header = Header {
            path: folder.into(),
            files,
            step,
            config,
            loss: state.as_ref().and_then(|state| state.loss),
            seed: state.as_ref().and_then(|state| Some(state.data.as_ref()?.seed)),
            next_grad_norm: clipping.next_norm,
            notes,
        };
        Ok(Box::new(Parsed {
            header,
            model,
            optimizer: state.and_then(|state| state.optimizer),
            grad_clip: clipping.threshold,
        }))
    }

    fn names(&self) -> &'static [&'static str] {
        NAMES
    }

    fn is_run(&self, folder: &Path) -> bool {
        [RUN_FILE, LOG_FILE, CHECKPOINTS].iter().any(|name| folder.join(name).exists())
    }

    fn series(&self, path: &Path) -> Option<Result<Vec<Series>>> {
        series::read(path)
    }
}

/// A folder whose descriptions were read.
struct Parsed {
    header: Header,
    model: SafeFile,
    /// state.json's optimizer.
    optimizer: Option<serde_json::Value>,
    /// run.toml's threshold.
    grad_clip: Option<f64>,
}

impl Parsed {
    fn file(&self, name: &str) -> PathBuf {
        self.header.path.join(name)
    }
}

impl Opened for Parsed {
    fn header(&self) -> &Header {
        &self.header
    }

    fn parameters(&self, dtype: DType) -> Result<Values> {
        let (model, config) = (&self.model, &self.header.config);
        model.verify()?;
        let mut map = TensorMap::of(config);
        let head = if config.tied_lm_head { Head::of(model)? } else { Head::Absent };
        if head == Head::Only {
            map = map.renamed(|name| if name == EMBEDDING { HEAD.into() } else { name.into() });
        }
        let path = self.file(MODEL_FILE);
        match map.stranger(model).filter(|name| head == Head::Absent || *name != HEAD) {
            Some(name) => {
                Err(Error::tensor(path, name, "is not a parameter of the model config.json describes"))
            }
            None if head == Head::Own => Err(Error::tensor(
                path,
                HEAD,
                "differs from transformer.wte.weight, which config.json says it is tied to (tied_lm_head)",
            )),
            None => map.read(model, dtype),
        }
    }

    fn optimizer(
        &self,
        wanted: Moments,
        dtype: DType,
        notes: &mut Vec<String>,
    ) -> std::result::Result<OptimizerState, NoOptimizer> {
        let Header { config, step, .. } = &self.header;
        let (state, file) = (self.file(STATE_FILE), self.file(OPTIMIZER_FILE));
        let file = Some(&*file).filter(|file| file.exists());
        let described = (&*state, self.optimizer.clone());
        let read = moments::read_optimizer(described, file, (config, *step), (wanted, dtype));
        let mut optimizer = read.map_err(|reason| {
            // a folder of weights alone is nothing to remark on
            notes.extend(file.map(|_| reason.clone()));
            let hint = "add the optimizer to state.json, or use a checkpoint saved with its optimizer";
            NoOptimizer { reason, hint }
        })?;
        optimizer.grad_clip = optimizer.grad_clip.or(self.grad_clip);
        if optimizer.last_lr.is_none() && *step > 0 {
            notes.push(
                "state.json has no last_lr; the learning rate of the next update is used for the last one"
                    .into(),
            );
        }
        Ok(optimizer)
    }
}
