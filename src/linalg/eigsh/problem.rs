//! What a search is asked for, what it may still spend, and when a pair is converged.

use super::search::{Limits, Tolerance};
use crate::base::observer::Observer;
use crate::linalg::completeness;
use crate::linalg::eigenpairs::Request;
use crate::linalg::operator::Products;
use crate::linalg::orthonormal::ROUNDING;

/// One search of one matrix.
pub struct Problem<'a> {
    pub products: &'a Products<'a>,
    pub request: &'a Request,
    pub observer: &'a dyn Observer,
    /// Pairs of either end there are to be found.
    pub top: usize,
    pub bottom: usize,
    pub tolerance: Tolerance,
}

impl<'a> Problem<'a> {
    pub fn new(products: &'a Products<'a>, request: &'a Request, observer: &'a dyn Observer) -> Self {
        let top = request.top.min(products.n());
        let bottom = request.bottom.min(products.n() - top);
        let tolerance = Tolerance { tol: request.tol, rounding: ROUNDING * products.dtype().epsilon() };
        Problem { products, request, observer, top, bottom, tolerance }
    }

    /// Pairs to be found.
    pub fn wanted(&self) -> usize {
        self.top + self.bottom
    }

    /// Products of the check at the least.
    pub fn least_check(&self) -> usize {
        let beside = self.products.n() - self.wanted();
        if self.request.completeness { completeness::least(self.products.n()).min(beside) } else { 0 }
    }

    /// Products that suffice in the best of cases: one for each pair to be found, one to verify it, and the check.
    pub fn needed(&self) -> usize {
        2 * self.wanted() + self.least_check()
    }

    /// Products that are left.
    pub fn left(&self) -> usize {
        self.request.max_matvecs.saturating_sub(self.products.spent())
    }

    /// Says what cannot be done within the products allowed.
    pub fn announce(&self) {
        let (allowed, needed) = (self.request.max_matvecs, self.needed());
        if allowed < needed {
            self.observer.note(&format!(
                "{allowed} products are too few for {} eigenvalues: finding and verifying each takes two and the check \
                 for skipped ones {}, {needed} in all at the very least; what is missing is marked unconverged \
                 (allow more products, or ask for fewer eigenvalues)",
                self.wanted(),
                self.least_check()
            ));
        }
    }

    /// What a search may use beside `locked` vectors, of `block` vectors at a time, of an operator of about this `size`.
    pub fn limits<'b>(
        &self,
        locked: usize,
        block: usize,
        size: f64,
        reserved: &'b dyn Fn(usize) -> usize,
    ) -> Limits<'b> {
        Limits {
            tolerance: self.tolerance,
            products: self.request.max_matvecs.max(1),
            reserved,
            // a few are needed whatever fits
            room: self.request.max_basis.saturating_sub(locked).max(4),
            block,
            size,
            patience: usize::MAX,
        }
    }
}
