//! What an exponential average does to the length of independent gradients.
//!
//! **Formula.** For independent gradients of mean zero ‖m̂_t‖/‖g‖ = √((1−β)(1+β^t)/((1+β)(1−β^t))): 1 at
//! t = 1, √((1−β)/(1+β)) in the end. So the bias correction makes Adam's first updates √((1+β)/(1−β)) times
//! as long as its later ones, 4.36 for β = 0.9.
//!
//! **Reference.** Kosson, Messmer and Jaggi 2024, Analyzing and Reducing the Need for Learning Rate Warmup
//! in GPT Training, arXiv 2410.23922.

/// ‖m̂_t‖/‖g‖ for independent gradients, t ≥ 1; the RMS of Adam's update where v̂ is the gradients' variance.
pub fn independent_rms(beta: f64, t: u64) -> f64 {
    let power = beta.powf(t as f64);
    (limit(beta) * (1.0 + power) / (1.0 - power)).sqrt()
}

/// How many times longer update t is than later ones for independent gradients: √((1+β^t)/(1−β^t)).
pub fn excess(beta: f64, t: u64) -> f64 {
    independent_rms(beta, t) / limit(beta).sqrt()
}

/// The square of the ratio at t = ∞.
fn limit(beta: f64) -> f64 {
    (1.0 - beta) / (1.0 + beta)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_by_update_are_the_tables() {
        let table =
            [(1, 1.0), (2, 0.7081), (3, 0.5795), (5, 0.4521), (10, 0.3301), (20, 0.2592), (1000, 0.2294)];
        for (t, expected) in table {
            assert!((independent_rms(0.9, t) - expected).abs() < 5e-5, "{t}: {}", independent_rms(0.9, t));
        }
        for (beta, expected) in [(0.9, 4.36), (0.95, 6.24), (0.98, 9.95)] {
            assert!((excess(beta, 1) - expected).abs() < 5e-3);
            assert!((excess(beta, 100_000) - 1.0).abs() < 1e-12);
        }
    }
}
