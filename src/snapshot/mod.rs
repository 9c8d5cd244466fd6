//! Everything known about a run at one step, computed when first asked for and then kept.

pub mod analysis;
pub mod step;

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::architecture::GptConfig;
use crate::base::allocator;
use crate::base::error::{Error, Result};
use crate::base::observer::Observer;
use crate::base::row::{Origin, Row};
use crate::base::settings::Settings;
use crate::base::values::Values;
use crate::base::vectors::Vectors;
use crate::data::Batch;
use crate::model::Gpt;
use crate::operator::{Curvature, Demand, Plan};
use crate::optim::limits::{self, Limits};
use crate::optim::{self, AdamW, Clip, Hyperparameters, Part, UpdateStatistics, clip_factor};
use crate::run::{Checkpoint, OptimizerState};

/// A run at one step, with a batch to measure it on.
pub struct Snapshot {
    run: Arc<str>,
    checkpoint: Arc<Checkpoint>,
    batch: Batch,
    settings: Settings,
    curvature: OnceCell<Curvature>,
    next: OnceCell<NextUpdate>,
    hints: RefCell<Hints>,
    remarks: RefCell<BTreeMap<String, String>>,
}

/// What solvers found at a step, by name, for those of the next: where to start, never what to answer.
#[derive(Debug, Clone, Default)]
pub struct Hints {
    /// The step they are from; `None` where there are none.
    pub step: Option<u64>,
    /// A vector each.
    pub vectors: BTreeMap<String, Vectors>,
}

/// The update that the checkpoint's optimizer would make with the batch's gradient, clipped as the run did.
pub struct NextUpdate {
    /// Mean loss on the batch.
    pub loss: f64,
    /// Its gradient before clipping, flat.
    pub gradient: Values,
    /// The gradient's norm before clipping.
    pub grad_norm: f64,
    /// Sums over each tensor.
    pub statistics: UpdateStatistics,
    /// Parameters after it, flat.
    pub parameters: Values,
    /// First moment after it, flat.
    pub exp_avg: Values,
    /// Second moment after it, flat.
    pub exp_avg_sq: Values,
}

impl Snapshot {
    /// The checkpoint seen through `batch`. Its parameters are already in the settings' precision.
    pub fn new(checkpoint: impl Into<Arc<Checkpoint>>, batch: Batch, settings: Settings) -> Self {
        let checkpoint = checkpoint.into();
        let notes = checkpoint.notes.join("; ");
        let remarks = (!notes.is_empty()).then(|| ("warmlab.checkpoint_notes".to_string(), notes));
        Snapshot {
            run: checkpoint.run.as_str().into(),
            checkpoint,
            batch,
            settings,
            curvature: OnceCell::new(),
            next: OnceCell::new(),
            hints: RefCell::default(),
            remarks: RefCell::new(remarks.into_iter().collect()),
        }
    }

    /// The same, with hints from a step before it.
    pub fn with_hints(self, hints: Hints) -> Self {
        Snapshot { hints: RefCell::new(hints), ..self }
    }

    /// The hint of that name for a matrix with n rows.
    pub fn hint(&self, name: &str, n: usize) -> Option<Vectors> {
        let hints = self.hints.borrow();
        hints.vectors.get(name).filter(|v| v.n() == n && v.dtype() == self.settings.dtype).cloned()
    }

    /// Whether there is any hint.
    pub fn has_hints(&self) -> bool {
        !self.hints.borrow().vectors.is_empty()
    }

    /// Leaves a hint for the next step in the place of the one it came with.
    pub fn leave_hint(&self, name: &str, hint: Vectors) {
        self.hints.borrow_mut().vectors.insert(name.into(), hint);
    }

    /// The hints for the next step.
    pub fn into_hints(self) -> Hints {
        let (step, hints) = (self.step(), self.hints.into_inner());
        Hints { step: (!hints.vectors.is_empty()).then_some(step), ..hints }
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

    /// Updates applied.
    pub fn step(&self) -> u64 {
        self.checkpoint.step
    }

    /// The rows of an analysis of it with run, analysis, batch and step.
    pub fn stamp(&self, analysis: &str, rows: Vec<Row>) -> Vec<Row> {
        let origin = Origin::new(self.run.clone(), analysis, self.batch.id(), self.step());
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

    /// The batch.
    pub fn batch(&self) -> &Batch {
        &self.batch
    }

    /// Precision, memory, seed.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How products with curvature matrices fit the memory beside the moments that the checkpoint holds.
    ///
    /// # Errors
    /// Where not even one micro-batch of one sequence fits.
    pub fn plan(&self, demand: Demand) -> Result<Plan> {
        let moments = self.optimizer().map_or(0, OptimizerState::moments);
        Plan::new(self.config(), &self.batch, &self.settings, demand.holding(moments))
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
        if plan.bytes > self.settings.memory / 2 {
            allocator::return_freed_memory();
        }
        let curvature = Curvature::new(self.gpt()?, &self.batch, plan.micro_batch, plan.keep)?;
        Ok(self.curvature.get_or_init(|| curvature))
    }

    /// Sequences to compute at a time.
    ///
    /// # Errors
    /// Where not even one sequence fits the memory.
    pub fn micro_batch(&self) -> Result<usize> {
        // the next update: a gradient, parameters, the moments, and a copy of these while it is made
        Ok(self.plan(Demand::new(1, 1, 1).holding(6))?.micro_batch)
    }

    /// The optimizer's state and constants.
    ///
    /// # Errors
    /// [`Error::Usage`] where the checkpoint has none, or no relative of Adam's.
    pub fn adam(&self) -> Result<(&OptimizerState, Hyperparameters)> {
        let Some(o) = self.optimizer() else { return Err(self.without_optimizer()) };
        if o.exp_avg_sq.is_none() && o.next_update_is_adams().is_err() {
            return Err(Error::usage(format!("the checkpoint's optimizer is {}, which is not Adam", o.name)));
        }
        let hyper =
            Hyperparameters { beta1: o.beta1, beta2: o.beta2, eps: o.eps, weight_decay: o.weight_decay };
        Ok((o, hyper))
    }

    /// Adam's limits at update N+1 and what clipping leaves of that update's gradient: from the run's log where it has
    /// the update, else from the norm of the batch's gradient before clipping. What is not known is said.
    pub fn limits(&self, batch_norm: f64, observer: &dyn Observer) -> Option<(Limits, Clip)> {
        let o = self.optimizer()?;
        let known = o.last_update_is_adams().and(match o.only_rate() {
            Some(_) => Ok(()),
            None => {
                Err("learning rates differ between parameters, so that there is no one threshold".to_string())
            }
        });
        if let Err(reason) = known {
            self.remark("threshold", reason.as_str());
            observer.note(&reason);
            return None;
        }
        let clip = Clip::of(o.grad_clip, self.checkpoint.next_grad_norm, batch_norm);
        let origin = limits::origin(clip);
        self.remark("clip_factor", origin);
        if !clip.is_known() {
            observer.note(&format!("clip factor of the next update: {origin}"));
        }
        if o.lr <= 0.0 {
            self.remark("threshold", limits::NO_RATE);
            observer.note(limits::NO_RATE);
        }
        Some((Limits { beta1: o.beta1, lr: o.lr, t: o.updates + 1 }, clip))
    }

    /// What to answer to whoever needs the optimizer this checkpoint does not have.
    pub fn without_optimizer(&self) -> Error {
        let reason = self.checkpoint.without_optimizer.as_deref();
        let native = self.checkpoint.format == "native";
        Error::usage_hint(
            format!(
                "this needs to know which Adam trained the model, and {}",
                reason.unwrap_or("the checkpoint has no optimizer")
            ),
            if native {
                "add the optimizer to state.json, or use a checkpoint saved with its optimizer"
            } else {
                "use a checkpoint saved with its optimizer"
            },
        )
    }

    /// The tensors with their rates and decays.
    fn parts(&self) -> Vec<Part> {
        let mut parts = Part::all(&self.config().parameters());
        if let Some(o) = self.optimizer()
            && let Some(own) = &o.per_tensor
        {
            let over = |own: f64, all: f64| if all == 0.0 { 0.0 } else { own / all };
            for (part, (rate, decay)) in parts.iter_mut().zip(own.rates.iter().zip(&own.decays)) {
                part.rate = if *rate == o.lr { 1.0 } else { over(*rate, o.lr) };
                part.decay = over(*decay, o.weight_decay);
            }
        }
        parts
    }

    /// The update that led to this checkpoint, rebuilt from the optimizer's state; `None` before the first
    /// and where the checkpoint has no moments. Where updates were not Adam's, only the sums of v hold.
    ///
    /// # Errors
    /// Where the checkpoint has no optimizer.
    pub fn last_update(&self) -> Result<Option<UpdateStatistics>> {
        let (o, mut hyper) = self.adam()?;
        let (Some(m), Some(v), true) = (&o.exp_avg, &o.exp_avg_sq, o.updates > 0) else { return Ok(None) };
        if o.coupled {
            // decay went through the moments, so that the change is u alone
            hyper.weight_decay = 0.0;
        }
        let (parts, lr) = (self.parts(), o.last_rate().0);
        let of =
            |v: &Values| optim::last_update(&self.checkpoint.parameters, m, v, hyper, o.updates, lr, &parts);
        let mut update = of(o.max_exp_avg_sq.as_ref().unwrap_or(v));
        if o.max_exp_avg_sq.is_some() {
            // AMSGrad divides by the largest v, but v itself is what it is
            for ((_, sums), (_, raw)) in update.parts.iter_mut().zip(of(v).parts) {
                (sums.v, sums.vv) = (raw.v, raw.vv);
            }
        }
        Ok(Some(update))
    }

    /// The next update with the batch's gradient, computed once.
    ///
    /// # Errors
    /// Where the checkpoint has no optimizer, or the loss or its gradient is not finite.
    pub fn next_update(&self) -> Result<&NextUpdate> {
        if let Some(next) = self.next.get() {
            return Ok(next);
        }
        let (o, hyper) = self.adam()?;
        o.next_update_is_adams().map_err(Error::usage)?;
        let (loss, gradient) = self.gpt()?.gradient(&self.batch, self.micro_batch()?)?;
        let (grad_norm, factor) = clip_factor(&gradient, o.grad_clip.unwrap_or(0.0));
        if !(loss.is_finite() && grad_norm.is_finite()) {
            return Err(Error::NonFinite {
                what: "the loss or its gradient on this batch".into(),
                hint: Some("compute with --dtype f64 to see whether activations overflow f32".into()),
            });
        }
        let parts = self.parts();
        let decayed = parts.iter().filter(|p| p.matrix).map(|p| p.start..p.start + p.len()).collect();
        let mut adam = AdamW::new(hyper, gradient.len(), gradient.dtype(), decayed);
        if let (Some(m), Some(v)) = (&o.exp_avg, &o.exp_avg_sq) {
            adam = adam.restore(m.clone(), v.clone(), o.updates);
        } else if o.updates > 0 {
            return Err(Error::usage_hint(
                "the checkpoint has no moments (exp_avg, exp_avg_sq), so Adam's next update is not known",
                "use a checkpoint saved with its optimizer",
            ));
        }
        let mut parameters = self.checkpoint.parameters.clone();
        let last_lr = o.last_rate().0;
        let statistics = adam.update_tracked(&mut parameters, &gradient, factor, o.lr, last_lr, &parts);
        let (exp_avg, exp_avg_sq) = (adam.exp_avg().clone(), adam.exp_avg_sq().clone());
        let next = NextUpdate { loss, gradient, grad_norm, statistics, parameters, exp_avg, exp_avg_sq };
        Ok(self.next.get_or_init(|| next))
    }
}
