//! The extreme eigenvalues of an operator, each with its true residual, and a check that none was
//! skipped.
//!
//! 1. Factorise: a Krylov decomposition (`krylov`) grows until the residual estimates of all wanted pairs are
//!    small, or the products run out; thick restart when the basis is full.
//! 2. Solve small, rotate, verify: one product for each wanted pair gives ‖A v − θ v‖ (`residual`), which bounds
//!    the distance from θ to an eigenvalue. That is the number reported; estimates are not.
//! 3. Look beyond ([`super::completeness`]), and merge what was skipped.
//!
//! All of it is paid from one budget. What it does not suffice for is said before, and what is missing afterwards is
//! marked unconverged: the pairs behind one that is not converged too, because their places are not known.
//!
//! References: Parlett 1998, The Symmetric Eigenvalue Problem, chapters 11-13.

mod outlook;
mod problem;
mod search;
mod skipped;

use problem::Problem;
use search::Goal;
use skipped::Check;

use super::completeness::Completeness;
use super::eigenpairs::{Eigenpairs, Request, Ritz};
use super::krylov::Krylov;
use super::operator::{LinearOperator, Products};
use super::residual::RitzPairs;
use super::{panel, probes};
use crate::base::error::Result;
use crate::base::observer::Observer;
use crate::base::random::Random;
use crate::base::vectors::Vectors;

/// How much of a random vector is in a start that is given.
const ELSEWHERE: f64 = 0.1;

/// The extreme eigenpairs of `operator`. The search starts at random, or near `warm_start` where the sum of the
/// eigenvectors is about known, as between two steps of a run; the check for what was skipped is at random always.
///
/// # Errors
/// Where a product fails or is not finite, LAPACK fails, or the observer was told to stop.
pub fn eigsh(
    operator: &dyn LinearOperator,
    request: &Request,
    warm_start: Option<&Vectors>,
    random: &mut Random,
    observer: &dyn Observer,
) -> Result<Eigenpairs> {
    let products = Products::new(operator);
    let problem = Problem::new(&products, request, observer);
    problem.announce();
    let (mut pairs, ritz) = search(&problem, warm_start, random)?;
    let check = Check { problem: &problem, ritz: &ritz };
    let completeness = check.complete(&mut pairs, random)?;
    if completeness.doubtful() {
        observer.note(&completeness.describe());
    }
    Ok(answer(&check, pairs, completeness))
}

/// The wanted pairs, verified as far as products last, and all Ritz values with their residuals, descending.
fn search(
    problem: &Problem,
    warm_start: Option<&Vectors>,
    random: &mut Random,
) -> Result<(RitzPairs, Vec<(f64, f64)>)> {
    let (products, observer) = (problem.products, problem.observer);
    let start = start(products, warm_start, random);
    let kept = problem.wanted() + problem.least_check();
    let short = problem.request.max_matvecs < problem.needed();
    let reserved = move |converged: usize| if short { converged } else { kept };
    let limits = problem.limits(0, 1, 0.0, &reserved);
    let mut krylov = Krylov::new(products, start, None, limits.room.min(limits.products + 1));
    let goal = Goal::Count { top: problem.top, bottom: problem.bottom };
    let small = search::grow(&mut krylov, goal, &limits, random, observer)?;
    let pairs = RitzPairs {
        verified: vec![false; small.values.len()],
        residuals: small.estimates,
        vectors: krylov.into_vectors(&small.coordinates),
        values: small.values,
    };
    // where products do not suffice for all, the most nearly converged first
    let size = search::size(small.ritz.iter().map(|(value, _)| value));
    let ratio = |i: usize| pairs.residuals[i] / problem.tolerance.at(pairs.values[i], size);
    let mut places: Vec<usize> = (0..pairs.k()).collect();
    places.sort_by(|&i, &j| ratio(i).total_cmp(&ratio(j)));
    places.truncate(problem.left());
    places.sort_unstable();
    Ok((pairs.verify(&places, products, observer)?, small.ritz))
}

/// A random vector, or one near the given with a little of everything in it, so that no eigenvector is out of its reach.
fn start(products: &Products, warm_start: Option<&Vectors>, random: &mut Random) -> Vectors {
    let mut start = probes::sphere(1, products.n(), products.dtype(), random);
    if let Some(given) = warm_start {
        let mut near = given.slice(0..1);
        if panel::normalise(&mut near).is_some() {
            panel::scale_rows(&mut start, &[ELSEWHERE]);
            start.add(&near);
        }
    }
    start
}

fn answer(check: &Check, mut pairs: RitzPairs, completeness: Completeness) -> Eigenpairs {
    let problem = check.problem;
    let ((top, bottom), settled) = (check.ends(&pairs), check.settled(&pairs));
    let places: (Vec<usize>, Vec<usize>) = ((0..top).collect(), (top..top + bottom).rev().collect());
    let list = |places: &[usize], settled: usize, wanted: usize| -> Vec<Ritz> {
        let pair = |at: usize| {
            // what is missing is represented by the last that was found, of this end or of the other
            let i = places.get(at).or(places.last()).copied().unwrap_or(top - 1);
            Ritz { value: pairs.values[i], residual: pairs.residuals[i], converged: at < settled }
        };
        (0..wanted).map(pair).collect()
    };
    let (top, bottom) = (list(&places.0, settled.0, problem.top), list(&places.1, settled.1, problem.bottom));
    if places.1.len() > 1 {
        pairs.vectors = pairs.vectors.select(&[places.0, places.1].concat());
    }
    Eigenpairs { top, bottom, vectors: pairs.vectors, completeness, matvecs: problem.products.spent() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::observer::Silent;
    use crate::base::random;
    use crate::linalg::prescribed::with_spectrum;

    fn request(top: usize, bottom: usize) -> Request {
        Request { top, bottom, tol: 1e-3, max_matvecs: 300, completeness: true, max_basis: 200 }
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
        let settled = (0..200)
            .filter(|&seed| {
                let (name, spectrum) = &spectra[seed as usize % spectra.len()];
                check(name, spectrum, &request(5, 2), seed)
            })
            .count();
        assert!(settled > 190, "only {settled} of 200 were settled");
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
