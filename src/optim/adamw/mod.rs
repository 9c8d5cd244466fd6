//! AdamW: Adam with weight decay decoupled from the gradient; and Adam and AMSGrad as far as their checkpoints are
//! measured.
//!
//! m ← β1 m + (1−β1) g, v ← β2 v + (1−β2) g², θ ← θ − η λ θ, θ ← θ − η m̂/(√v̂ + ε) with m̂ = m/(1−β1^t),
//! v̂ = v/(1−β2^t); arithmetic and its order as in `torch.optim.AdamW`.
//!
//! References: Kingma and Ba, arXiv 1412.6980; Loshchilov and Hutter, arXiv 1711.05101.

mod constants;
mod plain;
mod totals;
mod tracked;

use std::ops::Range;
use std::sync::Arc;

use constants::{Constants, retreat};

use super::real::Real;
use super::{Hyperparameters, Limits, Made, Part, Preconditioner, Rule, State, Sums, Update, stability};
use crate::base::key::{Fallback, Key};
use crate::base::registry::Entry;
use crate::base::simd;
use crate::base::specification::Specification;
use crate::base::takes::Takes;
use crate::base::values::Values;

const BETA1: Key = Key::new("beta1", Takes::BELOW_ONE, Fallback::Value("0.9"), "decay of the first moment")
    .formerly("beta1");
const BETA2: Key = Key::new("beta2", Takes::BELOW_ONE, Fallback::Value("0.95"), "decay of the second moment")
    .formerly("beta2");
const EPS: Key = Key::new("eps", Takes::NOT_NEGATIVE, Fallback::Value("1e-8"), "added to √v̂").formerly("eps");
const WEIGHT_DECAY: Key =
    Key::new("weight_decay", Takes::NOT_NEGATIVE, Fallback::Value("0.1"), "decoupled decay of matrices")
        .formerly("weight_decay");

const COUPLED: Key = Key::new(
    "coupled",
    Takes::Word(&["false", "true"]),
    Fallback::Value("false"),
    "whether decay is added to the gradient",
);

/// The line in the registry.
pub const ENTRY: Entry<dyn Rule> = Entry {
    name: "adamw",
    about: "θ ← θ − η(m̂/(√v̂ + ε) + λθ), as torch.optim.AdamW",
    source: "Kingma and Ba, arXiv 1412.6980; Loshchilov and Hutter, arXiv 1711.05101",
    keys: &[BETA1, BETA2, EPS, WEIGHT_DECAY],
    make: |told| Ok(Arc::new(AdamW { hyper: hyper(told), coupled: false, largest: false })),
};

/// Adam, measured from checkpoints.
pub const ADAM: Entry<dyn Rule> = Entry {
    name: "adam",
    about: "AdamW whose decay is added to the gradient",
    make: |told| Ok(Arc::new(AdamW { hyper: hyper(told), coupled: true, largest: false })),
    ..ENTRY
};

/// AMSGrad, measured from checkpoints; its decay is decoupled or not, as the checkpoint says.
pub const AMSGRAD: Entry<dyn Rule> = Entry {
    name: "amsgrad",
    about: "AdamW that divides by the largest v so far",
    source: "Reddi, Kale and Kumar, arXiv 1904.09237",
    keys: &[BETA1, BETA2, EPS, WEIGHT_DECAY, COUPLED],
    make: |told| {
        Ok(Arc::new(AdamW {
            hyper: hyper(told),
            coupled: told.get("coupled") == Some("true"),
            largest: true,
        }))
    },
};

fn hyper(told: &Specification) -> Hyperparameters {
    Hyperparameters {
        beta1: told.number("beta1"),
        beta2: told.number("beta2"),
        eps: told.number("eps"),
        weight_decay: told.number("weight_decay"),
    }
}

/// The rule with its constants.
#[derive(Debug, Clone, Copy)]
struct AdamW {
    hyper: Hyperparameters,
    /// Whether decay is added to the gradient, and so is in the moments.
    coupled: bool,
    /// Whether updates divide by the largest v so far.
    largest: bool,
}

const FIRST: &str = "exp_avg";
const SECOND: &str = "exp_avg_sq";
const LARGEST: &str = "max_exp_avg_sq";

impl AdamW {
    fn constants(&self, update: &Update) -> Constants<f64> {
        Constants::new(&self.hyper, self.decay(), update)
    }

    /// The vector that updates divide by the root of.
    fn divided_by(&self) -> &'static str {
        if self.largest { LARGEST } else { SECOND }
    }
}

const ONE_DTYPE: &str = "parameters, gradient and moments have one dtype";

impl Rule for AdamW {
    fn vectors(&self) -> &'static [&'static str] {
        if self.largest { &[FIRST, SECOND, LARGEST] } else { &[FIRST, SECOND] }
    }

    fn preconditioned_by(&self) -> &'static [&'static str] {
        if self.largest { &[SECOND, LARGEST] } else { &[SECOND] }
    }

    fn momentum(&self) -> Option<&'static str> {
        Some(FIRST)
    }

    fn decay(&self) -> f64 {
        // coupled decay went through the moments, so that the change is u alone
        if self.coupled { 0.0 } else { self.hyper.weight_decay }
    }

    fn update(&self, update: &Update, parts: &[Part], p: &mut Values, g: &Values, state: &mut [Values]) {
        let c = self.constants(update);
        match (p, g, state) {
            (Values::F32(p), Values::F32(g), [Values::F32(m), Values::F32(v)]) => {
                plain::update(parts, c.narrow(), p, g, m, v);
            }
            (Values::F64(p), Values::F64(g), [Values::F64(m), Values::F64(v)]) => {
                plain::update(parts, c, p, g, m, v);
            }
            _ => panic!("{ONE_DTYPE}"),
        }
    }

    fn update_tracked(
        &self,
        update: &Update,
        parts: &[Part],
        p: &mut Values,
        g: &Values,
        state: &mut [Values],
    ) -> Vec<(Part, Sums)> {
        let c = self.constants(update);
        match (p, g, state) {
            (Values::F32(p), Values::F32(g), [Values::F32(m), Values::F32(v)]) => {
                tracked::update(parts, c.narrow(), p, g, m, v)
            }
            (Values::F64(p), Values::F64(g), [Values::F64(m), Values::F64(v)]) => {
                tracked::update(parts, c, p, g, m, v)
            }
            _ => panic!("{ONE_DTYPE}"),
        }
    }

    fn last_update(
        &self,
        update: &Update,
        parts: &[Part],
        parameters: &Values,
        state: &State,
    ) -> Option<Vec<(Part, Sums)>> {
        let (m, v) = (*state.get(FIRST)?, *state.get(SECOND)?);
        let c = self.constants(update);
        let of = |v: &Values| match (parameters, m, v) {
            (Values::F32(p), Values::F32(m), Values::F32(v)) => tracked::rebuild(parts, c.narrow(), p, m, v),
            (Values::F64(p), Values::F64(m), Values::F64(v)) => tracked::rebuild(parts, c, p, m, v),
            _ => panic!("{ONE_DTYPE}"),
        };
        if !self.largest {
            return Some(of(v));
        }
        let mut sums = of(state.get(LARGEST).unwrap_or(&v));
        // AMSGrad divides by the largest v, but v itself is what it is
        for ((_, sums), (_, raw)) in sums.iter_mut().zip(of(v)) {
            (sums.second_moment, sums.second_moment_sq) = (raw.second_moment, raw.second_moment_sq);
        }
        Some(sums)
    }

    fn rows(&self, update: &Update, part: &Part, range: Range<usize>, made: &Made) -> (Values, Values) {
        fn of<T: Real>(c: Constants<T>, p: &[T], m: &[T], v: &[T]) -> (Vec<T>, Vec<T>) {
            let mut all = vec![T::ZERO; 3 * p.len()];
            let (a, rest) = all.split_at_mut(p.len());
            let (root, q) = rest.split_at_mut(p.len());
            simd::dispatch(
                #[inline(always)]
                || retreat(p, m, v, a, root, q, &c),
            );
            (a.to_vec(), q.to_vec())
        }
        let c = self.constants(update);
        match (made.after, made.state[FIRST], made.state[SECOND]) {
            (Values::F32(p), Values::F32(m), Values::F32(v)) => {
                let at = |x: &'_ [f32]| x[range.clone()].to_vec();
                let (a, q) = of(c.narrow().of_part(part), &at(p), &at(m), &at(v));
                (Values::F32(a), Values::F32(q))
            }
            (Values::F64(p), Values::F64(m), Values::F64(v)) => {
                let at = |x: &'_ [f64]| x[range.clone()].to_vec();
                let (a, q) = of(c.of_part(part), &at(p), &at(m), &at(v));
                (Values::F64(a), Values::F64(q))
            }
            _ => panic!("{ONE_DTYPE}"),
        }
    }

    fn rows_scale(&self, t: u64) -> f64 {
        1.0 / (1.0 - self.hyper.beta1.powi(t as i32))
    }

    fn direction(&self, update: &Update, _: &[Part], made: &Made) -> Values {
        let p = Preconditioner::of(made.state[SECOND], self.hyper.beta2, update.t, self.hyper.eps);
        p.divide(made.state[FIRST], 1.0 - self.hyper.beta1.powf(update.t as f64))
    }

    fn next_update_is_known(&self) -> Result<(), String> {
        if self.largest {
            return Err("the checkpoint's optimizer is amsgrad, whose next update is not formed here".into());
        }
        if self.coupled && self.hyper.weight_decay != 0.0 {
            let name = if self.largest { AMSGRAD.name } else { ADAM.name };
            return Err(format!(
                "the checkpoint's optimizer is {name} with weight decay in the gradient, which its moments contain"
            ));
        }
        Ok(())
    }

    fn moments(&self) -> Option<Hyperparameters> {
        Some(self.hyper)
    }

    fn preconditioner(&self, state: &State, updates: u64) -> Option<Preconditioner> {
        let v = state.get(self.divided_by()).or_else(|| state.get(SECOND))?;
        Some(Preconditioner::of(v, self.hyper.beta2, updates, self.hyper.eps))
    }

    fn next_preconditioner(
        &self,
        state: &State,
        gradient: &Values,
        clip: f64,
        updates: u64,
    ) -> Option<Preconditioner> {
        let v = state.get(SECOND).copied();
        if v.is_none() && updates > 0 {
            return None;
        }
        Some(Preconditioner::next(v, gradient, clip, self.hyper.beta2, updates, self.hyper.eps))
    }

    fn limits(&self, lr: f64, t: u64) -> Limits {
        let Hyperparameters { beta1, weight_decay, .. } = self.hyper;
        Limits {
            lr,
            threshold: stability::threshold(beta1, lr),
            threshold_t: Some(stability::threshold_at(beta1, lr, t)),
            threshold_decay: stability::threshold_with_decay(beta1, lr, weight_decay),
        }
    }

    /// Memory of the momentum: (1−β1)/((1+β1)(1−β1^t)).
    fn memory(&self, t: u64) -> Option<f64> {
        let beta1 = self.hyper.beta1;
        Some((1.0 - beta1) / ((1.0 + beta1) * (1.0 - beta1.powf(t as f64))))
    }

    /// √(2ηλ(1−β1)/(1+β1)).
    fn equilibrium_angle(&self, lr: f64) -> Option<f64> {
        let Hyperparameters { beta1, weight_decay, .. } = self.hyper;
        (!self.coupled && !self.largest)
            .then(|| (2.0 * lr * weight_decay * (1.0 - beta1) / (1.0 + beta1)).sqrt())
    }

    fn words(&self) -> String {
        let Hyperparameters { beta1, beta2, eps, weight_decay } = self.hyper;
        format!("AdamW, β1 {beta1}, β2 {beta2}, ε {eps:e}, weight decay {weight_decay}")
    }

    /// 2/(1 − β2).
    fn settling(&self) -> f64 {
        2.0 / (1.0 - self.hyper.beta2)
    }
}
