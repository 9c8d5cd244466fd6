//! How far one update moves the outputs of a linear layer.
//!
//! **What.** For Y = X Wᵀ the relative representation change ‖ΔW X‖/‖W X‖ (Frobenius norms over tokens), W
//! before the update and X the layer's true inputs; with the alignments α_ΔW = ‖ΔW X‖/(‖ΔW‖‖X‖) and α_W, so
//! that it is (α_ΔW/α_W)·‖ΔW‖/‖W‖. Biases are left out.
//!
//! **Estimator and error.** Sums over R sampled tokens; the 68% interval is that of a ratio of means
//! (delta method, Student's t), with the correction for sampling from finitely many tokens: 0 when all are taken.
//!
//! **Cost.** 4·R·n flops for R tokens and n weights.
//!
//! **Reference.** Kosson, Messmer and Jaggi 2024, arXiv 2410.23922; the alignments as in Kosson et al. 2025,
//! arXiv 2510.19093.

use rayon::prelude::*;

use super::Part;
use super::adamw::{Constants, pass};
use super::real::{LANES, Real, fold, lanes2};
use super::tracked::rebuild_block;
use super::{Hyperparameters, UpdateStatistics};
use crate::base::simd;
use crate::base::values::Values;
use crate::stats::interval;

/// Neurons a thread takes at a time.
const NEURONS: usize = 16;
/// Tokens multiplied at a time.
const TOKENS: usize = 32;

/// The change of one layer's outputs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RepresentationChange {
    /// ‖ΔW X‖/‖W X‖.
    pub relative: f64,
    /// The half-width of its 68% interval over tokens; `None` for one token.
    pub half_width: Option<f64>,
    /// ‖ΔW X‖/(‖ΔW‖‖X‖).
    pub alpha_update: f64,
    /// ‖W X‖/(‖W‖‖X‖).
    pub alpha_weight: f64,
}

/// What one token or all of them contribute: squares of W x and ΔW x.
#[derive(Debug, Clone, Copy, Default)]
struct Squares {
    weight: f64,
    update: f64,
}

/// The change of the outputs of the matrix `part` by update `statistics`, from the state after it and the
/// inputs x (R, columns) of R of the batch's `tokens` tokens; `None` where W X or ΔW is zero.
pub fn representation_change(
    statistics: &UpdateStatistics,
    part: usize,
    parameters: &Values,
    exp_avg: &Values,
    exp_avg_sq: &Values,
    x: &Values,
    tokens: usize,
) -> Option<RepresentationChange> {
    let (part, sums) = &statistics.parts[part];
    let (hyper, step, lr) = (statistics.hyper, statistics.step, statistics.lr);
    let pass = pass(&hyper, step, 1.0, lr);
    let scale = 1.0 / pass.correction;
    let (squares, inputs) = match (parameters, exp_avg, exp_avg_sq, x) {
        (Values::F32(p), Values::F32(m), Values::F32(v), Values::F32(x)) => {
            squares(part, &hyper, pass.narrow().constants, lr, scale, p, m, v, x)
        }
        (Values::F64(p), Values::F64(m), Values::F64(v), Values::F64(x)) => {
            squares(part, &hyper, pass.constants, lr, scale, p, m, v, x)
        }
        _ => panic!("parameters, moments and inputs have one dtype"),
    };
    let motion = statistics.motion(part, sums);
    let total = |of: fn(&Squares) -> f64| squares.iter().map(of).sum::<f64>();
    let (weight, update) = (total(|s| s.weight), total(|s| s.update));
    let ratio = update / weight;
    let (before, change) = motion.squares();
    if !(ratio.is_finite() && ratio > 0.0 && before > 0.0 && change > 0.0) {
        return None;
    }
    let r = squares.len() as f64;
    let half_width = (squares.len() > 1).then(|| {
        let spread = squares.iter().map(|s| (s.update - ratio * s.weight).powi(2)).sum::<f64>() / (r - 1.0);
        let finite = (1.0 - r / tokens as f64).max(0.0);
        let error = (spread * finite / r).sqrt() / (weight / r) / (2.0 * ratio.sqrt());
        interval::factor(squares.len()) * error
    });
    Some(RepresentationChange {
        relative: ratio.sqrt(),
        half_width,
        alpha_update: (update / (change * inputs)).sqrt(),
        alpha_weight: (weight / (before * inputs)).sqrt(),
    })
}

/// The squares of each token, and ‖X‖².
fn squares<T: Real>(
    part: &Part,
    hyper: &Hyperparameters,
    constants: Constants<T>,
    lr: f64,
    scale: f64,
    p: &[T],
    m: &[T],
    v: &[T],
    x: &[T],
) -> (Vec<Squares>, f64) {
    let constants = constants.of_part(part);
    let (lr, decay) = (lr * part.rate, hyper.weight_decay * part.decay);
    let tokens = x.len() / part.columns;
    let of_neurons = |first: usize| {
        let mut found = vec![Squares::default(); tokens];
        for neuron in first..(first + NEURONS).min(part.rows) {
            let start = part.start + neuron * part.columns;
            let range = start..start + part.columns;
            let (p, m, v) = (&p[range.clone()], &m[range.clone()], &v[range]);
            let found = &mut found;
            simd::dispatch(
                #[inline(always)]
                || neuron_squares(p, m, v, x, &constants, lr, decay, scale, found),
            );
        }
        found
    };
    let starts: Vec<usize> = (0..part.rows).step_by(NEURONS).collect();
    let parts: Vec<Vec<Squares>> = starts.into_par_iter().map(of_neurons).collect();
    let mut all = vec![Squares::default(); tokens];
    for part in parts {
        for (all, part) in all.iter_mut().zip(part) {
            all.weight += part.weight;
            all.update += part.update;
        }
    }
    (all, x.iter().map(|x| x.wide() * x.wide()).sum())
}

#[inline(always)]
fn neuron_squares<T: Real>(
    p: &[T],
    m: &[T],
    v: &[T],
    x: &[T],
    constants: &Constants<T>,
    lr: f64,
    decay: f64,
    scale: f64,
    found: &mut [Squares],
) {
    let columns = p.len();
    let mut buffer = vec![T::ZERO; 3 * columns];
    let (a, rest) = buffer.split_at_mut(columns);
    let (root, q) = rest.split_at_mut(columns);
    rebuild_block(p, m, v, a, root, q, constants);
    let mut lanes = [T::ZERO; 2 * TOKENS * LANES];
    let mut half = [T::ZERO; TOKENS * LANES];
    for (x, found) in x.chunks(TOKENS * columns).zip(found.chunks_mut(TOKENS)) {
        let used = 2 * LANES * found.len();
        for (x, lanes) in x.chunks(columns).zip(lanes.chunks_mut(2 * LANES)) {
            let (weight, update) = lanes.split_at_mut(LANES);
            lanes2(weight, a, x, |a, x| a * x);
            lanes2(update, q, x, |q, x| q * x);
        }
        fold(&mut lanes[..used], &mut half);
        for (found, sums) in found.iter_mut().zip(lanes.chunks(2)) {
            let (weight, update) = (sums[0].wide(), lr * (decay * sums[0].wide() + scale * sums[1].wide()));
            found.weight += weight * weight;
            found.update += update * update;
        }
    }
}
