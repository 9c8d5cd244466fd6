//! Extreme eigenpairs: what is asked of a solver, and what it answers.

use ndarray::Array2;

use super::completeness::Completeness;
use super::panel;
use crate::base::vectors::Vectors;

/// What is wanted, and what it may cost.
#[derive(Debug, Clone)]
pub struct Request {
    /// How many of the algebraically largest.
    pub top: usize,
    /// How many of the smallest.
    pub bottom: usize,
    /// A pair is converged when its residual is at most `tol`·|θ| (or at the rounding level).
    pub tol: f64,
    /// Products to spend, on the search, on verification and on the check.
    pub max_matvecs: usize,
    /// Whether to check for skipped eigenvalues.
    pub completeness: bool,
    /// Vectors multiplied at a time.
    pub block: usize,
    /// Basis vectors that fit the memory.
    pub max_basis: usize,
}

/// One eigenpair's numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ritz {
    /// θ.
    pub value: f64,
    /// ‖A v − θ v‖ for the unit vector v, recomputed; the search's estimate where products did not suffice.
    pub residual: f64,
    /// Whether the residual met the tolerance, and those of all pairs before it: else its place is not known.
    pub converged: bool,
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Eigenpairs {
    /// Largest first. Where products did not suffice for so many, the last one stands for those that are missing.
    pub top: Vec<Ritz>,
    /// Smallest first, and likewise.
    pub bottom: Vec<Ritz>,
    /// Unit eigenvectors of the pairs found, those of `top` and then those of `bottom` (of `top` alone where that is
    /// the whole spectrum).
    pub vectors: Vectors,
    /// What is known of eigenvalues the lists may skip.
    pub completeness: Completeness,
    /// All products spent, verification and check included.
    pub matvecs: usize,
}

impl Eigenpairs {
    /// The sum of the eigenvectors: what a search in a matrix that differs a little may start from.
    pub fn hint(&self) -> Vectors {
        panel::combine(&self.vectors, Array2::ones((self.vectors.k(), 1)).view())
    }

    /// The same, and the eigenvectors are given up.
    pub fn take_hint(&mut self) -> Vectors {
        let hint = self.hint();
        self.vectors = Vectors::zeros(0, hint.n(), hint.dtype());
        hint
    }

    /// Whether every pair is converged and none may be missing against what was asked.
    pub fn settled(&self) -> bool {
        !self.completeness.doubtful() && self.top.iter().chain(&self.bottom).all(|pair| pair.converged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::observer::Silent;
    use crate::base::random;
    use crate::linalg::eigsh;
    use crate::linalg::krylov::tests::with_spectrum;

    fn request(top: usize, bottom: usize) -> Request {
        Request { top, bottom, tol: 1e-3, max_matvecs: 300, completeness: true, block: 1, max_basis: 200 }
    }

    /// Spectra that make solvers skip or repeat: outliers, clusters, multiplicities, tiny gaps.
    fn spectra() -> Vec<(&'static str, Vec<f64>)> {
        let bulk = |n: usize| (0..n).map(move |i| (i as f64 / n as f64) * 2.0 - 1.0);
        let with = |outliers: &[f64]| outliers.iter().copied().chain(bulk(180)).collect::<Vec<_>>();
        vec![
            ("outliers", with(&[100.0, 50.0, 20.0, 10.0, 5.0, -30.0])),
            ("double", with(&[10.0, 10.0, 7.0, 7.0, 5.0, 4.0, -6.0, -6.0])),
            ("triple", with(&[10.0, 10.0, 10.0, 8.0, 6.0, -3.0])),
            ("cluster", with(&[10.0, 9.999, 9.998, 9.997, 9.9, 9.0, -5.0, -4.999])),
            ("tiny gap", with(&[10.0, 10.0 - 1e-9, 8.0, 6.0, 5.0, -2.0])),
            ("seven copies", with(&[4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, -4.0])),
            ("singular", (0..200).map(|i| if i < 6 { 6.0 - i as f64 } else { 0.0 }).collect()),
        ]
    }

    /// Every reported pair within its own residual of the eigenvalue of its place, and the residual true.
    fn check(name: &str, spectrum: &[f64], request: &Request, seed: u64) -> bool {
        let operator = with_spectrum(spectrum, 1000 + seed);
        let mut sorted = spectrum.to_vec();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let pairs =
            eigsh(&operator, request, None, &mut random::stream(seed, 0, "test"), &Silent).expect("solved");
        let n = sorted.len();
        for (i, pair) in pairs.top.iter().chain(&pairs.bottom).enumerate() {
            let v = ndarray::Array1::from(pairs.vectors.row(i));
            let r = operator.matrix.dot(&v) - &v * pair.value;
            let residual = r.dot(&r).sqrt();
            // two evaluations of the same small difference differ by rounding
            assert!(
                (residual - pair.residual).abs() <= 0.1 * residual + 1e-12,
                "{name} {seed}: {residual} {pair:?}"
            );
        }
        if !pairs.settled() {
            return false;
        }
        let truth = sorted.iter().take(request.top).chain(sorted.iter().rev().take(request.bottom.min(n)));
        for (pair, truth) in pairs.top.iter().chain(&pairs.bottom).zip(truth) {
            let allowed = pair.residual + 1e-10;
            assert!((pair.value - truth).abs() <= allowed, "{name}, seed {seed}: {pair:?} is not {truth}");
        }
        true
    }

    #[test]
    fn two_hundred_starts_report_no_ghost_and_skip_nothing() {
        let spectra = spectra();
        for block in [1, 2, 3] {
            let settled = (0..200)
                .filter(|&seed| {
                    let (name, spectrum) = &spectra[seed as usize % spectra.len()];
                    check(name, spectrum, &Request { block, ..request(5, 2) }, seed)
                })
                .count();
            assert!(settled > 190, "only {settled} of 200 were settled with block {block}");
        }
    }

    #[test]
    fn a_small_basis_restarts_and_finds_the_same() {
        for (name, spectrum) in spectra() {
            let small = Request { max_basis: 16, max_matvecs: 2000, ..request(3, 1) };
            check(name, &spectrum, &small, 3);
        }
    }

    #[test]
    fn too_few_products_are_admitted() {
        let spectrum: Vec<f64> = (0..300).map(|i| i as f64 / 300.0).collect();
        let operator = with_spectrum(&spectrum, 1);
        let few = Request { max_matvecs: 12, ..request(5, 1) };
        let pairs = eigsh(&operator, &few, None, &mut random::stream(1, 0, "test"), &Silent).expect("solved");
        assert!(!pairs.settled());
        assert!(pairs.matvecs <= 12, "{}", pairs.matvecs);
    }

    #[test]
    fn small_and_degenerate_matrices_are_solved_whole() {
        for spectrum in [vec![3.0], vec![2.0, 2.0], vec![0.0; 5], vec![1.0; 9], vec![-1.0, 4.0, 4.0]] {
            let operator = with_spectrum(&spectrum, 2);
            let pairs = eigsh(&operator, &request(5, 2), None, &mut random::stream(2, 0, "t"), &Silent)
                .expect("solved");
            assert!(pairs.settled(), "{spectrum:?} {pairs:?}");
            assert_eq!(pairs.top.len() + pairs.bottom.len(), spectrum.len().min(7));
            assert!(check("small", &spectrum, &request(5, 2), 4));
        }
    }
}
