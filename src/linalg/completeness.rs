//! Whether a list of extreme eigenvalues skips one, and how sure that is.
//!
//! **How.** Lanczos from a random vector orthogonal to what was found, without a basis: two vectors suffice, since only
//! whether *any* Ritz value lies beyond the last one found is asked, and copies do no harm. T − b I has a positive
//! pivot exactly if a Ritz value lies above b, so no eigenvalue is ever computed.
//!
//! **How sure.** Of an eigenvalue λ* beyond the last one reported, L, with γ = (λ* − L)/(L − λmin), a random vector has
//! the share |z|/√n, z normal, and m products show it if e^((m−½) acosh(1+2γ)) > 2√n/|z| (the polynomial of degree m−1
//! that is largest at λ* while (L − x)p(x)² is bounded over the others is Chebyshev's of the fourth kind). |z| < 0.0125
//! has probability 1%: so ½ + ln(160√n)/acosh(1+2γ) products see it in 99 cases of 100. What is nearer to L than that
//! may be missed more often. For the smallest eigenvalues all of this is mirrored.
//!
//! **References.** Kuczyński and Woźniakowski 1992, SIAM J. Matrix Anal. Appl. 13 (Lanczos from a random start); Parlett
//! 1998, The Symmetric Eigenvalue Problem, sections 3.3 (pivots count eigenvalues) and 13.8 (misconvergence).

use super::operator::Products;
use super::orthonormal::{ROUNDING, remove};
use super::{panel, probes};
use crate::base::error::Result;
use crate::base::observer::Observer;
use crate::base::random::Random;
use crate::base::vectors::Vectors;

/// What is known about eigenvalues that a list may skip.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Completeness {
    /// The list was made from the whole spectrum.
    Whole,
    /// So many products saw nothing beyond; one with a larger γ would have been seen with 99% probability.
    Seen {
        /// Of the check.
        products: usize,
        /// What the gap that the search saw asks for: more than these where no more were left.
        asked: usize,
        /// (missed − last reported)/(last reported − λmin).
        gamma: f64,
    },
    /// Something lies beyond, and the products ran out before it was found.
    Missing,
    /// The check takes so many products at the least, and so many were left: it was not made.
    Unmade {
        /// What the check takes.
        asked: usize,
        /// What was left for it.
        left: usize,
    },
    /// No pair is converged: there is nothing to check.
    Unsettled,
    /// The check was not asked for.
    Unasked,
}

impl Completeness {
    /// Whether a list may skip an eigenvalue against what was asked.
    pub fn doubtful(self) -> bool {
        matches!(self, Completeness::Missing | Completeness::Unmade { .. })
    }

    /// In words.
    pub fn describe(self) -> String {
        match self {
            Completeness::Whole => "the whole spectrum is known".into(),
            Completeness::Seen { products, asked, gamma } => {
                let short = match asked > products && gamma > 0.0 {
                    true => format!(" (the gap that the search saw asks for {asked}, and no more were left)"),
                    false => String::new(),
                };
                format!(
                    "{products} products from a second random start{short} saw nothing beyond the list; a missed \
                     eigenvalue with gamma = (missed - last reported)/(last reported - lambda_min) above {gamma:.4} \
                     would have been seen with 99% probability (for the smallest, mirrored)"
                )
            }
            Completeness::Missing => {
                "incomplete: an eigenvalue lies beyond the list that the products did not suffice to find".into()
            }
            Completeness::Unmade { asked, left } => format!(
                "not checked: the check takes at least {asked} products and {left} were left, so the list may skip eigenvalues"
            ),
            Completeness::Unsettled => "not checked: no eigenvalue is converged".into(),
            Completeness::Unasked => {
                "not checked (--no-completeness): the list may skip eigenvalues, copies of multiple ones above all".into()
            }
        }
    }
}

/// ln(160 √n): e to it is 2√n over the |z| that is undercut once in a hundred times.
fn depth(n: usize) -> f64 {
    (160.0 * (n as f64).sqrt()).ln()
}

/// Products of a check at the least.
pub fn least(n: usize) -> usize {
    8.max((1.5 * (n as f64).ln()).ceil() as usize)
}

/// Products that see an eigenvalue with this γ with 99% probability.
pub fn products(n: usize, gamma: f64) -> usize {
    // acosh(1 + 2γ), without cancellation
    let rate = 2.0 * gamma.max(f64::MIN_POSITIVE).sqrt().asinh();
    (0.5 + depth(n) / rate).min(n as f64).ceil() as usize
}

/// The γ above which so many products see an eigenvalue with 99% probability.
pub fn gamma(n: usize, products: usize) -> f64 {
    (depth(n) / (products as f64 - 0.5) / 2.0).sinh().powi(2)
}

/// The gap γ that Ritz values show at the end of a list: between its last value and the next ones on either side that
/// are told apart from it, inside the list by more than `near`, behind it by more than their own residuals too. The list
/// and the Ritz values with their residuals behind it go from the end of the spectrum inwards. `None` where none is.
pub fn shown(list: &[f64], rest: &[(f64, f64)], near: f64) -> Option<f64> {
    let (last, (far, _)) = (*list.last()?, *rest.last()?);
    let apart = |x: f64, residual: f64| Some((x - last).abs()).filter(|gap| *gap > residual.max(near));
    let outside = list.iter().rev().find_map(|x| apart(*x, near));
    let inside = rest.iter().find_map(|(x, residual)| apart(*x, *residual))?;
    Some(outside.map_or(inside, |outside| outside.min(inside)) / (last - far).abs())
}

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
    fn effort_and_gap_are_each_others_inverse() {
        for n in [2, 100, 1_000_000] {
            for m in [8, 21, 60] {
                assert!(products(n, gamma(n, m) * (1.0 + 1e-9)) <= m);
                assert!((gamma(n, m) * 0.98 > 0.0) && products(n, gamma(n, m) * 0.98) >= m.min(n));
                // the formula as it is written
                let written = 0.5 + depth(n) / (1.0 + 2.0 * gamma(n, m)).acosh();
                assert!((written - m as f64).abs() < 1e-6, "{written} {m}");
            }
        }
        assert_eq!((least(1), least(1000), least(1_000_000)), (8, 11, 21));
        // {12, 12, 10.5} over a bulk in ±9
        assert_eq!(products(1_000_000, 1.5 / 19.5), 23);
        assert_eq!(shown(&[12.0, 10.5], &[(9.0, 0.2), (0.0, 2.0), (-9.0, 0.1)], 0.01), Some(1.5 / 19.5));
    }

    #[test]
    fn gaps_within_the_tolerance_are_none() {
        let exact = |values: &[f64]| values.iter().map(|x| (*x, 0.0)).collect::<Vec<_>>();
        assert_eq!(shown(&[5.0, 4.0, 4.0], &exact(&[4.0, 3.5, 0.0]), 0.1), Some(0.5 / 4.0));
        assert_eq!(shown(&[5.0, 4.9], &exact(&[4.0, 0.0]), 0.05), Some((5.0 - 4.9) / 4.9));
        // a Ritz value that may as well be the same shows none
        assert_eq!(shown(&[4.0], &[(3.9, 0.5), (3.0, 0.5), (0.0, 0.1)], 0.1), Some(0.25));
        assert_eq!(shown(&[4.0], &exact(&[4.0, 4.0]), 0.1), None);
        assert_eq!(shown(&[4.0], &[], 0.1), None);
        assert_eq!(shown(&[], &exact(&[1.0]), 0.1), None);
    }

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
