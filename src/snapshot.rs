//! Everything known about a run at one step, computed when first asked for and then kept.

use std::cell::OnceCell;
use std::sync::Arc;

use crate::config::GptConfig;
use crate::data::Batch;
use crate::error::Result;
use crate::model::Gpt;
use crate::operator::{Curvature, Plan};
use crate::run::{Checkpoint, OptimizerState};
use crate::settings::Settings;

/// A run at one step, with a batch to measure it on.
pub struct Snapshot {
    run: Arc<str>,
    checkpoint: Checkpoint,
    batch: Batch,
    settings: Settings,
    curvature: OnceCell<Curvature>,
}

impl Snapshot {
    /// The checkpoint seen through `batch`. Its parameters are already in the settings' precision.
    pub fn new(checkpoint: Checkpoint, batch: Batch, settings: Settings) -> Self {
        Snapshot {
            run: checkpoint.run.as_str().into(),
            checkpoint,
            batch,
            settings,
            curvature: OnceCell::new(),
        }
    }

    /// The run's name.
    pub fn run(&self) -> &Arc<str> {
        &self.run
    }

    /// Updates applied.
    pub fn step(&self) -> u64 {
        self.checkpoint.step
    }

    /// The architecture.
    pub fn config(&self) -> &GptConfig {
        &self.checkpoint.config
    }

    /// Parameters, optimizer state and what else the checkpoint holds.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The optimizer's state, where the checkpoint has it.
    pub fn optimizer(&self) -> Option<&OptimizerState> {
        self.checkpoint.optimizer.as_ref()
    }

    /// The batch.
    pub fn batch(&self) -> &Batch {
        &self.batch
    }

    /// Precision, memory, seed.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How products with curvature matrices fit the memory when `basis` vectors would be welcome and
    /// `least` are needed, `block` at a time.
    ///
    /// # Errors
    /// Where not even one micro-batch of one sequence fits.
    pub fn plan(&self, block: usize, least: usize, basis: usize) -> Result<Plan> {
        Plan::new(self.config(), &self.batch, &self.settings, block, least, basis)
    }

    /// The model, in the settings' precision and on their device.
    ///
    /// # Errors
    /// Where the configuration is impossible.
    pub fn gpt(&self) -> Result<Gpt> {
        Gpt::new(self.config(), &self.checkpoint.parameters, &self.settings.device.burn())
    }

    /// The model with the primal pass on the batch, done once.
    ///
    /// # Errors
    /// Where the batch does not fit the model or the loss is not finite.
    pub fn curvature(&self, plan: &Plan) -> Result<&Curvature> {
        if let Some(curvature) = self.curvature.get() {
            return Ok(curvature);
        }
        let curvature = Curvature::new(self.gpt()?, &self.batch, plan.micro_batch, plan.keep)?;
        Ok(self.curvature.get_or_init(|| curvature))
    }
}
