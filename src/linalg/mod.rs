//! Solvers that know a matrix only by its products with vectors.
//!
//! Vectors are kept in the precision of the operator; every dot product, norm and projected matrix is
//! f64. A solver does not know what the matrix means, and what it returns says how good it is.

pub mod dense;
pub mod eigen;
pub mod follow;
pub mod krylov;
pub mod operator;
pub mod panel;
pub mod probes;
pub mod quadrature;
mod search;
mod space;
pub mod trace;

pub use eigen::{Eigenpairs, Request, Ritz, eigsh};
pub use follow::{Followed, Follower, Following};
pub use operator::LinearOperator;
pub use quadrature::{Measure, quadrature};
