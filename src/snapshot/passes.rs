//! The passes over a snapshot's batch: each is made when first asked for, or handed over by whoever has made it.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use super::{Snapshot, sample_tokens};
use crate::base::allocator;
use crate::base::error::{Error, Result};
use crate::base::values::Values;
use crate::data::Batch;
use crate::model::{ForwardStatistics, GradientMoments, LayerInputs, Seen};
use crate::operator::{Curvature, Demand, Keep, Plan};

/// What was computed on the batch.
#[derive(Default)]
pub(super) struct Passes {
    /// Mean loss and its gradient.
    gradient: OnceCell<(f64, Values)>,
    inputs: OnceCell<LayerInputs>,
    statistics: OnceCell<ForwardStatistics>,
    micro_batches: OnceCell<GradientMoments>,
    curvature: RefCell<Option<Rc<Curvature>>>,
    /// How the curvature's passes are cut and kept.
    cut: RefCell<Option<(usize, Keep)>>,
}

impl Snapshot<'_> {
    /// The same with the gradient pass on its batch made: the mean loss, its gradient and what the pass let be seen.
    pub fn with_pass(mut self, loss: f64, gradient: Values, seen: Seen) -> Self {
        self.passes.gradient = OnceCell::from((loss, gradient));
        self.passes.inputs = seen.inputs.map_or_else(OnceCell::new, OnceCell::from);
        self.passes.statistics = seen.statistics.map_or_else(OnceCell::new, OnceCell::from);
        self.passes.micro_batches = seen.micro_batches.map_or_else(OnceCell::new, OnceCell::from);
        self
    }

    /// The batch, for what cannot be without one.
    ///
    /// # Errors
    /// [`Error::Usage`] where there is none.
    pub fn measured_on(&self) -> Result<&Batch> {
        self.batch().ok_or_else(|| Error::usage("there is no batch to measure this on"))
    }

    /// Sequences to compute at a time.
    ///
    /// # Errors
    /// Where not even one sequence fits the memory.
    pub fn micro_batch(&self) -> Result<usize> {
        // the next update: a gradient, parameters, the moments, and a copy of these while it is made
        Ok(self.plan(Demand::new(1, 1, 1).holding(6))?.micro_batch)
    }

    /// (mean loss on the batch, its gradient before clipping, flat).
    ///
    /// # Errors
    /// Where the batch does not fit the model.
    pub fn gradient(&self) -> Result<(f64, &Values)> {
        if self.passes.gradient.get().is_none() {
            let curvature = self.passes.curvature.borrow().clone();
            let made = match curvature {
                Some(curvature) => (curvature.loss(), curvature.gradient().clone()),
                None => self.gpt()?.gradient(self.measured_on()?, self.micro_batch()?)?,
            };
            let _ = self.passes.gradient.set(made);
        }
        let (loss, gradient) = self.passes.gradient.get().expect("made above");
        Ok((*loss, gradient))
    }

    /// The linear layers' inputs for `wanted` of the batch's tokens; 0 is all.
    ///
    /// # Errors
    /// Where the batch does not fit the model.
    pub fn inputs(&self, wanted: usize) -> Result<&LayerInputs> {
        if let Some(inputs) = self.passes.inputs.get() {
            return Ok(inputs);
        }
        let batch = self.measured_on()?;
        let tokens = sample_tokens(self.settings().seed, self.step(), batch.num_tokens(), wanted);
        let inputs = self.gpt()?.inputs(batch, self.micro_batch()?, &tokens)?;
        Ok(self.passes.inputs.get_or_init(|| inputs))
    }

    /// What the forward pass says of attention and the residual stream.
    ///
    /// # Errors
    /// Where the batch does not fit the model.
    pub fn statistics(&self) -> Result<&ForwardStatistics> {
        if let Some(statistics) = self.passes.statistics.get() {
            return Ok(statistics);
        }
        let plan = self.plan(Demand::new(0, 0, 0))?;
        let statistics = self.gpt()?.statistics(self.measured_on()?, plan.micro_batch)?;
        Ok(self.passes.statistics.get_or_init(|| statistics))
    }

    /// Of the gradients of the micro-batches that training cut its batch into, where there were several.
    pub fn micro_batches(&self) -> Option<&GradientMoments> {
        self.passes.micro_batches.get()
    }

    /// The model with the primal pass on the batch, cut and kept as `plan` says; made once for equal plans.
    ///
    /// # Errors
    /// Where the batch does not fit the model or the loss is not finite.
    pub fn curvature(&self, plan: &Plan) -> Result<Rc<Curvature>> {
        let cut = (plan.micro_batch, plan.keep);
        if let (Some(curvature), Some(made)) = (&*self.passes.curvature.borrow(), *self.passes.cut.borrow())
            && made == cut
        {
            return Ok(curvature.clone());
        }
        // what another plan kept goes first
        *self.passes.curvature.borrow_mut() = None;
        if plan.bytes > self.settings().memory / 2 {
            allocator::return_freed_memory();
        }
        let gpt = self.gpt()?.clone();
        let curvature = Rc::new(Curvature::new(gpt, self.measured_on()?, plan.micro_batch, plan.keep)?);
        *self.passes.cut.borrow_mut() = Some(cut);
        *self.passes.curvature.borrow_mut() = Some(curvature.clone());
        Ok(curvature)
    }
}
