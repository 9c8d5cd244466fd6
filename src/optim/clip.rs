//! Clipping of the gradient by its norm, as PyTorch's `clip_grad_norm_`.

use rayon::prelude::*;

use crate::values::Values;

/// Numbers a thread sums at a time; fixed, so that the sum does not depend on the number of threads.
const CHUNK: usize = 1 << 14;

/// (norm of the gradient, the factor that brings it down to `max_norm`): 1 where it is not larger, or
/// where `max_norm` is 0, which switches clipping off.
///
/// The factor is max_norm/(norm + 1e-6), PyTorch's.
pub fn clip_factor(gradient: &Values, max_norm: f64) -> (f64, f64) {
    let squares: Vec<f64> = match gradient {
        Values::F32(g) => {
            g.par_chunks(CHUNK).map(|g| g.iter().map(|&x| f64::from(x).powi(2)).sum()).collect()
        }
        Values::F64(g) => g.par_chunks(CHUNK).map(|g| g.iter().map(|x| x * x).sum()).collect(),
    };
    let norm = squares.iter().sum::<f64>().sqrt();
    let factor = max_norm / (norm + 1e-6);
    (norm, if max_norm > 0.0 && factor < 1.0 { factor } else { 1.0 })
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
}
