//! The critical learning rate along a direction: forward passes only.
//!
//! η_c = min{η > 0 : L(θ − η d) > L(θ)}, and the critical sharpness is λ_c = 2/η_c. On a quadratic with d = g it
//! is gᵀHg/gᵀg. Bracketed by doubling or halving, then bisected until the bracket is narrower than a sixteenth
//! of itself: five or six passes from a good guess.
//!
//! Reference: Kalra et al. 2026, arXiv 2601.16979.

use crate::base::error::Result;

/// η_c lies between `low` and `high`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bracket {
    /// The loss is not larger here.
    pub low: f64,
    /// It is larger here, or not finite.
    pub high: f64,
    /// Forward passes spent.
    pub passes: usize,
}

/// Doublings or halvings before giving up.
const REACH: usize = 40;
/// Width of the bracket relative to its upper end.
const WIDTH: f64 = 1.0 / 16.0;

/// Brackets the first rate at which `loss` exceeds `base`, its value at 0. `None` where it exceeds it already
/// at the smallest rate tried, or nowhere.
///
/// # Errors
/// Where the loss cannot be computed.
pub fn critical_rate(base: f64, guess: f64, loss: impl Fn(f64) -> Result<f64>) -> Result<Option<Bracket>> {
    let mut passes = 0;
    // a loss that is not a number is no smaller
    let mut exceeds = |eta: f64| -> Result<bool> {
        passes += 1;
        Ok(loss(eta)?.partial_cmp(&base).is_none_or(|order| order.is_gt()))
    };
    let first = exceeds(guess)?;
    let (mut low, mut high) = (guess, guess);
    for step in 0.. {
        if step == REACH {
            return Ok(None);
        }
        if first {
            low = high / 2.0;
            if !exceeds(low)? {
                break;
            }
            high = low;
        } else {
            high = low * 2.0;
            if exceeds(high)? {
                break;
            }
            low = high;
        }
    }
    while 1.0 - low / high > WIDTH {
        let middle = 0.5 * (low + high);
        if exceeds(middle)? { high = middle } else { low = middle }
    }
    Ok(Some(Bracket { low, high, passes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_a_quadratic_the_bracket_holds_the_closed_form() {
        // L(θ − ηg) − L = −η gᵀg + ½ η² gᵀHg is nil at η = 2 gᵀg/gᵀHg
        for (slope, curvature) in [(3.0, 7.0), (1e-3, 2.0), (50.0, 0.01)] {
            let exact = 2.0 * slope / curvature;
            for guess in [1e-4, 0.1, 30.0] {
                let loss = |eta: f64| Ok(1.0 - eta * slope + 0.5 * eta * eta * curvature);
                let found = critical_rate(1.0, guess, loss).expect("computed").expect("found");
                assert!(found.low <= exact && exact <= found.high, "{found:?} {exact}");
                assert!(found.high / found.low - 1.0 <= 0.07);
            }
        }
    }

    #[test]
    fn a_direction_that_only_climbs_or_only_falls_has_none() {
        assert_eq!(critical_rate(1.0, 1.0, |eta| Ok(1.0 + eta)).expect("computed"), None);
        assert_eq!(critical_rate(1.0, 1.0, |eta| Ok(1.0 - eta)).expect("computed"), None);
        let overflow = critical_rate(1.0, 1.0, |eta| Ok(if eta > 3.0 { f64::NAN } else { 0.5 }));
        assert!(overflow.expect("computed").is_some_and(|b| b.low <= 3.0 && b.high > 3.0));
    }
}
