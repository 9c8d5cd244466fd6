//! RAdam: Adam whose adaptive rate is used only where its variance is finite, and then rectified.
//!
//! m and v as in Adam. Where ρ_t > 5: θ ← θ − η r_t m̂/((√v + ε)/√(1−β2^t)); before that θ ← θ − η m̂. Decay is
//! decoupled; arithmetic and its order as in `torch.optim.RAdam` with `decoupled_weight_decay`, whose
//! threshold is ρ_t > 5 where the paper has 4.
//!
//! Reference: Liu et al. 2020, On the Variance of the Adaptive Learning Rate and Beyond, arXiv 1908.03265.

use super::Hyperparameters;
use crate::stats::radam;

/// The optimizer and its state, in double precision.
#[derive(Debug, Clone)]
pub struct RAdam {
    hyper: Hyperparameters,
    exp_avg: Vec<f64>,
    exp_avg_sq: Vec<f64>,
    step: u64,
}

impl RAdam {
    /// A fresh optimizer for n parameters, all of which decay.
    pub fn new(hyper: Hyperparameters, n: usize) -> Self {
        RAdam { hyper, exp_avg: vec![0.0; n], exp_avg_sq: vec![0.0; n], step: 0 }
    }

    /// Updates applied.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Applies one update with learning rate `lr`.
    pub fn update(&mut self, parameters: &mut [f64], gradient: &[f64], lr: f64) {
        self.step += 1;
        let (h, t) = (self.hyper, self.step);
        let (correction1, correction2) = (1.0 - h.beta1.powf(t as f64), 1.0 - h.beta2.powf(t as f64));
        let rectification = radam::rectification(h.beta2, t, radam::Convention::Code)
            .filter(|_| radam::rho(h.beta2, t).0 > 5.0);
        let moments = self.exp_avg.iter_mut().zip(&mut self.exp_avg_sq);
        for ((p, g), (m, v)) in parameters.iter_mut().zip(gradient).zip(moments) {
            *p *= 1.0 - lr * h.weight_decay;
            *m += (g - *m) * (1.0 - h.beta1);
            *v = *v * h.beta2 + (1.0 - h.beta2) * g * g;
            let mean = *m / correction1;
            let adaptive = rectification.map_or(1.0, |r| correction2.sqrt() / (v.sqrt() + h.eps) * r);
            *p -= mean * lr * adaptive;
        }
    }
}
