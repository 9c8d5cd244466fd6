//! What one update was: the change of every tensor and of all parameters as one vector.
//!
//! **What.** From the [`Sums`] of an update, whether the optimizer filled them in its own pass or they are rebuilt from a
//! checkpoint.
//!
//! **Formulas.** The change is Δ = −η(λa + u). The angle between a and a + Δ is
//! atan2(η√(‖a‖²‖u‖² − ⟨a,u⟩²), ‖a‖² + ⟨a,Δ⟩), exact for tiny angles where acos of a cosine is not; decay alone
//! gives 0. The change before it was parallel to λa + u′, which gives the cosine of consecutive updates.
//!
//! **Error.** Rounding: sums of at most 512 numbers in the parameters' precision, f64 from there on. Δ is
//! the change before it is rounded to the parameters' precision.
//!
//! **Reference.** Kosson, Messmer and Jaggi 2024, arXiv 2410.23922 (angles); Wortsman et al. 2023, Stable
//! and Low-Precision Training, arXiv 2304.13013 (RMS_t).

use super::sums::{arc, has_angle};
use super::{Part, Sums};

/// One update, tensor by tensor.
#[derive(Debug, Clone)]
pub struct UpdateStatistics {
    /// The update, t, counted from 1.
    pub step: u64,
    /// Its learning rate.
    pub lr: f64,
    /// That of the update before.
    pub last_lr: f64,
    /// What clipping left of its gradient.
    pub clip: f64,
    /// λ of decay that goes past the gradient; 0 where decay is part of u.
    pub decay: f64,
    /// Whether the sums of the gradient and the update before are known.
    pub with_gradient: bool,
    /// Distance from 1 to the next number in the parameters' precision.
    pub epsilon: f64,
    /// Tensors and their sums.
    pub parts: Vec<(Part, Sums)>,
}

/// The change of a tensor or of several, as ‖a‖², ‖Δ‖², ⟨a,Δ⟩ and (‖a‖‖Δ‖ sin)².
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Motion {
    before: f64,
    change: f64,
    along: f64,
    wedge: f64,
    epsilon: f64,
}

impl Motion {
    /// Whether there was a vector to turn: one that came from zero has no angle.
    fn is_defined(&self) -> bool {
        has_angle(self.before, self.change, self.epsilon)
    }

    /// Radians between the parameters before and after.
    pub fn angle(&self) -> Option<f64> {
        self.is_defined().then(|| arc(self.wedge, self.before + self.along))
    }

    /// (‖a‖², ‖Δ‖²).
    pub fn squares(&self) -> (f64, f64) {
        (self.before, self.change)
    }

    /// ‖Δ‖/‖a‖.
    pub fn relative(&self) -> Option<f64> {
        self.is_defined().then(|| (self.change / self.before).sqrt())
    }
}

impl UpdateStatistics {
    /// λ of a tensor.
    fn decay_of(&self, part: &Part) -> f64 {
        self.decay * part.decay
    }

    /// The sums over all tensors.
    pub fn total(&self) -> Sums {
        let mut total = Sums::default();
        self.parts.iter().for_each(|(_, sums)| total += *sums);
        total
    }

    /// The change of one tensor.
    pub fn motion(&self, part: &Part, s: &Sums) -> Motion {
        let (lr, decay) = (self.lr * part.rate, self.decay_of(part));
        let (aa, au, uu) = (s.weight_sq, s.weight_direction, s.direction_sq);
        Motion {
            before: aa,
            change: lr * lr * (decay * decay * aa + 2.0 * decay * au + uu),
            along: -lr * (decay * aa + au),
            wedge: lr * lr * (aa * uu - au * au),
            epsilon: self.epsilon,
        }
    }

    /// The change of all parameters as one vector.
    pub fn whole_motion(&self) -> Motion {
        let mut whole = Motion { epsilon: self.epsilon, ..Motion::default() };
        for (part, sums) in &self.parts {
            let motion = self.motion(part, sums);
            whole.before += motion.before;
            whole.change += motion.change;
            whole.along += motion.along;
        }
        whole.wedge = whole.before * whole.change - whole.along * whole.along;
        whole
    }

    /// (⟨Δ,Δ′⟩, ‖Δ‖², ‖Δ′‖²) with the change before, up to the optimizer's learning rates.
    fn consecutive(&self, part: &Part, s: &Sums) -> (f64, f64, f64) {
        let decay = self.decay_of(part);
        let (au, ap) = (s.weight_direction, s.weight_previous);
        let square = decay * decay * s.weight_sq;
        let scale = 1.0 / (1.0 - self.last_lr * part.rate * decay);
        let rates = part.rate * part.rate;
        (
            rates * scale * (square + decay * (au + ap) + s.direction_previous),
            rates * (square + 2.0 * decay * au + s.direction_sq),
            rates * scale * scale * (square + 2.0 * decay * ap + s.previous_sq),
        )
    }

    /// Cosine of this change of a tensor and the change before; `None` at the first update and where
    /// either is zero or not known.
    pub fn cos_previous(&self, part: &Part, sums: &Sums) -> Option<f64> {
        self.cosine(self.consecutive(part, sums))
    }

    /// The same of all parameters as one vector.
    pub fn whole_cos_previous(&self) -> Option<f64> {
        let mut whole = (0.0, 0.0, 0.0);
        for (part, sums) in &self.parts {
            let (dot, now, before) = self.consecutive(part, sums);
            whole = (whole.0 + dot, whole.1 + now, whole.2 + before);
        }
        self.cosine(whole)
    }

    fn cosine(&self, (dot, now, before): (f64, f64, f64)) -> Option<f64> {
        let known = self.with_gradient && self.step >= 2 && now > 0.0 && before > 0.0;
        known.then(|| (dot / (now.sqrt() * before.sqrt())).clamp(-1.0, 1.0))
    }
}
