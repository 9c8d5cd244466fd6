//! Lanczos without a basis, in the complement of what was found: whether any Ritz value lies beyond.

use crate::base::error::Result;
use crate::base::observer::Observer;
use crate::base::random::Random;
use crate::base::vectors::Vectors;
use crate::linalg::operator::Products;
use crate::linalg::orthonormal::{ROUNDING, remove};
use crate::linalg::{panel, probes};

/// What a look beyond a list saw.
pub enum Look {
    /// A Ritz value beyond.
    Something,
    /// None, after so many products; `all` where their space was invariant, so that none is there.
    Nothing {
        /// Of the look.
        products: usize,
        /// Whether nothing was left to look at.
        all: bool,
    },
}

/// Looks for eigenvalues above `above` and below `below` in the complement of the orthonormal `locked`, for so many
/// products or until one is seen.
///
/// # Errors
/// Where a product fails or the observer was told to stop.
pub fn look(
    products: &Products,
    locked: &Vectors,
    (above, below): (f64, f64),
    effort: usize,
    random: &mut Random,
    observer: &dyn Observer,
) -> Result<Look> {
    let (n, dtype) = (products.n(), products.dtype());
    let deflate = |w: &mut Vectors| {
        for _ in 0..2 {
            remove(w, locked);
        }
    };
    let mut q = probes::sphere(1, n, dtype, random);
    deflate(&mut q);
    let mut known = Vectors::zeros(0, n, dtype);
    // β² over the last pivots of T − above and T − below
    let (mut high, mut low, mut beta_sq, mut size) = (f64::NEG_INFINITY, f64::INFINITY, 0.0, 0.0f64);
    for step in 0..effort.min(n - locked.k()) {
        observer.check()?;
        let state = format!("checking that none was skipped, product {} of {effort}", step + 1);
        observer.progress(step as u64, effort as u64, &state);
        if panel::normalise(&mut q).is_none() {
            return Ok(Look::Nothing { products: step, all: true });
        }
        let mut w = products.of(&q)?;
        size = size.max(panel::norms(&w)[0]);
        // the last two vectors, twice: in f32 once leaves too much
        known.append(&q);
        let alpha = remove(&mut w, &known)[[known.k() - 1, 0]];
        deflate(&mut w);
        remove(&mut w, &known);
        (high, low) = (alpha - above - beta_sq / high, alpha - below - beta_sq / low);
        let beta = panel::norms(&w)[0];
        let invariant = beta <= ROUNDING * dtype.epsilon() * size;
        // a pivot of 0 is the bound itself, and beyond it with whatever follows
        if high > 0.0 || low < 0.0 || !invariant && (high == 0.0 || low == 0.0) {
            return Ok(Look::Something);
        }
        if invariant {
            return Ok(Look::Nothing { products: step + 1, all: true });
        }
        beta_sq = beta * beta;
        known = q;
        q = w;
    }
    let spent = effort.min(n - locked.k());
    Ok(Look::Nothing { products: spent, all: spent == n - locked.k() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::observer::Silent;
    use crate::base::random;
    use crate::base::values::DType;
    use crate::linalg::operator::DenseOperator;
    use ndarray::{Array1, Array2};

    #[test]
    fn a_look_sees_what_lies_beyond_and_nothing_else() {
        // in units of any size
        for scale in [1e-15, 1.0, 1e15] {
            let spectrum: Array1<f64> = (0..60).map(|i| scale * (f64::from(i) / 60.0 - 0.5)).collect();
            let operator = DenseOperator { matrix: Array2::from_diag(&spectrum) };
            let see = |above: f64, below: f64, locked: &Vectors| {
                let random = &mut random::stream(4, 0, "look");
                let products = Products::new(&operator);
                let bounds = (scale * above, scale * below);
                let look = look(&products, locked, bounds, 40, random, &Silent).expect("finite");
                matches!(look, Look::Something)
            };
            let none = Vectors::zeros(0, 60, DType::F64);
            assert!(see(0.45, -9.0, &none) && see(9.0, -0.45, &none) && !see(0.5, -0.51, &none));
            // the last two locked
            let mut ends = Vectors::zeros(2, 60, DType::F64);
            if let crate::base::values::Values::F64(v) = ends.values_mut() {
                (v[58], v[60 + 59]) = (1.0, 1.0);
            }
            assert!(!see(0.46, -0.51, &ends) && see(0.44, -0.51, &ends));
        }
    }

    #[test]
    fn an_invariant_space_leaves_nothing_to_miss() {
        let operator = DenseOperator { matrix: Array2::eye(30) };
        let products = Products::new(&operator);
        let none = Vectors::zeros(0, 30, DType::F64);
        let random = &mut random::stream(4, 0, "look");
        let look = look(&products, &none, (1.1, f64::NEG_INFINITY), 8, random, &Silent).expect("finite");
        assert!(matches!(look, Look::Nothing { products: 1, all: true }));
    }
}
