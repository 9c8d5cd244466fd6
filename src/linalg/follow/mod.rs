//! The largest eigenpair of a matrix that changes a little from step to step.
//!
//! **Method.** The search space V starts with the last step's vector and grows by one product at a time:
//! Rayleigh-Ritz on V gives (θ, x), its residual r = A x − θ x comes from the saved products W = A V, and r is the
//! next direction. That is Lanczos with full reorthogonalisation, which may be given other directions too. Beside
//! the wanted pair the leading Ritz vectors are retained. (Dividing the residual by θ − A~, A~ what these know of A, as
//! Davidson would, saved no products on training runs.)
//!
//! **Error.** ‖A x − θ x‖ from the products with the matrix of this step: some eigenvalue lies within it. That it
//! is the largest is checked at the first step and every [`CHECK`] steps by products from a random start, as many as
//! [`completeness`] asks for or the step's products allow: 99 times in 100 they see one beyond the γ that
//! [`Following::describe_check`] states. One that overtakes from nowhere may go unnoticed until then; the leading vector
//! beside the wanted one is multiplied every [`REFRESH`] steps, and at every step when its value was within a tenth of
//! the wanted value.
//!
//! **Norm.** ‖A‖_F² is Σ‖A v‖² over the space, whose products are there, and E‖A z‖² of random signs z without
//! their part in the space: two products a step where plain Hutchinson, in which the largest eigenvalue is most of the
//! variance, would take hundreds for the same error.
//!
//! **Cost.** Two to four products on matrices that change slowly; four to six in training at 1e-2; the norm's beside.
//!
//! **References.** Parlett 1998, The Symmetric Eigenvalue Problem, chapters 11-13; Davidson 1975; Meyer, Musco, Musco
//! and Woodruff 2021, Hutch++, arXiv 2010.09649 (the split of the norm).

mod following;
mod retained;
mod space;

pub use following::{CHECK, Followed, Following};

use following::REFINE;
use space::{Space, Top};

use super::operator::{LinearOperator, Products};
use super::orthonormal::ROUNDING;
use super::trace::Estimate;
use super::{completeness, orthonormal, panel, probes};
use crate::base::error::Result;
use crate::base::random::Random;
use crate::base::vectors::Vectors;

/// Steps between products with the leading vector beside the wanted one.
pub const REFRESH: u64 = 5;

/// A random direction.
fn draw(products: &Products, random: &mut Random) -> Vectors {
    probes::sphere(1, products.n(), products.dtype(), random)
}

/// Follows the largest eigenpair.
pub struct Follower {
    following: Following,
    /// Orthonormal, the wanted one first, and their Ritz values.
    kept: Option<(Vectors, Vec<f64>)>,
    steps: u64,
}

impl Follower {
    /// Knows nothing yet.
    pub fn new(following: Following) -> Self {
        Follower { following, kept: None, steps: 0 }
    }

    /// The vectors kept (orthonormal, the wanted one first), their Ritz values and the steps done: all that
    /// the next step depends on.
    pub fn state(&self) -> Option<(&Vectors, &[f64], u64)> {
        self.kept.as_ref().map(|(vectors, values)| (vectors, values.as_slice(), self.steps))
    }

    /// Goes on from a [`state`](Self::state).
    pub fn restore(&mut self, vectors: Vectors, values: Vec<f64>, steps: u64) {
        assert_eq!(vectors.k(), values.len(), "a value for each vector");
        (self.kept, self.steps) = (Some((vectors, values)), steps);
    }

    /// The largest eigenpair of the next matrix.
    ///
    /// # Errors
    /// Where a product fails or is not finite, or LAPACK fails.
    pub fn step(&mut self, operator: &dyn LinearOperator, random: &mut Random) -> Result<Followed> {
        let products = Products::new(operator);
        let mut space = Space::new(&products);
        let limit = self.following.max_matvecs.max(1).min(operator.n());
        match &self.kept {
            None => self.look_around(&mut space, limit, random)?,
            Some((kept, values)) => {
                space.expand(kept.slice(0..1))?;
                if self.steps.is_multiple_of(CHECK) {
                    self.look_around(&mut space, limit, random)?;
                } else if values.len() > 1 && limit > 1 && self.refreshes(values) {
                    space.expand(kept.slice(1..2))?;
                }
            }
        };
        let (top, converged) = loop {
            let top = space.top()?;
            let rounding = ROUNDING * operator.dtype().epsilon() * space.size();
            let converged = top.residual <= (self.following.tol * top.value.abs()).max(rounding);
            let exhausted = space.m() >= limit;
            if exhausted || (converged && space.m() >= 2) {
                break (top, converged);
            }
            if !space.expand(top.residual_vector.clone())? && !space.expand(draw(&products, random))? {
                break (top, converged);
            }
        };
        let overlap = self.kept.as_ref().map(|(kept, _)| {
            let overlap = panel::gram(&kept.slice(0..1), &top.vector)[[0, 0]].abs();
            overlap.min(1.0)
        });
        let matvecs = space.m();
        let frobenius_sq = self.norm(&space, random)?;
        self.kept = Some(retained::next(space, &top, self.kept.as_ref(), self.following.retained)?);
        self.steps += 1;
        let Top { value, residual, .. } = top;
        Ok(Followed { value, residual, converged, overlap, matvecs, frobenius_sq })
    }

    /// Adds the Krylov space of a random vector beside what is there, as deep as [`completeness`] asks for the gap
    /// that its Ritz values show, within what [`Following::check_matvecs`] leaves for convergence.
    fn look_around(&self, space: &mut Space, limit: usize, random: &mut Random) -> Result<()> {
        let (n, before) = (space.products().n(), space.m());
        let most = limit.saturating_sub(before + REFINE).max(1).min(limit - before);
        let mut direction = draw(space.products(), random);
        for looked in 0..most {
            if looked >= completeness::least(n) {
                let ritz = space.ritz()?;
                let near = self.following.tol * ritz[0].abs();
                let rest: Vec<_> = ritz[1..].iter().map(|value| (*value, near)).collect();
                let gamma = completeness::shown(&ritz[..1], &rest, near);
                if gamma.is_none_or(|gamma| looked >= completeness::products(n, gamma)) {
                    break;
                }
            }
            if !space.expand(direction)? {
                break;
            }
            direction = space.last_product();
        }
        Ok(())
    }

    fn norm(&self, space: &Space, random: &mut Random) -> Result<Estimate> {
        let exact = panel::norms(&space.w).iter().map(|x| x * x).sum();
        let (products, room) = (space.products(), space.products().n() - space.m());
        if self.following.probes == 0 || room == 0 {
            return Ok(Estimate { exact, samples: vec![] });
        }
        let mut z = probes::rademacher(self.following.probes, products.n(), products.dtype(), random);
        orthonormal::remove(&mut z, &space.v);
        let samples = panel::norms(&products.of(&z)?).iter().map(|x| x * x).collect();
        Ok(Estimate { exact, samples })
    }

    fn refreshes(&self, values: &[f64]) -> bool {
        self.steps.is_multiple_of(REFRESH) || values[0] - values[1] < 0.1 * values[0].abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, Axis};

    use crate::base::random;
    use crate::base::values::DType;
    use crate::linalg::dense;
    use crate::linalg::operator::DenseOperator;
    use crate::linalg::prescribed::with_spectrum;

    const FOLLOWING: Following = Following { tol: 1e-2, max_matvecs: 40, retained: 8, probes: 2 };

    /// Turns the matrix by a small angle in random planes.
    fn turn(a: &Array2<f64>, angle: f64, seed: u64) -> Array2<f64> {
        let n = a.nrows();
        let noise = probes::sphere(n, n, DType::F64, &mut random::stream(seed, 0, "turn"));
        let noise = Array2::from_shape_vec((n, n), noise.into_values().to_f64()).expect("n by n");
        let skew = (&noise - &noise.t()) * (angle / 2.0);
        // the Cayley transform to third order
        let r =
            Array2::<f64>::eye(n) + &skew * 2.0 + skew.dot(&skew) * 2.0 + skew.dot(&skew).dot(&skew) * 2.0;
        let turned = r.dot(a).dot(&r.t());
        (&turned + &turned.t()) * 0.5
    }

    fn spectrum(n: usize) -> Vec<f64> {
        (0..n).map(|i| if i < 10 { 10.0 / (1.0 + i as f64 * 0.4) } else { 0.3 * (i as f64).sin() }).collect()
    }

    /// Follows matrices; says (product counts, steps at which the largest was not the one reported).
    fn follow(matrices: impl Iterator<Item = Array2<f64>>) -> (Vec<usize>, Vec<usize>) {
        let mut follower = Follower::new(FOLLOWING);
        let (mut products, mut wrong) = (vec![], vec![]);
        for (t, matrix) in matrices.enumerate() {
            let (truth, _) = dense::eigh(&matrix).expect("decomposed");
            let largest = truth[truth.len() - 1];
            let operator = DenseOperator { matrix };
            let random = &mut random::stream(3, t as u64, "follow");
            let found = follower.step(&operator, random).expect("followed");
            assert!(found.converged && found.residual <= 1e-2 * found.value);
            // the residual is true: recomputed from the matrix, and it bounds the error
            let (kept, _, _) = follower.state().expect("a state");
            let product = operator.apply(&kept.slice(0..1)).expect("applied").row(0);
            let x = kept.row(0);
            let again: f64 = product.iter().zip(&x).map(|(p, x)| (p - found.value * x).powi(2)).sum();
            assert!((again.sqrt() - found.residual).abs() < 1e-10);
            let gram = panel::gram(kept, kept) - Array2::<f64>::eye(kept.k());
            assert!(gram.iter().all(|x| x.abs() < 1e-10));
            let nearest = truth.iter().map(|x| (x - found.value).abs()).fold(f64::INFINITY, f64::min);
            assert!(nearest <= found.residual + 1e-12);
            if (largest - found.value).abs() > found.residual + 1e-9 {
                wrong.push(t);
            }
            products.push(found.matvecs);
        }
        (products, wrong)
    }

    #[test]
    fn a_turning_matrix_costs_few_products() {
        let mut matrix = with_spectrum(&spectrum(200), 1).matrix;
        let matrices = (0..60).map(|t| {
            matrix = turn(&matrix, 0.02, t);
            matrix.clone()
        });
        let (mut products, wrong) = follow(matrices);
        assert!(wrong.is_empty(), "{wrong:?}");
        products.sort_unstable();
        assert!(products[30] <= 4, "{products:?}");
    }

    #[test]
    fn the_norm_is_unbiased_and_better_than_hutchinsons() {
        let matrix = with_spectrum(&spectrum(200), 6).matrix;
        let truth = matrix.iter().map(|x| x * x).sum::<f64>();
        let operator = DenseOperator { matrix };
        let mut follower = Follower::new(FOLLOWING);
        let mut samples = Vec::new();
        for t in 0..400 {
            let random = &mut random::stream(7, t, "follow");
            let found = follower.step(&operator, random).expect("followed").frobenius_sq;
            samples.extend(found.samples.iter().map(|rest| found.exact + rest));
        }
        let (mean, error) = crate::stats::mean_and_error(&samples).expect("many");
        assert!((mean - truth).abs() < 4.0 * error, "{mean} ± {error}, {truth}");
        // of plain Hutchinson on A², the standard deviation is √2 times that norm without its diagonal
        let plain = (2.0 * spectrum(200).iter().map(|x| x.powi(4)).sum::<f64>()).sqrt();
        let deviation = error * (samples.len() as f64).sqrt();
        assert!(deviation < 0.75 * plain, "{deviation} {plain}");
    }

    #[test]
    fn an_eigenvalue_that_overtakes_is_found() {
        // the tenth rises from the bulk and passes the largest at step 20
        let base = with_spectrum(&spectrum(120), 2);
        let (_, vectors) = dense::eigh(&base.matrix).expect("decomposed");
        let rising = vectors.column(40).to_owned().insert_axis(Axis(1));
        let outer = rising.dot(&rising.t());
        let (_, wrong) = follow((0..60).map(|t| &base.matrix + &(&outer * (0.5 * t as f64))));
        let passed = 20;
        assert!(wrong.iter().all(|t| (passed..passed + CHECK as usize).contains(t)), "{wrong:?}");
    }

    #[test]
    fn a_state_is_all_the_next_step_depends_on() {
        let matrix = with_spectrum(&spectrum(80), 4).matrix;
        let operator = |t: u64| DenseOperator { matrix: turn(&matrix, 0.05, t) };
        let step = |follower: &mut Follower, t: u64| {
            let random = &mut random::stream(5, t, "follow");
            follower.step(&operator(t), random).expect("followed")
        };
        let mut whole = Follower::new(FOLLOWING);
        (0..19).for_each(|t| {
            step(&mut whole, t);
        });
        let (vectors, values, steps) = whole.state().expect("a state");
        let mut cut = Follower::new(FOLLOWING);
        cut.restore(vectors.clone(), values.to_vec(), steps);
        for t in 19..24 {
            assert_eq!(step(&mut whole, t), step(&mut cut, t));
        }
    }

    #[test]
    fn a_tiny_or_zero_matrix_is_no_trouble() {
        for matrix in [Array2::zeros((3, 3)), Array2::<f64>::eye(1), Array2::eye(4)] {
            let operator = DenseOperator { matrix };
            let mut follower = Follower::new(FOLLOWING);
            for t in 0..45 {
                let random = &mut random::stream(5, t, "follow");
                let found = follower.step(&operator, random).expect("followed");
                assert!(found.converged && found.matvecs <= 4);
            }
        }
    }
}
