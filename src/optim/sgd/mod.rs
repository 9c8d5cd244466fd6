//! SGD with momentum, Polyak's or Nesterov's.
//!
//! d = g + λθ, b ← μ b + d, θ ← θ − η b; with Nesterov's θ ← θ − η(d + μ b). The buffer sums gradients and does not
//! average them, and decay goes through it; arithmetic and its order as in `torch.optim.SGD` without dampening.
//!
//! **Stability.** On a quadratic of curvature h the iteration contracts where h < 2(1+μ)/η, with Nesterov's momentum where
//! h < 2(1+μ)/((1+2μ)η); decay λ adds to the curvature.
//!
//! References: Polyak 1964; Sutskever et al. 2013, On the importance of initialization and momentum; Cohen et al. 2021,
//! Gradient Descent on Neural Networks Typically Occurs at the Edge of Stability, arXiv 2103.00065 (both thresholds).

mod pass;

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use pass::{Constants, Sgd, read};

use super::sums::Row;
use super::{Limits, Made, Part, Rule, State, Sums, Update};
use crate::base::key::{Fallback, Key};
use crate::base::registry::Entry;
use crate::base::takes::Takes;
use crate::base::values::Values;

/// The line in the registry.
pub const ENTRY: Entry<dyn Rule> = Entry {
    name: "sgd",
    about: "b ← μb + g + λθ, θ ← θ − ηb, as torch.optim.SGD",
    source: "Polyak 1964; Sutskever et al. 2013 (Nesterov's momentum)",
    keys: &[
        Key::new(
            "momentum",
            Takes::BELOW_ONE,
            Fallback::Value("0"),
            "μ: what is kept of the sum of gradients",
        ),
        Key::new(
            "weight_decay",
            Takes::NOT_NEGATIVE,
            Fallback::Value("0"),
            "λ of matrices, added to the gradient",
        ),
        Key::new(
            "nesterov",
            Takes::Word(&["false", "true"]),
            Fallback::Value("false"),
            "the gradient looks ahead",
        ),
    ],
    make: |told| {
        let (momentum, decay) = (told.number("momentum"), told.number("weight_decay"));
        let nesterov = told.get("nesterov") == Some("true");
        if nesterov && momentum == 0.0 {
            return Err("nesterov needs a momentum above 0".into());
        }
        Ok(Arc::new(Sgd { momentum, decay, nesterov }))
    },
};

const BUFFER: &str = "momentum_buffer";
const ONE_DTYPE: &str = "parameters, gradient and momentum have one dtype";

impl Sgd {
    /// u of a coordinate.
    fn direction_at(&self, update: &Update, part: &Part, made: &Made, i: usize) -> f64 {
        let c = Constants::<f64>::new(self, update, part);
        let push = c.push(made.before.get(i), made.gradient.get(i));
        c.direction(push, made.state.get(BUFFER).map_or(push, |buffer| buffer.get(i)))
    }

    /// Whether the state is its last update's direction.
    fn tells_last_update(&self) -> bool {
        self.momentum > 0.0 && !self.nesterov
    }
}

impl Rule for Sgd {
    fn vectors(&self) -> &'static [&'static str] {
        if self.momentum > 0.0 { &[BUFFER] } else { &[] }
    }

    fn momentum(&self) -> Option<&'static str> {
        (self.momentum > 0.0).then_some(BUFFER)
    }

    fn decay(&self) -> f64 {
        0.0
    }

    fn update(&self, update: &Update, parts: &[Part], p: &mut Values, g: &Values, state: &mut [Values]) {
        match (p, g, state) {
            (Values::F32(p), Values::F32(g), []) => pass::update(self, update, parts, p, g, None),
            (Values::F32(p), Values::F32(g), [Values::F32(b)]) => {
                pass::update(self, update, parts, p, g, Some(b));
            }
            (Values::F64(p), Values::F64(g), []) => pass::update(self, update, parts, p, g, None),
            (Values::F64(p), Values::F64(g), [Values::F64(b)]) => {
                pass::update(self, update, parts, p, g, Some(b));
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
        let epsilon = p.dtype().epsilon();
        match (p, g, state) {
            (Values::F32(p), Values::F32(g), []) => pass::tracked(self, update, parts, p, g, None, epsilon),
            (Values::F32(p), Values::F32(g), [Values::F32(b)]) => {
                pass::tracked(self, update, parts, p, g, Some(b), epsilon)
            }
            (Values::F64(p), Values::F64(g), []) => pass::tracked(self, update, parts, p, g, None, epsilon),
            (Values::F64(p), Values::F64(g), [Values::F64(b)]) => {
                pass::tracked(self, update, parts, p, g, Some(b), epsilon)
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
        let buffer = *state.get(BUFFER).filter(|_| self.tells_last_update())?;
        let epsilon = parameters.dtype().epsilon();
        let of = |part: &Part| {
            let lr = update.lr * part.rate;
            let (mut sums, mut row) = (Sums { n: part.len() as f64, ..Sums::default() }, Row::default());
            for i in part.start..part.start + part.len() {
                let u = buffer.get(i);
                read(&mut row, parameters.get(i) + lr * u, u);
                if row.read == part.columns {
                    row.end(part.matrix, 1.0, lr, epsilon, &mut sums);
                }
            }
            (part.clone(), sums)
        };
        Some(parts.par_iter().map(of).collect())
    }

    fn rows(&self, update: &Update, part: &Part, range: Range<usize>, made: &Made) -> (Values, Values) {
        let numbers = |of: &dyn Fn(usize) -> f64| {
            Values::F64(range.clone().map(of).collect()).cast(made.before.dtype())
        };
        (numbers(&|i| made.before.get(i)), numbers(&|i| self.direction_at(update, part, made, i)))
    }

    fn direction(&self, update: &Update, parts: &[Part], made: &Made) -> Values {
        let of = |part: &Part| -> Vec<f64> {
            let all = part.start..part.start + part.len();
            all.map(|i| self.direction_at(update, part, made, i)).collect()
        };
        let u: Vec<Vec<f64>> = parts.par_iter().map(of).collect();
        Values::F64(u.concat()).cast(made.before.dtype())
    }

    fn limits(&self, lr: f64, _: u64) -> Limits {
        let looking_ahead = if self.nesterov { 1.0 + 2.0 * self.momentum } else { 1.0 };
        let threshold = 2.0 * (1.0 + self.momentum) / (looking_ahead * lr);
        Limits { lr, threshold, threshold_t: None, threshold_decay: threshold - self.decay }
    }

    /// √(2ηλ/(1+μ)), of weights that a norm makes scale-invariant.
    fn equilibrium_angle(&self, lr: f64) -> Option<f64> {
        (!self.nesterov).then(|| (2.0 * lr * self.decay / (1.0 + self.momentum)).sqrt())
    }

    fn words(&self) -> String {
        let kind = if self.nesterov { "Nesterov's momentum" } else { "momentum" };
        format!("SGD, {kind} {}, weight decay {}", self.momentum, self.decay)
    }

    fn settling(&self) -> f64 {
        2.0 / (1.0 - self.momentum)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Optimizer, Updater};
    use super::*;
    use crate::base::values::DType;

    fn updater(text: &str, n: usize) -> Updater {
        let rule = Optimizer::parse(text, None).expect("an optimizer");
        Updater::new(rule, vec![Part { decay: 1.0, ..Part::vector("p", n) }], DType::F64)
    }

    /// Largest curvature at which the iteration on h x²/2 does not grow, by bisection.
    fn critical(text: &str, lr: f64) -> f64 {
        let grows = |h: f64| {
            let mut sgd = updater(text, 1);
            let mut p = Values::F64(vec![1.0]);
            for _ in 0..4000 {
                let g = Values::F64(vec![h * p.get(0)]);
                sgd.update(&mut p, &g, 1.0, lr);
                if p.get(0).abs() > 1e6 {
                    return true;
                }
            }
            false
        };
        let (mut low, mut high) = (0.0, 10.0 / lr);
        for _ in 0..40 {
            let middle = 0.5 * (low + high);
            if grows(middle) { high = middle } else { low = middle }
        }
        low
    }

    #[test]
    fn thresholds_are_where_the_iteration_starts_to_grow() {
        for (text, expected) in [
            ("sgd", 20.0),
            ("sgd:momentum=0.9", 38.0),
            ("sgd:momentum=0.5", 30.0),
            ("sgd:momentum=0.9,nesterov=true", 38.0 / 2.8),
            ("sgd:momentum=0.9,weight_decay=3", 38.0),
        ] {
            let limits = Optimizer::parse(text, None).expect("an optimizer").limits(0.1, 7);
            assert!((limits.threshold / expected - 1.0).abs() < 1e-12, "{text}: {}", limits.threshold);
            let found = critical(text, 0.1);
            assert!((found / limits.threshold_decay - 1.0).abs() < 5e-3, "{text}: {found}");
        }
    }

    #[test]
    fn a_constant_gradient_is_summed_by_the_momentum() {
        let (mut sgd, mut p) = (updater("sgd:momentum=0.9", 1), Values::F64(vec![0.0]));
        let mut expected = 0.0;
        for t in 1..=50 {
            sgd.update(&mut p, &Values::F64(vec![2.0]), 0.5, 0.01);
            // b = (1 − μ^t)/(1 − μ)
            expected -= 0.01 * (1.0 - 0.9f64.powi(t)) / 0.1;
            assert!((p.get(0) / expected - 1.0).abs() < 1e-12, "{t}");
        }
    }

    #[test]
    fn impossible_constants_are_refused() {
        for (text, said) in [
            ("sgd:nesterov=true", "--optimizer sgd: nesterov needs a momentum above 0"),
            ("sgd:momentum=1", "--optimizer sgd: momentum `1` is not a number of at least 0 and below 1"),
            ("sgd:beta1=0.9", "--optimizer sgd has no key `beta1`"),
        ] {
            assert_eq!(Optimizer::parse(text, None).expect_err(text).to_string(), said);
        }
    }
}
