//! The catalogue: one analysis per file, one line each in the registry.

pub mod adam;
pub mod angular;
pub mod attention;
pub mod hessian;
pub mod sharpness;
pub mod snr;

use crate::snapshot::analysis::Analysis;

/// Every analysis. The command line, `warmlab list` and the conformance tests are made from this list.
pub const ANALYSES: &[&dyn Analysis] = &[
    &adam::Adam,
    &angular::Angular,
    &attention::Attention,
    &hessian::Hessian,
    &sharpness::Sharpness,
    &snr::Snr,
];
