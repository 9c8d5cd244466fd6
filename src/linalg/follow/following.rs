//! How closely an eigenpair is followed, and what is found at a step.

use crate::linalg::completeness;
use crate::linalg::trace::Estimate;

/// Steps between checks from a random start.
pub const CHECK: u64 = 10;
/// Products that a check leaves for the pair to converge with.
pub const REFINE: usize = 8;

/// How well, and at what cost.
#[derive(Debug, Clone, Copy)]
pub struct Following {
    /// The pair is converged when its residual is at most `tol`·|θ| (or at the rounding level).
    pub tol: f64,
    /// Products to spend per step.
    pub max_matvecs: usize,
    /// Ritz vectors to keep beside the wanted one.
    pub retained: usize,
    /// Random vectors for the norm; 0 leaves it out.
    pub probes: usize,
}

impl Following {
    /// Products a check spends at the least, of a matrix with n rows.
    pub fn check_matvecs(&self, n: usize) -> usize {
        completeness::least(n).min(self.max_matvecs.saturating_sub(1 + REFINE).max(1)).min(n)
    }

    /// What the checks may miss, in words.
    pub fn describe_check(&self, n: usize) -> String {
        let products = self.check_matvecs(n);
        format!(
            "every {CHECK} steps at least {products} products from a random start look for a larger eigenvalue; one with \
             gamma = (missed - reported)/(reported - lambda_min) above {:.4} is seen with 99% probability then, and may \
             go unnoticed in between",
            completeness::gamma(n, products)
        )
    }
}

/// The largest eigenpair at one step.
#[derive(Debug, Clone, PartialEq)]
pub struct Followed {
    /// θ.
    pub value: f64,
    /// ‖A x − θ x‖ for the unit vector x.
    pub residual: f64,
    /// Whether the residual met the tolerance.
    pub converged: bool,
    /// |⟨x, last x⟩|; `None` at the first step.
    pub overlap: Option<f64>,
    /// Products spent on it.
    pub matvecs: usize,
    /// ‖A‖_F², from as many products more as there are probes.
    pub frobenius_sq: Estimate,
}
