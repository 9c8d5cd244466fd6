//! The extreme eigenvalues of an operator, each with its true residual, and a check that none was
//! skipped.
//!
//! 1. Factorise: a Krylov decomposition ([`super::krylov`]) grows until the residual estimates of all wanted pairs are
//!    small ([`super::search`]), or the products run out; thick restart when the basis is full.
//! 2. Solve small, rotate, verify: one product for each wanted pair gives ‖A v − θ v‖, which bounds the distance from
//!    θ to an eigenvalue. That is the number reported; estimates are not.
//! 3. Look beyond ([`super::completeness`]): if a second random start, kept orthogonal to what was found, shows a Ritz
//!    value beyond the last one, a copy of a multiple eigenvalue or a member of a cluster was missed. The search goes
//!    on from there, what it finds is merged, and the look is repeated while products last.
//!
//! All of it is paid from one budget. What it does not suffice for is said before, and what is missing afterwards is
//! marked unconverged: the pairs behind one that is not converged too, because their places are not known.
//!
//! References: Parlett 1998, The Symmetric Eigenvalue Problem, chapters 11-13.

use super::completeness::{self, Completeness, Look};
use super::eigen::{Eigenpairs, Request, Ritz};
use super::found::{Found, rayleigh_ritz};
use super::krylov::Krylov;
use super::operator::{LinearOperator, Products};
use super::orthonormal::ROUNDING;
use super::search::{self, Goal, Limits, Small, Tolerance};
use super::{panel, probes};
use crate::base::error::Result;
use crate::base::observer::Observer;
use crate::base::random::Random;
use crate::base::vectors::Vectors;

/// How much of a random vector is in a start that is given.
const ELSEWHERE: f64 = 0.1;
/// Vectors multiplied at a time where copies of eigenvalues are known to be missing.
const COPIES: usize = 4;

/// The extreme eigenpairs of `operator`. The search starts at random, or near `hint` where the sum of the
/// eigenvectors is about known, as between two steps of a run; the check for what was skipped is at random always.
///
/// # Errors
/// Where a product fails or is not finite, LAPACK fails, or the observer was told to stop.
pub fn eigsh(
    operator: &dyn LinearOperator,
    request: &Request,
    hint: Option<&Vectors>,
    random: &mut Random,
    observer: &dyn Observer,
) -> Result<Eigenpairs> {
    let products = Products::new(operator);
    let mut solver = Solver::new(&products, request, random, observer);
    solver.announce();
    let mut found = solver.search(hint)?;
    let completeness = solver.complete(&mut found)?;
    if completeness.doubtful() {
        observer.note(&completeness.describe());
    }
    Ok(solver.answer(found, completeness))
}

/// The steps of one search, and what they share.
struct Solver<'a> {
    products: &'a Products<'a>,
    request: &'a Request,
    random: &'a mut Random,
    observer: &'a dyn Observer,
    /// Pairs of each end there are to be found.
    top: usize,
    bottom: usize,
    tolerance: Tolerance,
    /// Ritz values of the search with their residuals, descending.
    ritz: Vec<(f64, f64)>,
}

impl<'a> Solver<'a> {
    fn new(
        products: &'a Products<'a>,
        request: &'a Request,
        random: &'a mut Random,
        observer: &'a dyn Observer,
    ) -> Self {
        let top = request.top.min(products.n());
        let bottom = request.bottom.min(products.n() - top);
        let tolerance = Tolerance { tol: request.tol, rounding: ROUNDING * products.dtype().epsilon() };
        Solver { products, request, random, observer, top, bottom, tolerance, ritz: vec![] }
    }

    fn wanted(&self) -> usize {
        self.top + self.bottom
    }

    /// Products of the check at the least.
    fn least_check(&self) -> usize {
        let beside = self.products.n() - self.wanted();
        if self.request.completeness { completeness::least(self.products.n()).min(beside) } else { 0 }
    }

    /// Products that suffice in the best of cases: one for each pair to be found, one to verify it, and the check.
    fn needed(&self) -> usize {
        2 * self.wanted() + self.least_check()
    }

    fn left(&self) -> usize {
        self.request.max_matvecs.saturating_sub(self.products.spent())
    }

    /// Says what cannot be done within the products allowed.
    fn announce(&self) {
        let (allowed, needed) = (self.request.max_matvecs, self.needed());
        if allowed < needed {
            self.observer.note(&format!(
                "{allowed} products are too few for {} eigenvalues: finding and verifying each takes two and the check \
                 for skipped ones {}, {needed} in all at the very least; what is missing is marked unconverged \
                 (raise --max-matvecs, or ask for fewer eigenvalues)",
                self.wanted(),
                self.least_check()
            ));
        }
    }

    fn limits<'b>(&self, locked: usize, block: usize, reserved: &'b dyn Fn(usize) -> usize) -> Limits<'b> {
        Limits {
            tolerance: self.tolerance,
            products: self.request.max_matvecs.max(1),
            reserved,
            // a few are needed whatever fits
            room: self.request.max_basis.saturating_sub(locked).max(4),
            block,
            size: self.ritz_size(),
            patience: usize::MAX,
        }
    }

    /// The wanted pairs, verified as far as products last.
    fn search(&mut self, hint: Option<&Vectors>) -> Result<Found> {
        let (n, dtype) = (self.products.n(), self.products.dtype());
        let block = self.request.block.clamp(1, n.min(self.request.max_matvecs.max(1)));
        let mut start = probes::sphere(block, n, dtype, self.random);
        if let Some(hint) = hint {
            // with a little of everything in it, so that no eigenvector is out of its reach
            let mut near = hint.slice(0..1);
            if panel::normalise(&mut near).is_some() {
                let others = start.slice(1..block);
                start.truncate(1);
                panel::scale_rows(&mut start, &[ELSEWHERE]);
                start.add(&near);
                start.append(&others);
            }
        }
        let (kept, short) = (self.wanted() + self.least_check(), self.request.max_matvecs < self.needed());
        let reserved = move |converged: usize| if short { converged } else { kept };
        let limits = self.limits(0, block, &reserved);
        let mut krylov = Krylov::new(self.products, start, None, limits.room.min(limits.products + block));
        let goal = Goal::Count { top: self.top, bottom: self.bottom };
        let small = search::grow(&mut krylov, goal, &limits, self.random, self.observer)?;
        let Small { ritz, values, estimates, coordinates } = small;
        self.ritz = ritz;
        let found = Found {
            verified: vec![false; values.len()],
            residuals: estimates,
            vectors: krylov.into_vectors(&coordinates),
            values,
        };
        // where products do not suffice for all, the most nearly converged first
        let size = self.ritz_size();
        let ratio = |i: usize| found.residuals[i] / self.tolerance.at(found.values[i], size);
        let mut places: Vec<usize> = (0..found.k()).collect();
        places.sort_by(|&i, &j| ratio(i).total_cmp(&ratio(j)));
        places.truncate(self.left());
        places.sort_unstable();
        found.verify(&places, self.products, self.request.block, self.observer)
    }

    /// (of the top, of the bottom): how many pairs are found.
    fn split(&self, found: &Found) -> (usize, usize) {
        let top = self.top.min(found.k());
        (top, found.k() - top)
    }

    /// The largest |θ| seen.
    fn size(&self, found: &Found) -> f64 {
        self.ritz_size().max(search::size(&found.values))
    }

    fn ritz_size(&self) -> f64 {
        self.ritz.iter().fold(0.0, |size, (value, _)| size.max(value.abs()))
    }

    fn converged(&self, found: &Found, i: usize) -> bool {
        found.verified[i] && found.residuals[i] <= self.tolerance.at(found.values[i], self.size(found))
    }

    /// How many pairs of each end are converged before the first that is not.
    fn settled(&self, found: &Found) -> (usize, usize) {
        let (top, bottom) = self.split(found);
        let first = |mut places: Box<dyn Iterator<Item = usize>>, all: usize| {
            places.position(|i| !self.converged(found, i)).unwrap_or(all)
        };
        (first(Box::new(0..top), top), first(Box::new((top..found.k()).rev()), bottom))
    }

    /// Looks for eigenvalues beyond the found ones and merges those it finds, while products last.
    fn complete(&mut self, found: &mut Found) -> Result<Completeness> {
        if !self.request.completeness {
            return Ok(Completeness::Unasked);
        }
        let n = self.products.n();
        loop {
            if found.k() == n {
                return Ok(Completeness::Whole);
            }
            let (top, bottom) = self.settled(found);
            if top + bottom == 0 {
                return Ok(Completeness::Unsettled);
            }
            let (bounds, asked) = self.beyond(found, top, bottom);
            let (beside, left) = (n - top - bottom, self.left());
            let (asked, least) = (asked.min(beside), completeness::least(n).min(beside));
            if left < least {
                return Ok(Completeness::Unmade { asked: least, left });
            }
            let settled = (top + bottom < found.k()).then(|| found.ends(top, bottom).vectors);
            let locked = settled.as_ref().unwrap_or(&found.vectors);
            let look = completeness::look(
                self.products,
                locked,
                bounds,
                asked.min(left),
                self.random,
                self.observer,
            )?;
            if let Look::Nothing { products, all } = look {
                let gamma = if all { 0.0 } else { completeness::gamma(n, products) };
                return Ok(Completeness::Seen { products, asked, gamma });
            }
            if !self.merge(found, bounds, asked)? {
                return Ok(Completeness::Missing);
            }
        }
    }

    /// The values beyond which nothing must lie, and the products that a look for it asks for.
    fn beyond(&self, found: &Found, top: usize, bottom: usize) -> ((f64, f64), usize) {
        let size = self.size(found);
        // deflation with vectors of finite accuracy moves Ritz values by the square of their residuals
        let slack = |i: usize| (found.residuals[i] * 1e-2).max(self.tolerance.rounding * size);
        let high = &found.values[..top];
        let low: Vec<f64> = found.values[found.k() - bottom..].iter().rev().copied().collect();
        let (first, last) = (high.last().copied(), low.last().copied());
        let inside =
            |(x, _): &(f64, f64)| first.is_none_or(|first| *x < first) && last.is_none_or(|last| *x > last);
        let inner: Vec<_> = self.ritz.iter().copied().filter(inside).collect();
        let outwards: Vec<_> = inner.iter().rev().copied().collect();
        let n = self.products.n();
        let ask = |list: &[f64], rest: &[(f64, f64)]| {
            let near = list.last().map_or(0.0, |last| self.tolerance.at(*last, size));
            completeness::shown(list, rest, near).map_or(0, |gamma| completeness::products(n, gamma))
        };
        let asked = completeness::least(n).max(ask(high, &inner)).max(ask(&low, &outwards));
        let above = first.map_or(f64::INFINITY, |first| first + slack(top - 1));
        let below = last.map_or(f64::NEG_INFINITY, |last| last - slack(found.k() - bottom));
        ((above, below), asked)
    }

    /// Searches on in the complement of what was found, beyond which a look of so many products saw something, and
    /// merges the pairs beyond the bounds; false where products do not suffice.
    fn merge(&mut self, found: &mut Found, (above, below): (f64, f64), looked: usize) -> Result<bool> {
        let (n, known) = (self.products.n(), found.k());
        // one to find a pair and one to verify it, and the known ones again
        let Some(room) = self.left().checked_sub(known + 2) else { return Ok(false) };
        // a multiple eigenvalue has as many copies as the block has vectors
        let block = self.request.block.max(COPIES).min(n - known).min(room + 1);
        let start = probes::sphere(block, n, self.products.dtype(), self.random);
        let kept = known + self.least_check();
        let reserved = move |converged: usize| kept + converged.max(1);
        let limits = Limits { patience: 2 * block * looked, ..self.limits(known, block, &reserved) };
        let capacity = limits.room.min(limits.products + block);
        let mut krylov = Krylov::new(self.products, start, Some(&found.vectors), capacity);
        let goal = Goal::Beyond { above, below };
        let small = search::grow(&mut krylov, goal, &limits, self.random, self.observer)?;
        let affordable = small.values.len().min(self.left().saturating_sub(known));
        if affordable == 0 {
            return Ok(false);
        }
        let new = krylov.into_vectors(&small.coordinates);
        let mut all = found.vectors.clone();
        all.append(&new.slice(0..affordable));
        drop(new);
        let all = rayleigh_ritz(all, self.products, self.request.block, self.observer)?;
        *found = if all.k() > self.wanted() { all.ends(self.top, self.bottom) } else { all };
        Ok(true)
    }

    fn answer(&self, mut found: Found, completeness: Completeness) -> Eigenpairs {
        let ((top, bottom), settled) = (self.split(&found), self.settled(&found));
        let places: (Vec<usize>, Vec<usize>) = ((0..top).collect(), (top..top + bottom).rev().collect());
        let list = |places: &[usize], settled: usize, wanted: usize| -> Vec<Ritz> {
            let pair = |at: usize| {
                // what is missing is represented by the last that was found, of this end or of the other
                let i = places.get(at).or(places.last()).copied().unwrap_or(top - 1);
                Ritz { value: found.values[i], residual: found.residuals[i], converged: at < settled }
            };
            (0..wanted).map(pair).collect()
        };
        let (top, bottom) = (list(&places.0, settled.0, self.top), list(&places.1, settled.1, self.bottom));
        if places.1.len() > 1 {
            found.vectors = found.vectors.select(&[places.0, places.1].concat());
        }
        Eigenpairs { top, bottom, vectors: found.vectors, completeness, matvecs: self.products.spent() }
    }
}
