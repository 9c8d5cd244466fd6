//! The entropy of a softmax and what its logits allow it to be.

/// The least entropy (nats) that T logits of Euclidean norm at most σ can have:
/// with β = exp(−σ √(T/(T−1))), ln(1 + (T−1) β) + σ √(T(T−1)) β/(1 + (T−1) β).
///
/// It is attained by one logit that is high and T − 1 that are equal, and falls like T σ e^−σ. For one logit it
/// is 0. Zhai et al. 2023, Stabilizing Transformer Training by Preventing Attention Entropy Collapse, arXiv
/// 2303.06296.
#[derive(Debug, Clone, Copy)]
pub struct LowerBound {
    /// T − 1.
    rest: f64,
    /// √(T/(T−1)).
    stretch: f64,
    /// √(T(T−1)).
    reach: f64,
}

impl LowerBound {
    /// For T = `len` logits.
    pub fn new(len: usize) -> Self {
        let (t, rest) = (len as f64, len.saturating_sub(1) as f64);
        let stretch = if rest > 0.0 { (t / rest).sqrt() } else { 0.0 };
        LowerBound { rest, stretch, reach: (t * rest).sqrt() }
    }

    /// For logits of norm σ.
    pub fn at(&self, norm: f64) -> f64 {
        let beta = (-norm * self.stretch).exp();
        let total = 1.0 + self.rest * beta;
        total.ln() + norm * self.reach * beta / total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entropy(logits: &[f64]) -> f64 {
        let z: f64 = logits.iter().map(|x| x.exp()).sum();
        logits.iter().map(|x| -(x.exp() / z) * (x - z.ln())).sum()
    }

    #[test]
    fn the_bound_has_its_known_values() {
        for (norm, bound) in
            [(0.5, 2.762_07), (1.0, 2.716_801), (2.0, 2.418_708), (4.0, 1.018_040), (8.0, 0.035_721)]
        {
            assert!((LowerBound::new(16).at(norm) - bound).abs() < 1e-5, "{norm}");
        }
        assert!((LowerBound::new(16).at(0.0) - 16f64.ln()).abs() < 1e-14);
        assert_eq!(LowerBound::new(1).at(3.0), 0.0);
    }

    #[test]
    fn one_high_logit_attains_it_and_others_lie_above() {
        for (t, norm) in [(2usize, 1.0), (16, 3.0), (64, 7.0)] {
            // orthogonal to the ones vector, which a softmax does not see
            let low = -norm / ((t * (t - 1)) as f64).sqrt();
            let mut logits = vec![low; t];
            logits[0] = -low * (t - 1) as f64;
            let size = logits.iter().map(|x| x * x).sum::<f64>().sqrt();
            assert!((size - norm).abs() < 1e-12);
            assert!((entropy(&logits) - LowerBound::new(t).at(norm)).abs() < 1e-12, "{t}");
            logits.iter_mut().enumerate().for_each(|(i, x)| *x = (i as f64 * 1.7).sin());
            let size = logits.iter().map(|x| x * x).sum::<f64>().sqrt();
            assert!(entropy(&logits) >= LowerBound::new(t).at(size));
        }
    }
}
