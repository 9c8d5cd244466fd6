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

use std::ops::Range;

use rayon::prelude::*;

use super::real::{LANES, Real, fold, lanes2};
use super::{Made, Optimizer, Part, Update, UpdateStatistics};
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

/// The change of the outputs of the matrix `part` by the update of `statistics`, which `rule` made, from the inputs
/// x (R, columns) of R of the batch's `tokens` tokens; `None` where W X or ΔW is zero.
pub fn representation_change(
    statistics: &UpdateStatistics,
    rule: &Optimizer,
    part: usize,
    made: &Made,
    x: &Values,
    tokens: usize,
) -> Option<RepresentationChange> {
    let (part, sums) = &statistics.parts[part];
    // the weights and the direction are rebuilt after clipping
    let update = Update { t: statistics.step, lr: statistics.lr, clip: statistics.clip };
    let weights = |neurons: Range<usize>| {
        let numbers = part.start + neurons.start * part.columns..part.start + neurons.end * part.columns;
        rule.rows(&update, part, numbers, made)
    };
    let step = Step {
        lr: statistics.lr * part.rate,
        decay: statistics.decay * part.decay,
        scale: rule.rows_scale(statistics.step),
    };
    let (squares, inputs) = match x {
        Values::F32(x) => squares(part, weights, step, x, |rows| match rows {
            Values::F32(rows) => rows,
            Values::F64(_) => panic!("parameters and inputs have one dtype"),
        }),
        Values::F64(x) => squares(part, weights, step, x, |rows| match rows {
            Values::F64(rows) => rows,
            Values::F32(_) => panic!("parameters and inputs have one dtype"),
        }),
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

/// What makes a change of the weights a and the rows q of a direction: −η(λa + scale·q).
#[derive(Clone, Copy)]
struct Step {
    lr: f64,
    decay: f64,
    scale: f64,
}

/// The squares of each token, and ‖X‖²; `weights` gives neurons and their direction.
fn squares<T: Real>(
    part: &Part,
    weights: impl Fn(Range<usize>) -> (Values, Values) + Sync,
    step: Step,
    x: &[T],
    slice: impl Fn(&Values) -> &[T] + Sync,
) -> (Vec<Squares>, f64) {
    let tokens = x.len() / part.columns;
    let of_neurons = |first: usize| {
        let mut found = vec![Squares::default(); tokens];
        let (a, q) = weights(first..(first + NEURONS).min(part.rows));
        for (a, q) in slice(&a).chunks(part.columns).zip(slice(&q).chunks(part.columns)) {
            let found = &mut found;
            simd::dispatch(
                #[inline(always)]
                || neuron_squares(a, q, x, step, found),
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
fn neuron_squares<T: Real>(a: &[T], q: &[T], x: &[T], step: Step, found: &mut [Squares]) {
    let columns = a.len();
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
            let Step { lr, decay, scale } = step;
            let (weight, update) = (sums[0].wide(), lr * (decay * sums[0].wide() + scale * sums[1].wide()));
            found.weight += weight * weight;
            found.update += update * update;
        }
    }
}
