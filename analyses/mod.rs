//! The catalogue: one analysis per file, one line each in the registry.

pub mod attention;
mod hessian;
pub mod snr;

use crate::analysis::Analysis;

/// Every analysis. The command line, `warmlab list` and the conformance tests are made from this list.
pub const ANALYSES: &[&dyn Analysis] = &[&hessian::Hessian, &snr::Snr, &attention::Attention];
