//! Solvers that know a matrix only by its products with vectors.
//!
//! Vectors are kept in the precision of the operator; every dot product, norm and projected matrix is
//! f64. A solver does not know what the matrix means, and what it returns says how good it is.
//!
//! Every file knows only files above it in this list:
//!
//! | file | holds |
//! |---|---|
//! | [`panel`], [`probes`] | arithmetic between vectors; random ones |
//! | [`operator`] | a matrix known by its products, and the products counted |
//! | [`dense`], `orthonormal` | small problems through LAPACK; orthonormal vectors from any others |
//! | `krylov` | factorise: Lanczos, the one there is |
//! | `residual` | solve small, rotate, and ‖A v − θ v‖ with a fresh product |
//! | [`completeness`] | whether a list skips an eigenvalue, and how sure that is |
//! | [`eigenpairs`] | what is asked of a solver, and what it answers |
//! | [`mod@eigsh`], [`mod@spectrum`] | the extreme eigenpairs of a matrix; all of a small one |
//! | [`mod@quadrature`], [`trace`] | its spectral density; trace, norm and diagonal |
//! | [`follow`] | the largest eigenpair of a matrix that changes from step to step |

pub mod panel;
pub mod probes;

pub mod operator;

pub mod dense;
mod orthonormal;

mod krylov;
mod residual;

pub mod completeness;
pub mod eigenpairs;

pub mod eigsh;
pub mod spectrum;

pub mod quadrature;
pub mod trace;

pub mod follow;

#[cfg(test)]
mod prescribed;

pub use completeness::Completeness;
pub use eigenpairs::{Eigenpairs, Request, Ritz};
pub use eigsh::eigsh;
pub use follow::{Followed, Follower, Following};
pub use operator::LinearOperator;
pub use quadrature::{Measure, quadrature};
pub use spectrum::spectrum;
