//! Stochastic Lanczos quadrature: the spectral density of a matrix from its products with random probes.
//!
//! **What.** For a probe z of independent signs, v = z/√n, m steps of Lanczos give nodes θ and weights w with
//! Σ w f(θ) = vᵀ f(A) v for every polynomial f of degree up to 2m−1. The mean over probes estimates
//! tr f(A)/n without bias for those, and closely for smooth f.
//!
//! **Error.** Probes are independent: the spread of their values is the standard error. It says nothing of the
//! bias of functions that a polynomial of degree 2m−1 does not follow, such as steps.
//!
//! **Cost.** m products per probe, all probes at once; full reorthogonalisation, so no ghosts.
//!
//! References: Golub and Meurant 2010, Matrices, Moments and Quadrature; Ghorbani, Krishnan and Xiao 2019,
//! arXiv 1901.10159.

use super::krylov::Krylov;
use super::operator::{LinearOperator, Products};
use super::probes;
use crate::base::error::Result;
use crate::base::observer::Observer;
use crate::base::random::Random;
use crate::base::vectors::Vectors;

/// Nodes and weights of one probe; the weights sum to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Measure {
    /// θ, ascending.
    pub nodes: Vec<f64>,
    /// w.
    pub weights: Vec<f64>,
}

impl Measure {
    /// Σ w f(θ).
    pub fn integral(&self, f: impl Fn(f64) -> f64) -> f64 {
        self.nodes.iter().zip(&self.weights).map(|(node, weight)| weight * f(*node)).sum()
    }

    /// (lower, upper) bounds on the share of this measure in [−a, a], from the Chebyshev-Markov-Stieltjes
    /// inequalities: the mass between two nodes is at least that of the nodes strictly between, and at
    /// most that with the next node on either side.
    pub fn mass_within(&self, a: f64) -> (f64, f64) {
        let inside: Vec<usize> = (0..self.nodes.len()).filter(|&i| self.nodes[i].abs() <= a).collect();
        let total = |range: std::ops::Range<usize>| self.weights[range].iter().sum::<f64>();
        let (first, end) = match (inside.first(), inside.last()) {
            (Some(&first), Some(&last)) => (first, last + 1),
            _ => {
                let at = self.nodes.partition_point(|node| *node < 0.0);
                (at, at)
            }
        };
        let lower = if end - first > 2 { total(first + 1..end - 1) } else { 0.0 };
        (lower, total(first.saturating_sub(1)..(end + 1).min(self.nodes.len())))
    }
}

/// The measures of `count` probes after `depth` steps each, `group` probes at a time, and the products spent.
///
/// # Errors
/// Where a product fails or is not finite, LAPACK fails, or the observer was told to stop.
pub fn quadrature(
    operator: &dyn LinearOperator,
    count: usize,
    depth: usize,
    group: usize,
    random: &mut Random,
    observer: &dyn Observer,
) -> Result<(Vec<Measure>, usize)> {
    let n = operator.n();
    let (mut measures, products) = (Vec::new(), Products::new(operator));
    for start in (0..count).step_by(group.max(1)) {
        let size = group.max(1).min(count - start);
        // one by one, so that the probes do not depend on the group
        let probe = |_| probes::rademacher(1, n, operator.dtype(), random);
        let begin = |probe| Krylov::new(&products, probe, None, depth + 1);
        let mut lanes: Vec<Krylov> = (0..size).map(probe).map(begin).collect();
        for step in 0..depth.min(n) {
            observer.check()?;
            let state = format!("probes {} to {} of {count}, step {step}", start + 1, start + size);
            observer.progress((start * depth + step * size) as u64, (count * depth) as u64, &state);
            advance(&products, &mut lanes)?;
        }
        for lane in lanes {
            measures.push(measure(&lane)?);
        }
    }
    Ok((measures, products.spent()))
}

/// One Lanczos step of every probe whose Krylov space is not invariant yet, in one product.
fn advance(products: &Products, lanes: &mut [Krylov]) -> Result<()> {
    let mut open: Vec<&mut Krylov> = lanes.iter_mut().filter(|lane| lane.pending() > 0).collect();
    let mut x = Vectors::zeros(0, products.n(), products.dtype());
    open.iter().for_each(|lane| x.append(&lane.waiting()));
    let y = products.of(&x)?;
    drop(x);
    open.iter_mut().enumerate().for_each(|(i, lane)| lane.extend(y.slice(i..i + 1)));
    Ok(())
}

/// Golub and Welsch: the nodes are the Ritz values, the weights what their vectors have of the start.
fn measure(lane: &Krylov) -> Result<Measure> {
    let (nodes, vectors, _) = lane.ritz()?;
    Ok(Measure { nodes: nodes.to_vec(), weights: vectors.row(0).iter().map(|x| x * x).collect() })
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::base::observer::Silent;
    use crate::base::random;
    use crate::linalg::dense;
    use crate::linalg::operator::DenseOperator;
    use crate::linalg::prescribed::with_spectrum;

    fn measures(operator: &dyn LinearOperator, count: usize, depth: usize) -> Vec<Measure> {
        let random = &mut random::stream(5, 0, "quadrature");
        quadrature(operator, count, depth, 4, random, &Silent).expect("finite").0
    }

    #[test]
    fn moments_of_a_probe_are_exact_to_twice_the_depth() {
        let operator =
            with_spectrum(&(0..40).map(|i| (i as f64 / 39.0).powi(2) - 0.3).collect::<Vec<_>>(), 3);
        let depth = 6;
        let found = &measures(&operator, 1, depth)[0];
        let mut probe =
            probes::rademacher(1, 40, operator.dtype(), &mut random::stream(5, 0, "quadrature")).row(0);
        probe.iter_mut().for_each(|x| *x /= 40f64.sqrt());
        let (v, mut x) = (ndarray::Array1::from(probe.clone()), ndarray::Array1::from(probe));
        for k in 0..=2 * depth {
            let moment = found.integral(|node| node.powi(k as i32));
            let error = (moment - v.dot(&x)).abs();
            assert_eq!(error < 1e-14, k < 2 * depth, "moment {k}: {error:.1e}");
            x = operator.matrix.dot(&x);
        }
    }

    #[test]
    fn the_edges_of_wigner_and_of_marchenko_and_pastur() {
        use rand_distr::{Distribution, StandardNormal};
        let n = 400;
        let mut random = random::stream(9, 0, "matrix");
        let mut draw = |rows: usize, columns: usize| -> Array2<f64> {
            Array2::from_shape_fn((rows, columns), |_| StandardNormal.sample(&mut random))
        };
        let g = draw(n, n);
        let wigner = DenseOperator { matrix: (&g + &g.t()) / (2.0 * n as f64).sqrt() };
        let w = draw(n, 2 * n);
        let wishart = DenseOperator { matrix: w.dot(&w.t()) / (2.0 * n as f64) };
        // edges ±2 and (1 ± √½)²; at this size the extremes lie within a few n^-2/3 of them
        for (operator, low, high) in [(wigner, -2.0, 2.0), (wishart, 0.085_79, 2.914_21)] {
            for measure in measures(&operator, 3, 60) {
                let (first, last) = (measure.nodes[0], measure.nodes[measure.nodes.len() - 1]);
                assert!((first - low).abs() < 0.06 && (last - high).abs() < 0.1, "{first} {last}");
            }
        }
    }

    #[test]
    fn probes_do_not_depend_on_the_group_and_invariant_spaces_end_early() {
        let operator = with_spectrum(&[3.0, 3.0, 3.0, 3.0, -1.0, -1.0, 0.0, 0.0], 1);
        let run = |group| {
            quadrature(&operator, 5, 8, group, &mut random::stream(2, 0, "g"), &Silent).expect("finite").0
        };
        let (one, three) = (run(1), run(3));
        for (a, b) in one.iter().zip(&three) {
            // whatever rounding adds behind a breakdown has no weight
            let share = |eigenvalue: f64| a.integral(|x| f64::from(u8::from((x - eigenvalue).abs() < 1e-6)));
            assert!((share(3.0) + share(-1.0) + share(0.0) - 1.0).abs() < 1e-9, "{a:?}");
            assert!((a.integral(|x| x.powi(3)) - b.integral(|x| x.powi(3))).abs() < 1e-12);
        }
        // signs give the trace of a matrix with constant diagonal part exactly only on average
        let trace: f64 = one.iter().map(|m| 8.0 * m.integral(|x| x)).sum::<f64>() / 5.0;
        assert!((trace - 10.0).abs() < 8.0);
    }

    #[test]
    fn the_mass_around_zero_is_bracketed() {
        let spectrum: Vec<f64> = (0..200).map(|i| (i as f64 - 99.5) / 100.0).collect();
        let operator = with_spectrum(&spectrum, 8);
        let (values, vectors) = dense::eigh(&operator.matrix).expect("decomposed");
        let mut random = random::stream(5, 0, "quadrature");
        for measure in measures(&operator, 4, 20) {
            let probe =
                ndarray::Array1::from(probes::rademacher(1, 200, operator.dtype(), &mut random).row(0));
            let shares = vectors.t().dot(&probe).mapv(|x| x * x / 200.0);
            for a in [0.1, 0.3, 0.6] {
                let (lower, upper) = measure.mass_within(a);
                // what the probe has there, from the eigenvectors
                let inside = values.iter().zip(&shares).filter(|(value, _)| value.abs() <= a);
                let exact: f64 = inside.map(|(_, share)| share).sum();
                assert!(lower <= exact + 1e-12 && exact <= upper + 1e-12, "{a}: {lower} {exact} {upper}");
                // no more apart than two nodes at either end, whose weights are about π/40
                assert!(upper - lower < 4.0 * 0.12, "{a}: {lower} {upper}");
                assert!(a < 0.2 || lower > 0.05, "{a}: {lower}");
            }
        }
    }
}
