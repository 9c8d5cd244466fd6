//! Looks for eigenvalues that a search has skipped, and merges those it finds.
//!
//! If a second random start, kept orthogonal to what was found, shows a Ritz value beyond the last one
//! ([`completeness`]), a copy of a multiple eigenvalue or a member of a cluster was missed. The search goes on from
//! there, what it finds is merged, and the look is repeated while products last.

use super::problem::Problem;
use super::search::{self, Goal, Limits};
use crate::base::error::Result;
use crate::base::random::Random;
use crate::linalg::completeness::{self, Completeness, Look};
use crate::linalg::krylov::Krylov;
use crate::linalg::probes;
use crate::linalg::residual::{RitzPairs, rayleigh_ritz};

/// Vectors multiplied at a time where copies of eigenvalues are known to be missing: a multiple eigenvalue shows as many
/// copies as the block has vectors.
const COPIES: usize = 4;

/// What was found, held against what the search has seen.
pub struct Check<'a> {
    pub problem: &'a Problem<'a>,
    /// Ritz values of the search with their residuals, descending.
    pub ritz: &'a [(f64, f64)],
}

impl Check<'_> {
    /// (of the top, of the bottom): how many pairs are found.
    pub fn ends(&self, pairs: &RitzPairs) -> (usize, usize) {
        let top = self.problem.top.min(pairs.k());
        (top, pairs.k() - top)
    }

    /// How many pairs of each end are converged before the first that is not.
    pub fn settled(&self, pairs: &RitzPairs) -> (usize, usize) {
        let (top, bottom) = self.ends(pairs);
        let size = self.size(pairs);
        let open = |i: &usize| {
            !(pairs.verified[*i] && pairs.residuals[*i] <= self.problem.tolerance.at(pairs.values[*i], size))
        };
        (
            (0..top).position(|i| open(&i)).unwrap_or(top),
            (top..pairs.k()).rev().position(|i| open(&i)).unwrap_or(bottom),
        )
    }

    /// The largest |θ| seen.
    fn size(&self, pairs: &RitzPairs) -> f64 {
        search::size(self.ritz.iter().map(|(value, _)| value)).max(search::size(&pairs.values))
    }

    /// Looks for eigenvalues beyond the found ones and merges those it finds, while products last.
    pub fn complete(&self, pairs: &mut RitzPairs, random: &mut Random) -> Result<Completeness> {
        let Problem { products, request, observer, .. } = *self.problem;
        if !request.completeness {
            return Ok(Completeness::Unasked);
        }
        let n = products.n();
        loop {
            if pairs.k() == n {
                return Ok(Completeness::Whole);
            }
            let (top, bottom) = self.settled(pairs);
            if top + bottom == 0 {
                return Ok(Completeness::Unsettled);
            }
            let (bounds, asked) = self.beyond(pairs, top, bottom);
            let (beside, left) = (n - top - bottom, self.problem.left());
            let (asked, least) = (asked.min(beside), completeness::least(n).min(beside));
            if left < least {
                return Ok(Completeness::Unmade { asked: least, left });
            }
            let settled = (top + bottom < pairs.k()).then(|| pairs.ends(top, bottom).vectors);
            let locked = settled.as_ref().unwrap_or(&pairs.vectors);
            let look = completeness::look(products, locked, bounds, asked.min(left), random, observer)?;
            if let Look::Nothing { products, all } = look {
                let gamma = if all { 0.0 } else { completeness::gamma(n, products) };
                return Ok(Completeness::Checked { products, asked, gamma });
            }
            if !self.merge(pairs, bounds, asked, random)? {
                return Ok(Completeness::Missing);
            }
        }
    }

    /// The values beyond which nothing must lie, and the products that a look for it asks for.
    fn beyond(&self, pairs: &RitzPairs, top: usize, bottom: usize) -> ((f64, f64), usize) {
        let (size, tolerance) = (self.size(pairs), self.problem.tolerance);
        // deflation with vectors of finite accuracy moves Ritz values by the square of their residuals
        let slack = |i: usize| (pairs.residuals[i] * 1e-2).max(tolerance.rounding * size);
        let high = &pairs.values[..top];
        let low: Vec<f64> = pairs.values[pairs.k() - bottom..].iter().rev().copied().collect();
        let (first, last) = (high.last().copied(), low.last().copied());
        let inside =
            |(x, _): &(f64, f64)| first.is_none_or(|first| *x < first) && last.is_none_or(|last| *x > last);
        let inner: Vec<_> = self.ritz.iter().copied().filter(inside).collect();
        let outwards: Vec<_> = inner.iter().rev().copied().collect();
        let n = self.problem.products.n();
        let ask = |list: &[f64], rest: &[(f64, f64)]| {
            let near = list.last().map_or(0.0, |last| tolerance.at(*last, size));
            completeness::shown(list, rest, near).map_or(0, |gamma| completeness::products(n, gamma))
        };
        let asked = completeness::least(n).max(ask(high, &inner)).max(ask(&low, &outwards));
        let above = first.map_or(f64::INFINITY, |first| first + slack(top - 1));
        let below = last.map_or(f64::NEG_INFINITY, |last| last - slack(pairs.k() - bottom));
        ((above, below), asked)
    }

    /// Searches on in the complement of what was found, beyond which a look of so many products saw something, and
    /// merges the pairs beyond the bounds; false where products do not suffice.
    fn merge(
        &self,
        pairs: &mut RitzPairs,
        (above, below): (f64, f64),
        looked: usize,
        random: &mut Random,
    ) -> Result<bool> {
        let problem = self.problem;
        let (products, observer) = (problem.products, problem.observer);
        let (n, known) = (products.n(), pairs.k());
        // one to find a pair and one to verify it, and the known ones again
        let Some(room) = problem.left().checked_sub(known + 2) else { return Ok(false) };
        let block = COPIES.min(n - known).min(room + 1);
        let start = probes::sphere(block, n, products.dtype(), random);
        let kept = known + problem.least_check();
        let reserved = move |converged: usize| kept + converged.max(1);
        let size = search::size(self.ritz.iter().map(|(value, _)| value));
        let limits = problem.limits(known, block, size, &reserved);
        let limits = Limits { patience: 2 * block * looked, ..limits };
        let capacity = limits.room.min(limits.products + block);
        let mut krylov = Krylov::new(products, start, Some(&pairs.vectors), capacity);
        let small = search::grow(&mut krylov, Goal::Beyond { above, below }, &limits, random, observer)?;
        let affordable = small.values.len().min(problem.left().saturating_sub(known));
        if affordable == 0 {
            return Ok(false);
        }
        let new = krylov.into_vectors(&small.coordinates);
        let mut all = pairs.vectors.clone();
        all.append(&new.slice(0..affordable));
        drop(new);
        let all = rayleigh_ritz(all, products, observer)?;
        *pairs = if all.k() > problem.wanted() { all.ends(problem.top, problem.bottom) } else { all };
        Ok(true)
    }
}
