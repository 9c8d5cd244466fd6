//! The update that led to a snapshot and the one that follows.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;

use super::Snapshot;
use crate::base::error::{Error, Result};
use crate::base::observer::Observer;
use crate::base::values::Values;
use crate::optim::limits::{self, Limits};
use crate::optim::{
    self, Clip, Hyperparameters, Made, Optimizer, Part, State, Update, UpdateStatistics, Updater, clip_factor,
};
use crate::run::OptimizerState;

/// Update N+1, made of the batch's gradient, clipped as the run does.
#[derive(Debug, Clone)]
pub struct NextUpdate<'a> {
    /// Sums over each tensor.
    pub statistics: UpdateStatistics,
    /// Parameters after it, flat.
    pub parameters: Cow<'a, Values>,
    /// The optimizer's vectors after it, flat.
    pub vectors: BTreeMap<&'static str, Cow<'a, Values>>,
}

impl NextUpdate<'_> {
    /// The optimizer's state after it.
    pub fn state(&self) -> State<'_> {
        self.vectors.iter().map(|(name, values)| (*name, &**values)).collect()
    }

    /// Its numbers.
    pub fn update(&self) -> Update {
        let UpdateStatistics { step, lr, clip, .. } = self.statistics;
        Update { t: step, lr, clip }
    }
}

impl<'a> Snapshot<'a> {
    /// The same with update N+1 made.
    pub fn with_next_update(self, next: NextUpdate<'a>) -> Self {
        Snapshot { next_update: OnceCell::from(next), ..self }
    }

    /// The same with the sums that update N left, where somebody kept them.
    pub fn with_last_update(self, last: Option<UpdateStatistics>) -> Self {
        let last = last.filter(|update| Some(update.step) == self.optimizer().map(|o| o.updates));
        Snapshot { last_update: last.map_or_else(OnceCell::new, |last| OnceCell::from(Some(last))), ..self }
    }

    /// The optimizer's state, and how it updates.
    ///
    /// # Errors
    /// [`Error::Usage`] where the checkpoint has none, or one whose updates are not known here.
    pub fn rule(&self) -> Result<(&OptimizerState, Optimizer)> {
        let o = self.optimizer().ok_or_else(|| self.without_optimizer())?;
        Ok((o, o.rule().map_err(Error::usage)?))
    }

    /// The state and the constants of an optimizer that keeps Adam's two moments.
    ///
    /// # Errors
    /// [`Error::Usage`] where the checkpoint has none, or no relative of Adam's.
    pub fn adam(&self) -> Result<(&OptimizerState, Hyperparameters)> {
        let Some(o) = self.optimizer() else { return Err(self.without_optimizer()) };
        let own = o.next_update().ok().and_then(|rule| rule.moments());
        if o.vector("exp_avg_sq").is_none() && own.is_none() {
            let name = o.name();
            return Err(Error::usage(format!("the checkpoint's optimizer is {name}, which is not Adam")));
        }
        let constants = ["beta1", "beta2", "eps", "weight_decay"].map(|key| o.constant(key));
        let [beta1, beta2, eps, weight_decay] = constants;
        if !((0.0..1.0).contains(&beta1) && (0.0..1.0).contains(&beta2) && o.told.get("beta2").is_some()) {
            return Err(Error::usage(format!(
                "the checkpoint's {} has impossible constants: {}",
                o.name(),
                o.told
            )));
        }
        Ok((o, Hyperparameters { beta1, beta2, eps, weight_decay }))
    }

    /// Update N+1, with what it was made of.
    ///
    /// # Errors
    /// Where it is not known.
    pub fn made(&self) -> Result<Made<'_>> {
        let next = self.next_update()?;
        Ok(Made {
            before: &self.checkpoint().parameters,
            after: &next.parameters,
            gradient: self.gradient()?.1,
            state: next.state(),
        })
    }

    /// The optimizer's limits at update N+1 and what clipping leaves of that update's gradient: from the run's log where it has
    /// the update, else from the norm of the batch's gradient before clipping, where there is one. What is not known is
    /// said.
    pub fn limits(&self, batch_norm: Option<f64>, observer: &dyn Observer) -> Option<(Limits, Option<Clip>)> {
        let o = self.optimizer()?;
        let known = o.rule().and_then(|rule| match o.only_rate() {
            Some(_) => Ok(rule),
            None => {
                Err("learning rates differ between parameters, so that there is no one threshold".to_string())
            }
        });
        let rule = match known {
            Ok(rule) => rule,
            Err(reason) => {
                self.remark("threshold", reason.as_str());
                observer.note(&reason);
                return None;
            }
        };
        let clip = Clip::of(o.grad_clip, self.checkpoint().next_grad_norm, batch_norm);
        if let Some(clip) = clip {
            let origin = limits::origin(clip);
            self.remark("clip_factor", origin);
            if !clip.is_known() {
                observer.note(&format!("clip factor of the next update: {origin}"));
            }
        }
        if o.lr <= 0.0 {
            self.remark("threshold", limits::NO_RATE);
            observer.note(limits::NO_RATE);
        }
        Some((rule.limits(o.lr, o.updates + 1), clip))
    }

    /// What to answer to whoever needs the optimizer this checkpoint does not have.
    pub fn without_optimizer(&self) -> Error {
        let none = self.checkpoint().without_optimizer.as_ref();
        let reason = none.map_or("the checkpoint has no optimizer", |none| &none.reason);
        Error::usage_hint(
            format!("this needs to know which Adam trained the model, and {reason}"),
            none.map_or("use a checkpoint saved with its optimizer", |none| none.hint),
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
                part.decay = over(*decay, o.constant("weight_decay"));
            }
        }
        parts
    }

    /// The update that led to this snapshot, rebuilt from the optimizer's state unless it was handed over; `None`
    /// before the first and where the checkpoint has no moments. Where updates were not Adam's, only the sums of v hold.
    ///
    /// # Errors
    /// Where the checkpoint has no optimizer.
    pub fn last_update(&self) -> Result<Option<&UpdateStatistics>> {
        if self.last_update.get().is_none() {
            let _ = self.last_update.set(self.rebuild_last_update()?);
        }
        Ok(self.last_update.get().and_then(Option::as_ref))
    }

    fn rebuild_last_update(&self) -> Result<Option<UpdateStatistics>> {
        let o = self.optimizer().ok_or_else(|| self.without_optimizer())?;
        if o.updates == 0 || o.vectors.is_empty() {
            return Ok(None);
        }
        // of an optimizer that is not known here, the sums of Adam's second moment hold, if it keeps one
        let rule = match o.rule() {
            Ok(rule) => rule,
            Err(_) => optim::with_moments_of(self.adam()?.1)?,
        };
        let (parts, lr) = (self.parts(), o.last_rate().0);
        Ok(optim::last_update(&rule, &parts, &self.checkpoint().parameters, &o.state(), o.updates, lr))
    }

    /// Whether update N+1 follows from what is here.
    ///
    /// # Errors
    /// Why not, a sentence.
    pub fn next_update_is_known(&self) -> std::result::Result<(), String> {
        let o = self.optimizer().ok_or("the checkpoint has no optimizer")?;
        o.next_update()?;
        self.batch().map(drop).ok_or_else(|| "there is no batch for the next update".into())
    }

    /// The next update with the batch's gradient, computed once.
    ///
    /// # Errors
    /// Where the checkpoint has no optimizer, or the loss or its gradient is not finite.
    pub fn next_update(&self) -> Result<&NextUpdate<'a>> {
        if let Some(next) = self.next_update.get() {
            return Ok(next);
        }
        let (o, rule) = self.rule()?;
        self.next_update_is_known().map_err(Error::usage)?;
        let (loss, gradient) = self.gradient()?;
        let (grad_norm, factor) = clip_factor(gradient, o.grad_clip.unwrap_or(0.0));
        if !(loss.is_finite() && grad_norm.is_finite()) {
            return Err(Error::NonFinite {
                what: "the loss or its gradient on this batch".into(),
                hint: Some("compute with --dtype f64 to see whether activations overflow f32".into()),
            });
        }
        let mut updater = Updater::new(rule, self.parts(), gradient.dtype());
        if o.updates > 0 {
            updater = updater.restore(&o.state(), o.updates).map_err(|missing| {
                Error::usage_hint(
                    format!("the checkpoint has no {missing}, so the optimizer's next update is not known"),
                    "use a checkpoint saved with its optimizer",
                )
            })?;
        }
        let mut parameters = self.checkpoint().parameters.clone();
        let last_lr = o.last_rate().0;
        let statistics = updater.update_tracked(&mut parameters, gradient, factor, o.lr, last_lr);
        let vectors = updater.into_state().into_iter().map(|(name, values)| (name, Cow::Owned(values)));
        let next = NextUpdate { statistics, parameters: Cow::Owned(parameters), vectors: vectors.collect() };
        Ok(self.next_update.get_or_init(|| next))
    }
}
