//! Solvers that know a matrix only by its products with vectors.
//!
//! Vectors are kept in the precision of the operator; every dot product, norm and projected matrix is
//! f64. A solver does not know what the matrix means, and what it returns says how good it is.

pub mod completeness;
pub mod dense;
pub mod eigen;
pub mod follow;
mod found;
mod guards;
pub mod krylov;
pub mod operator;
mod orthonormal;
mod outlook;
pub mod panel;
pub mod probes;
pub mod quadrature;
mod search;
mod solver;
mod space;
pub mod trace;

pub use completeness::Completeness;
pub use eigen::{Eigenpairs, Request, Ritz};
pub use follow::{Followed, Follower, Following};
pub use operator::LinearOperator;
pub use quadrature::{Measure, quadrature};
pub use solver::eigsh;
