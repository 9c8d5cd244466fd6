//! A run at one step, whoever made it: a checkpoint on disk, or training after an update.
//!
//! It is the state after N updates, seen through a batch. Everything else (passes over the batch, curvature, the
//! update that led here and the one that follows) is computed when first asked for and then kept, or handed over by
//! whoever has computed it already. A number belongs to the weights it was computed at: every row of a snapshot has
//! its step.

pub mod analysis;
mod needs;
pub mod options;
mod passes;
mod updates;

pub use needs::{Needs, sample_tokens};
pub use updates::NextUpdate;

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::architecture::GptConfig;
use crate::base::error::Result;
use crate::base::row::{Origin, Row};
use crate::base::settings::Settings;
use crate::data::Batch;
use crate::model::Gpt;
use crate::operator::{Demand, Plan};
use crate::optim::UpdateStatistics;
use crate::run::{Checkpoint, OptimizerState};
use passes::Passes;

/// A run at one step, with a batch to measure it on.
pub struct Snapshot<'a> {
    run: Arc<str>,
    checkpoint: Arc<Checkpoint>,
    batch: Option<Batch>,
    settings: Settings,
    model: OnceCell<Gpt>,
    passes: Passes,
    last_update: OnceCell<Option<UpdateStatistics>>,
    next_update: OnceCell<NextUpdate<'a>>,
    remarks: RefCell<BTreeMap<String, String>>,
}

impl<'a> Snapshot<'a> {
    /// The checkpoint seen through `batch`. Its parameters are already in the settings' precision.
    pub fn new(checkpoint: impl Into<Arc<Checkpoint>>, batch: Batch, settings: Settings) -> Self {
        Snapshot { batch: Some(batch), ..Self::without_batch(checkpoint, settings) }
    }

    /// The checkpoint alone: where training ends there is no next batch, and only what the state itself says is known.
    pub fn without_batch(checkpoint: impl Into<Arc<Checkpoint>>, settings: Settings) -> Self {
        let checkpoint = checkpoint.into();
        let notes = checkpoint.notes.join("; ");
        let remarks = (!notes.is_empty()).then(|| ("warmlab.checkpoint_notes".to_string(), notes));
        Snapshot {
            run: checkpoint.run.as_str().into(),
            checkpoint,
            batch: None,
            settings,
            model: OnceCell::new(),
            passes: Passes::default(),
            last_update: OnceCell::new(),
            next_update: OnceCell::new(),
            remarks: RefCell::new(remarks.into_iter().collect()),
        }
    }

    /// The same with its model at hand.
    pub fn with_model(self, model: Gpt) -> Self {
        Snapshot { model: model.into(), ..self }
    }

    /// The same state through another batch; the model is shared.
    ///
    /// # Errors
    /// Where the configuration is impossible.
    pub fn on(&self, batch: &Batch) -> Result<Self> {
        let other = Snapshot::new(self.checkpoint.clone(), batch.clone(), self.settings.clone());
        Ok(Snapshot { run: self.run.clone(), ..other.with_model(self.gpt()?.clone()) })
    }

    /// Says in the report's metadata, under `warmlab.key`, what a reader of the numbers must know of how this
    /// snapshot's were made.
    pub fn remark(&self, key: &str, text: impl Into<String>) {
        self.remarks.borrow_mut().insert(format!("warmlab.{key}"), text.into());
    }

    /// What was remarked so far.
    pub fn remarks(&self) -> BTreeMap<String, String> {
        self.remarks.borrow().clone()
    }

    /// The run's name.
    pub fn run(&self) -> &Arc<str> {
        &self.run
    }

    /// Updates applied, N.
    pub fn step(&self) -> u64 {
        self.checkpoint.step
    }

    /// The rows of an analysis of it with run, analysis, batch and step.
    pub fn stamp(&self, analysis: &str, rows: Vec<Row>) -> Vec<Row> {
        let batch = self.batch.as_ref().map_or_else(String::new, Batch::id);
        let origin = Origin::new(self.run.clone(), analysis, batch, self.step());
        rows.into_iter().map(|row| row.stamp(&origin)).collect()
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

    /// The batch, where there is one.
    pub fn batch(&self) -> Option<&Batch> {
        self.batch.as_ref()
    }

    /// Precision, memory, seed.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The model, in the settings' precision and on their device.
    ///
    /// # Errors
    /// Where the configuration is impossible.
    pub fn gpt(&self) -> Result<&Gpt> {
        if let Some(model) = self.model.get() {
            return Ok(model);
        }
        let model = Gpt::new(self.config(), &self.checkpoint.parameters, &self.settings.device.burn())?;
        Ok(self.model.get_or_init(|| model))
    }

    /// How products with curvature matrices fit the memory beside the moments that the checkpoint holds.
    ///
    /// # Errors
    /// Where not even one micro-batch of one sequence fits.
    pub fn plan(&self, demand: Demand) -> Result<Plan> {
        let moments = self.optimizer().map_or(0, |o| o.vectors.len());
        Plan::new(self.config(), self.measured_on()?, &self.settings, demand.holding(moments))
    }
}
