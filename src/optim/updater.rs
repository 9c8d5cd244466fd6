//! An optimizer at work: its rule, its state, and the updates it has made.

use super::{Optimizer, Part, State, Update, UpdateStatistics};
use crate::base::values::{DType, Values};

/// Makes the updates of one run.
#[derive(Debug, Clone)]
pub struct Updater {
    rule: Optimizer,
    parts: Vec<Part>,
    state: Vec<Values>,
    updates: u64,
}

impl Updater {
    /// A fresh one, for parameters that `parts` cover in order.
    pub fn new(rule: Optimizer, parts: Vec<Part>, dtype: DType) -> Self {
        let n = parts.iter().map(Part::len).sum();
        let state = rule.vectors().iter().map(|_| Values::zeros(n, dtype)).collect();
        Updater { rule, parts, state, updates: 0 }
    }

    /// One that goes on after `updates` updates from a stored state.
    ///
    /// # Errors
    /// The name of a vector that is not there, or not of this length and precision.
    pub fn restore(mut self, state: &State, updates: u64) -> Result<Self, &'static str> {
        for (own, name) in self.state.iter_mut().zip(self.rule.vectors()) {
            let stored = *state.get(name).ok_or(*name)?;
            if (stored.len(), stored.dtype()) != (own.len(), own.dtype()) {
                return Err(name);
            }
            *own = stored.clone();
        }
        self.updates = updates;
        Ok(self)
    }

    /// Its rule.
    pub fn rule(&self) -> &Optimizer {
        &self.rule
    }

    /// Its vectors, by name.
    pub fn state(&self) -> State<'_> {
        self.vectors().collect()
    }

    /// The same, one by one.
    pub fn vectors(&self) -> impl Iterator<Item = (&'static str, &Values)> {
        self.rule.vectors().iter().copied().zip(&self.state)
    }

    /// One of its vectors.
    pub fn vector(&self, name: &str) -> Option<&Values> {
        self.rule.vectors().iter().position(|own| *own == name).map(|i| &self.state[i])
    }

    /// Its vectors with their names, at its end.
    pub fn into_state(self) -> Vec<(&'static str, Values)> {
        self.rule.vectors().iter().copied().zip(self.state).collect()
    }

    /// Updates made.
    pub fn step(&self) -> u64 {
        self.updates
    }

    /// Makes an update with learning rate `lr` and the gradient times `clip`, what clipping left of it.
    pub fn update(&mut self, parameters: &mut Values, gradient: &Values, clip: f64, lr: f64) {
        self.updates += 1;
        let update = Update { t: self.updates, lr, clip };
        self.rule.update(&update, &self.parts, parameters, gradient, &mut self.state);
    }

    /// [`update`](Self::update), to the same bits, with its statistics; `last_lr` is the learning rate of the update
    /// before.
    pub fn update_tracked(
        &mut self,
        parameters: &mut Values,
        gradient: &Values,
        clip: f64,
        lr: f64,
        last_lr: f64,
    ) -> UpdateStatistics {
        self.updates += 1;
        let update = Update { t: self.updates, lr, clip };
        let epsilon = parameters.dtype().epsilon();
        let parts = self.rule.update_tracked(&update, &self.parts, parameters, gradient, &mut self.state);
        let (step, decay) = (self.updates, self.rule.decay());
        UpdateStatistics { step, lr, last_lr, clip, decay, with_gradient: true, epsilon, parts }
    }
}

/// The statistics of update `t` ≥ 1 with learning rate `lr`, from the state it led to; `None` where that does not tell.
pub fn last_update(
    rule: &Optimizer,
    parts: &[Part],
    parameters: &Values,
    state: &State,
    t: u64,
    lr: f64,
) -> Option<UpdateStatistics> {
    let sums = rule.last_update(&Update { t, lr, clip: 1.0 }, parts, parameters, state)?;
    let epsilon = parameters.dtype().epsilon();
    Some(UpdateStatistics {
        step: t,
        lr,
        last_lr: lr,
        clip: 1.0,
        decay: rule.decay(),
        with_gradient: false,
        epsilon,
        parts: sums,
    })
}
