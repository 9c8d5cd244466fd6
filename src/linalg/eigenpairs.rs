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
    pub fn warm_start(&self) -> Vectors {
        panel::combine(&self.vectors, Array2::ones((self.vectors.k(), 1)).view())
    }

    /// The same, and the eigenvectors are given up.
    pub fn take_warm_start(&mut self) -> Vectors {
        let start = self.warm_start();
        self.vectors = Vectors::zeros(0, start.n(), start.dtype());
        start
    }

    /// Whether every pair is converged and none may be missing against what was asked.
    pub fn settled(&self) -> bool {
        !self.completeness.doubtful() && self.top.iter().chain(&self.bottom).all(|pair| pair.converged)
    }
}
