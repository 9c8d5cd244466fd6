//! Curvature matrices of a model on a batch, each a [`LinearOperator`](crate::linalg::LinearOperator).

mod critical;
mod curvature;
mod plan;
mod preconditioned;
mod restricted;
mod scope;

pub use critical::{Bracket, critical_rate};
pub use curvature::{Curvature, GaussNewton, Hessian, Keep};
pub use plan::{Demand, Plan, bytes};
pub use preconditioned::Preconditioned;
pub use restricted::Restricted;
pub use scope::{Scope, scopes};
