//! What the optimizer's momentum, and Adam's second moment beside it, say of signal and noise, from sums over each tensor.

use rayon::prelude::*;

use super::rows::{cosine, momentum};
use crate::architecture::Parameter;
use crate::base::row::Row;
use crate::base::values::Values;
use crate::operator::Scope;
use crate::run::OptimizerState;

/// Sums over a tensor: g·m, g², m², v.
type Sums = [f64; 4];

/// The state of the optimizer beside the gradient of the batch.
pub struct Momenta<'a> {
    optimizer: &'a OptimizerState,
    /// Of each tensor, with where it begins.
    tensors: Vec<(usize, Sums)>,
    with_gradient: bool,
}

impl<'a> Momenta<'a> {
    /// Of a state that has made an update and has its first moment; without a `gradient` no cosine is known.
    pub fn new(
        optimizer: &'a OptimizerState,
        gradient: Option<&Values>,
        parameters: &[Parameter],
    ) -> Option<Self> {
        let momentum = optimizer.rule().ok().and_then(|rule| rule.momentum()).unwrap_or("exp_avg");
        let m = optimizer.vector(momentum).filter(|_| optimizer.updates > 0)?;
        let tensor = |p: &Parameter| {
            let range = p.range();
            let [gm, gg] = gradient.map_or([0.0; 2], |g| [m, g].map(|other| g.dot(other, range.clone())));
            let v = optimizer.vector("exp_avg_sq").map_or(0.0, |v| v.sum(range.clone()));
            (p.offset, [gm, gg, m.dot(m, range), v])
        };
        let tensors = parameters.par_iter().map(tensor).collect();
        Some(Momenta { optimizer, tensors, with_gradient: gradient.is_some() })
    }

    /// `snr/gradient_momentum_cos` and `snr/phi_momentum` of a scope of whole tensors.
    pub fn rows(&self, scope: &Scope) -> Vec<Row> {
        let o = self.optimizer;
        let mut sums = Sums::default();
        for (at, tensor) in &self.tensors {
            if scope.ranges.iter().any(|range| range.contains(at)) {
                sums.iter_mut().zip(tensor).for_each(|(sum, x)| *sum += x);
            }
        }
        let [gm, gg, mm, v] = sums;
        let mut rows: Vec<Row> =
            if self.with_gradient { cosine(gm, gg, mm) } else { None }.into_iter().collect();
        if o.vector("exp_avg_sq").is_some() {
            let [beta1, beta2] = ["beta1", "beta2"].map(|key| o.constant(key));
            let correction = |beta: f64| 1.0 - beta.powf(o.updates as f64);
            let (m_hat_sq, v_hat) = (mm / correction(beta1).powi(2), v / correction(beta2));
            rows.push(momentum(m_hat_sq, v_hat, beta1, o.updates));
        }
        let trusted = o.moments_status();
        rows.into_iter().map(|row| row.n(scope.n() as u64).no_better_than(trusted)).collect()
    }
}
