//! The catalogue: one analysis per file, one line each in the registry.

pub mod adam;
pub mod angular;
pub mod hessian;
pub mod sharpness;

use crate::analysis::Analysis;

/// Every analysis. The command line, `warmlab list` and the conformance tests are made from this list.
pub const ANALYSES: &[&dyn Analysis] =
    &[&adam::Adam, &angular::Angular, &hessian::Hessian, &sharpness::Sharpness];
