//! How far weights turn per update once decay and updates balance.
//!
//! **What.** Weight decay shrinks a matrix, updates of random direction lengthen it; where the two balance
//! its length stays and it turns by a constant angle per update, √(2ηλ) times what momentum does to the
//! length of updates.
//!
//! **Formulas.** AdamW √(2ηλ(1−β1)/(1+β1)); SGD with momentum α √(2ηλ/(1+α));
//! Lion √(π/2)·√(2ηλ)·√((1−β1)² + β1²(1−β2)/(1+β2)).
//!
//! **Error.** For gradients of random direction, after 1/(ηλ) updates, and ηλ ≪ 1−β1; Lion's is about 5%
//! off even then.
//!
//! **Reference.** Kosson, Messmer and Jaggi, Rotational Equilibrium, arXiv 2305.17212; with momentum as in
//! the authors' code.

use std::f64::consts::FRAC_PI_2;

/// Radians per update of AdamW at equilibrium, for learning rate `lr` and decoupled decay `decay`.
pub fn adamw(lr: f64, decay: f64, beta1: f64) -> f64 {
    (2.0 * lr * decay * (1.0 - beta1) / (1.0 + beta1)).sqrt()
}

/// Radians per update of SGD with momentum `alpha` and no dampening on scale-invariant weights, decay
/// coupled to the gradient.
pub fn sgdm(lr: f64, decay: f64, alpha: f64) -> f64 {
    (2.0 * lr * decay / (1.0 + alpha)).sqrt()
}

/// Radians per update of Lion.
pub fn lion(lr: f64, decay: f64, beta1: f64, beta2: f64) -> f64 {
    let momentum = (1.0 - beta1).powi(2) + beta1.powi(2) * (1.0 - beta2) / (1.0 + beta2);
    (FRAC_PI_2 * 2.0 * lr * decay * momentum).sqrt()
}

/// The angle of the optimizer called `name`, where its formula is known (not where Adam has decay in its
/// gradient).
pub fn angle(name: &str, lr: f64, decay: f64, beta1: f64, beta2: f64) -> Option<f64> {
    match name {
        "adamw" => Some(adamw(lr, decay, beta1)),
        "sgd" | "sgdm" => Some(sgdm(lr, decay, beta1)),
        "lion" => Some(lion(lr, decay, beta1, beta2)),
        _ => None,
    }
}
