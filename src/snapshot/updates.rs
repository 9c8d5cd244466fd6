//! The update that led to a snapshot and the one that follows.

use std::borrow::Cow;
use std::cell::OnceCell;

use super::Snapshot;
use crate::base::error::{Error, Result};
use crate::base::observer::Observer;
use crate::base::values::Values;
use crate::optim::limits::{self, Limits};
use crate::optim::{self, AdamW, Clip, Hyperparameters, Part, UpdateStatistics, clip_factor};
use crate::run::OptimizerState;

/// Update N+1, made of the batch's gradient, clipped as the run does.
#[derive(Debug, Clone)]
pub struct NextUpdate<'a> {
    /// Sums over each tensor.
    pub statistics: UpdateStatistics,
    /// Parameters after it, flat.
    pub parameters: Cow<'a, Values>,
    /// First moment after it, flat.
    pub exp_avg: Cow<'a, Values>,
    /// Second moment after it, flat.
    pub exp_avg_sq: Cow<'a, Values>,
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
    /// the update, else from the norm of the batch's gradient before clipping, where there is one. What is not known is
    /// said.
    pub fn limits(&self, batch_norm: Option<f64>, observer: &dyn Observer) -> Option<(Limits, Option<Clip>)> {
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
        Some((Limits { beta1: o.beta1, lr: o.lr, t: o.updates + 1 }, clip))
    }

    /// What to answer to whoever needs the optimizer this checkpoint does not have.
    pub fn without_optimizer(&self) -> Error {
        let reason = self.checkpoint().without_optimizer.as_deref();
        let native = self.checkpoint().format == "native";
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
        let (o, mut hyper) = self.adam()?;
        let (Some(m), Some(v), true) = (&o.exp_avg, &o.exp_avg_sq, o.updates > 0) else { return Ok(None) };
        if o.coupled {
            // decay went through the moments, so that the change is u alone
            hyper.weight_decay = 0.0;
        }
        let (parts, lr) = (self.parts(), o.last_rate().0);
        let of = |v: &Values| {
            optim::last_update(&self.checkpoint().parameters, m, v, hyper, o.updates, lr, &parts)
        };
        let mut update = of(o.max_exp_avg_sq.as_ref().unwrap_or(v));
        if o.max_exp_avg_sq.is_some() {
            // AMSGrad divides by the largest v, but v itself is what it is
            for ((_, sums), (_, raw)) in update.parts.iter_mut().zip(of(v).parts) {
                (sums.v, sums.vv) = (raw.v, raw.vv);
            }
        }
        Ok(Some(update))
    }

    /// Whether update N+1 follows from what is here.
    ///
    /// # Errors
    /// Why not, a sentence.
    pub fn next_update_is_known(&self) -> std::result::Result<(), String> {
        let o = self.optimizer().ok_or("the checkpoint has no optimizer")?;
        o.next_update_is_adams()?;
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
        let (o, hyper) = self.adam()?;
        self.next_update_is_known().map_err(Error::usage)?;
        let (loss, gradient) = self.gradient()?;
        let (grad_norm, factor) = clip_factor(gradient, o.grad_clip.unwrap_or(0.0));
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
        let mut parameters = self.checkpoint().parameters.clone();
        let last_lr = o.last_rate().0;
        let statistics = adam.update_tracked(&mut parameters, gradient, factor, o.lr, last_lr, &parts);
        let (exp_avg, exp_avg_sq) = adam.into_moments();
        let next = NextUpdate {
            statistics,
            parameters: Cow::Owned(parameters),
            exp_avg: Cow::Owned(exp_avg),
            exp_avg_sq: Cow::Owned(exp_avg_sq),
        };
        Ok(self.next_update.get_or_init(|| next))
    }
}
