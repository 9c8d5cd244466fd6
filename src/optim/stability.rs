//! How much curvature an optimizer stands before it diverges on a quadratic.
//!
//! For a momentum that averages (m ← β1 m + (1−β1) g, as Adam's) with a frozen preconditioner P, one step
//! θ ← θ − η P⁻¹m is stable where λmax(P⁻¹H) < (2+2β1)/((1−β1)η). Decoupled weight decay γ moves that to
//! (2/η − γ)(1+β1)/(1−β1). All of it is asymptotic: in the first steps the corrected momentum has a shorter memory, and P
//! is never frozen.
//!
//! Reference: Cohen et al. 2022, Adaptive Gradient Methods at the Edge of Stability, arXiv 2207.14484.

/// (2+2β1)/((1−β1)η), of λmax(P⁻¹H).
pub fn threshold(beta1: f64, lr: f64) -> f64 {
    (2.0 + 2.0 * beta1) / ((1.0 - beta1) * lr)
}

/// [`threshold`]·(1−β1^t) at update t: the bias correction divides m by 1−β1^t.
pub fn threshold_at(beta1: f64, lr: f64, t: u64) -> f64 {
    threshold(beta1, lr) * (1.0 - beta1.powf(t as f64))
}

/// (2/η − γ)(1+β1)/(1−β1): with decoupled weight decay γ on every coordinate.
pub fn threshold_with_decay(beta1: f64, lr: f64, weight_decay: f64) -> f64 {
    (2.0 / lr - weight_decay) * (1.0 + beta1) / (1.0 - beta1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Largest curvature at which the two-dimensional iteration of (θ, m) does not grow, by bisection.
    fn critical(beta1: f64, lr: f64, decay: f64) -> f64 {
        let grows = |lambda: f64| {
            let (mut x, mut m) = (1.0f64, 0.0f64);
            for _ in 0..200_000 {
                m = beta1 * m + (1.0 - beta1) * lambda * x;
                x = x * (1.0 - lr * decay) - lr * m;
                if x.abs() > 1e6 {
                    return true;
                }
            }
            false
        };
        let (mut low, mut high) = (0.0, 10.0 * threshold(beta1, lr));
        for _ in 0..40 {
            let middle = 0.5 * (low + high);
            if grows(middle) { high = middle } else { low = middle }
        }
        low
    }

    #[test]
    fn thresholds_are_where_the_iteration_starts_to_grow() {
        for (beta1, expected) in [(0.0, 2.0), (0.5, 6.0), (0.9, 38.0), (0.95, 78.0), (0.98, 198.0)] {
            assert!((threshold(beta1, 1.0) - expected).abs() < 1e-9 * expected);
        }
        // growth near the border is slow, so 200 000 steps find it to a part in ten thousand
        assert!((critical(0.9, 0.1, 0.0) / threshold(0.9, 0.1) - 1.0).abs() < 2e-4);
        assert!((threshold_with_decay(0.9, 0.1, 1.0) - 361.0).abs() < 1e-9);
        assert!((critical(0.9, 0.1, 1.0) / 361.0 - 1.0).abs() < 2e-3);
    }

    #[test]
    fn the_first_update_has_no_memory() {
        assert!((threshold_at(0.9, 1.0, 1) - 3.8).abs() < 1e-12);
        assert!((threshold_at(0.9, 1.0, 1000) - 38.0).abs() < 1e-9);
    }
}
