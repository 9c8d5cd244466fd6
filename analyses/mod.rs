//! The catalogue: one analysis per file, one line each in the registry.

pub mod hessian;
pub mod sharpness;

use crate::analysis::Analysis;

/// Every analysis. The command line, `warmlab list` and the conformance tests are made from this list.
pub const ANALYSES: &[&dyn Analysis] = &[&hessian::Hessian, &sharpness::Sharpness];
