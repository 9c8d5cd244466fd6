//! Clipping of the gradient by its norm, as PyTorch's `clip_grad_norm_`, and what it does to the curvature Adam meets.
//!
//! With every gradient scaled by c, v̂ is scaled by c² and P = √v̂ + ε by c: Adam moves as before, but λ(P⁻¹H), whose H
//! nobody scales, is 1/c too large. What the update meets is c·P⁻¹H.

use rayon::prelude::*;

use crate::base::values::Values;

/// Numbers a thread sums at a time; fixed, so that the sum does not depend on the number of threads.
const CHUNK: usize = 1 << 14;

/// (norm of the gradient, the factor that clipping leaves of it).
pub fn clip_factor(gradient: &Values, max_norm: f64) -> (f64, f64) {
    let squares: Vec<f64> = match gradient {
        Values::F32(g) => {
            g.par_chunks(CHUNK).map(|g| g.iter().map(|&x| f64::from(x).powi(2)).sum()).collect()
        }
        Values::F64(g) => g.par_chunks(CHUNK).map(|g| g.iter().map(|x| x * x).sum()).collect(),
    };
    let norm = squares.iter().sum::<f64>().sqrt();
    (norm, factor(norm, max_norm))
}

/// What brings a gradient of this norm down to `max_norm`: 1 where it is not larger, or where `max_norm` is 0, which
/// switches clipping off.
///
/// It is max_norm/(norm + 1e-6), PyTorch's.
pub fn factor(norm: f64, max_norm: f64) -> f64 {
    let factor = max_norm / (norm + 1e-6);
    if max_norm > 0.0 && factor < 1.0 { factor } else { 1.0 }
}

/// The clip factor c of an update, and how it is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clip {
    /// c.
    pub factor: f64,
    /// Where it is from.
    pub source: ClipSource,
}

/// Where a clip factor is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClipSource {
    /// The run does not clip.
    Never,
    /// The update itself, as it was made or as the run's log has it.
    Run,
    /// The gradient of another batch than the update's.
    Batch,
    /// Nowhere: the threshold is not known, and 1 stands in.
    Unknown,
}

impl Clip {
    /// Of an update of a run that scales gradients down to `max_norm` (0: never; `None`: not known), with the norm
    /// of its gradient where the run logged it, and that of the batch at hand; `None` where neither norm is there and
    /// one is needed.
    pub fn of(max_norm: Option<f64>, logged: Option<f64>, batch: Option<f64>) -> Option<Self> {
        Some(match (max_norm, logged, batch) {
            (None, ..) => Clip { factor: 1.0, source: ClipSource::Unknown },
            (Some(max_norm), ..) if max_norm <= 0.0 => Clip { factor: 1.0, source: ClipSource::Never },
            (Some(max_norm), Some(norm), _) => Clip::made(factor(norm, max_norm)),
            (Some(max_norm), None, Some(norm)) => {
                Clip { factor: factor(norm, max_norm), source: ClipSource::Batch }
            }
            (Some(_), None, None) => return None,
        })
    }

    /// Of an update that was made with it.
    pub fn made(factor: f64) -> Self {
        Clip { factor, source: ClipSource::Run }
    }

    /// Whether it is the update's own.
    pub fn is_known(self) -> bool {
        matches!(self.source, ClipSource::Never | ClipSource::Run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_gradients_are_shortened() {
        let g = Values::F64(vec![3.0, 4.0]);
        assert_eq!(clip_factor(&g, 6.0), (5.0, 1.0));
        assert_eq!(clip_factor(&g, 0.0), (5.0, 1.0));
        assert_eq!(clip_factor(&g, 1.0), (5.0, 1.0 / (5.0 + 1e-6)));
    }

    #[test]
    fn the_log_goes_before_the_batch_and_nothing_is_made_of_an_unknown_threshold() {
        let of = |max_norm, logged| Clip::of(max_norm, logged, Some(8.0)).expect("a norm is there");
        let half = factor(2.0, 1.0);
        assert_eq!(of(Some(1.0), Some(2.0)), Clip { factor: half, source: ClipSource::Run });
        assert_eq!(of(Some(1.0), None), Clip { factor: factor(8.0, 1.0), source: ClipSource::Batch });
        assert_eq!(of(Some(0.0), Some(2.0)), Clip { factor: 1.0, source: ClipSource::Never });
        assert_eq!(of(None, Some(2.0)), Clip { factor: 1.0, source: ClipSource::Unknown });
        assert!(of(Some(1.0), Some(2.0)).is_known() && !of(Some(1.0), None).is_known());
        assert!(of(Some(0.0), None).is_known() && !of(None, None).is_known());
        assert_eq!(Clip::of(Some(1.0), None, None), None);
    }
}
