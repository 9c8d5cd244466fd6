//! What one update of Adam was, in sums over each parameter tensor.
//!
//! **What.** With a the parameters before the update, u = m̂/(√v̂ + ε), g the gradient that entered the
//! moments and u′ the update before: a handful of dot products, from which angles, cosines, norms and
//! moments follow, whether the optimizer filled them in its own pass or [`super::last_update`] from a
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

use std::ops::AddAssign;
use std::sync::Arc;

use super::Hyperparameters;
use crate::architecture::Parameter;

/// A parameter tensor in the flat vector, as rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// nanoGPT's name.
    pub name: Arc<str>,
    /// The transformer block it belongs to.
    pub layer: Option<u32>,
    /// Position of its first number.
    pub start: usize,
    /// Neurons of a matrix, 1 for a vector.
    pub rows: usize,
    /// Numbers per row.
    pub columns: usize,
    /// Whether it is a matrix, whose rows are neurons.
    pub matrix: bool,
    /// Its learning rate over the optimizer's: 1, unless the optimizer's groups differ.
    pub rate: f64,
    /// Its weight decay over the optimizer's: 1 where it decays and 0 where not, unless groups say otherwise.
    pub decay: f64,
}

impl Part {
    /// All parameters of a model.
    pub fn all(parameters: &[Parameter]) -> Vec<Part> {
        let part = |p: &Parameter| {
            let matrix = p.is_matrix();
            let rows = if matrix { p.shape[0] } else { 1 };
            let columns = p.len() / rows;
            Part {
                name: p.name.as_str().into(),
                layer: p.layer.map(|layer| layer as u32),
                start: p.offset,
                rows,
                columns,
                matrix,
                rate: 1.0,
                decay: if p.decayed { 1.0 } else { 0.0 },
            }
        };
        parameters.iter().map(part).collect()
    }

    /// How many numbers.
    pub fn len(&self) -> usize {
        self.rows * self.columns
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

macro_rules! sums {
    ($($(#[$about:meta])* $name:ident),+ $(,)?) => {
        /// Sums over coordinates. Those of the gradient and of the update before are 0 where a checkpoint
        /// does not tell them.
        #[derive(Debug, Clone, Copy, Default, PartialEq)]
        pub struct Sums { $($(#[$about])* pub $name: f64),+ }

        impl Sums {
            /// All of them, in order.
            pub fn to_numbers(&self) -> Vec<f64> {
                vec![$(self.$name),+]
            }

            /// From [`to_numbers`](Self::to_numbers); `None` where there are fewer.
            pub fn from_numbers(numbers: &[f64]) -> Option<Self> {
                let mut numbers = numbers.iter();
                Some(Sums { $($name: *numbers.next()?),+ })
            }
        }

        impl AddAssign for Sums {
            fn add_assign(&mut self, other: Self) {
                $(self.$name += other.$name;)+
            }
        }
    };
}
sums! {
    /// How many.
    n,
    /// a².
    aa,
    /// a u.
    au,
    /// u².
    uu,
    /// v, after the update.
    v,
    /// v².
    vv,
    /// Coordinates with √v̂ < 10 ε.
    floor,
    /// Coordinates with |u| > 0.9.
    sign_like,
    /// g², as clipped.
    gg,
    /// u g.
    ug,
    /// m g, m before the update.
    mg,
    /// m², before the update.
    mm,
    /// g²/max(v̂, ε²).
    ratio,
    /// a u′.
    ap,
    /// u u′.
    up,
    /// u′².
    pp,
    /// Squares of the angles of neurons.
    turned,
    /// Neurons whose angle is defined.
    neurons,
}

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
    /// β1, β2, ε, λ.
    pub hyper: Hyperparameters,
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

/// Whether a vector of square `before` that changed by one of square `change` is far enough from zero to
/// have an angle: what it was is rebuilt from a checkpoint to a rounding error of the change, so below
/// 2^14 of these it is not known to 1e-4.
#[inline]
pub(super) fn has_angle(before: f64, change: f64, epsilon: f64) -> bool {
    before > 0.0 && before > (16384.0 * epsilon).powi(2) * change
}

/// atan2(√square of the sine's part, the cosine's part); small angles without the library function.
#[inline]
pub(super) fn arc(sine_square: f64, cosine: f64) -> f64 {
    let sine = sine_square.max(0.0).sqrt();
    let x = sine / cosine;
    if cosine > 0.0 && x < 1e-2 {
        let y = x * x;
        return x * (1.0 - y * (1.0 / 3.0 - y * (0.2 - y / 7.0)));
    }
    sine.atan2(cosine)
}

impl UpdateStatistics {
    /// λ of a tensor.
    fn decay(&self, part: &Part) -> f64 {
        self.hyper.weight_decay * part.decay
    }

    /// The sums over all tensors.
    pub fn total(&self) -> Sums {
        let mut total = Sums::default();
        self.parts.iter().for_each(|(_, sums)| total += *sums);
        total
    }

    /// The change of one tensor.
    pub fn motion(&self, part: &Part, s: &Sums) -> Motion {
        let (lr, decay) = (self.lr * part.rate, self.decay(part));
        Motion {
            before: s.aa,
            change: lr * lr * (decay * decay * s.aa + 2.0 * decay * s.au + s.uu),
            along: -lr * (decay * s.aa + s.au),
            wedge: lr * lr * (s.aa * s.uu - s.au * s.au),
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
        let decay = self.decay(part);
        let square = decay * decay * s.aa;
        let scale = 1.0 / (1.0 - self.last_lr * part.rate * decay);
        let rates = part.rate * part.rate;
        (
            rates * scale * (square + decay * (s.au + s.ap) + s.up),
            rates * (square + 2.0 * decay * s.au + s.uu),
            rates * scale * scale * (square + 2.0 * decay * s.ap + s.pp),
        )
    }

    /// Cosine of this change of a tensor and the change before; `None` at the first update and where
    /// either is zero.
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

#[cfg(test)]
mod tests {
    use super::arc;

    #[test]
    fn arcs_are_exact_from_tiny_to_flat() {
        for angle in [1e-12f64, 1e-7, 1e-3, 9.9e-3, 1.01e-2, 0.5, 2.0, 3.1] {
            let found = arc(angle.sin().powi(2), angle.cos());
            assert!((found / angle - 1.0).abs() < 1e-14, "{angle}: {found}");
        }
        assert_eq!(arc(-1e-30, 1.0), 0.0);
    }
}
