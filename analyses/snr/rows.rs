//! From moments to rows.

use crate::base::row::{Row, Status};
use crate::stats::noise::{Estimate, Noise, phi_from_momentum};

fn row(quantity: &'static str, estimate: Estimate, noise: &Noise, resolved: bool) -> Row {
    let row = Row::new(quantity, estimate.value).uncertainty(estimate.half_width.unwrap_or(f64::NAN));
    row.n(noise.samples as u64).status(if resolved { Status::Ok } else { Status::Unresolved })
}

/// tr Σ, ‖G‖², φ and B of per-sequence gradients.
pub fn noise(noise: &Noise) -> Vec<Row> {
    vec![
        row("snr/trace_covariance", noise.trace, noise, true),
        row("snr/mean_gradient_sq", noise.mean_sq, noise, noise.resolved),
        row("snr/phi", noise.phi, noise, noise.resolved),
        row("snr/noise_scale", noise.scale, noise, noise.resolved),
    ]
}

/// φ per sequence from micro-batches.
pub fn microbatch(noise: &Noise) -> Row {
    row("snr/phi_microbatch", noise.phi, noise, noise.resolved)
}

/// tr(HΣ)/(GᵀHG).
pub fn curvature(noise: &Noise) -> Row {
    row("snr/noise_scale_curvature", noise.scale, noise, noise.resolved)
}

/// φ of a training batch from ‖m̂‖²/E‖g‖² after `t` updates; no batch of its own enters.
pub fn momentum(m_hat_sq: f64, gradient_sq: f64, beta1: f64, t: u64) -> Row {
    let (phi, resolved) = phi_from_momentum(m_hat_sq, gradient_sq, beta1, t);
    let row = Row::new("snr/phi_momentum", phi).without_batch();
    row.status(if resolved { Status::Ok } else { Status::Unresolved })
}

/// cos(g, m) from g·m, g² and m²; `None` where one of them is zero.
pub fn cosine(gm: f64, gg: f64, mm: f64) -> Option<Row> {
    let size = (gg * mm).sqrt();
    (size > 0.0).then(|| Row::new("snr/gradient_momentum_cos", gm / size))
}
