//! AdamW: Adam with weight decay decoupled from the gradient.
//!
//! m ← β1 m + (1−β1) g, v ← β2 v + (1−β2) g², θ ← θ − η λ θ, θ ← θ − η m̂/(√v̂ + ε) with m̂ = m/(1−β1^t),
//! v̂ = v/(1−β2^t); arithmetic and its order as in `torch.optim.AdamW`.
//!
//! References: Kingma and Ba, arXiv 1412.6980; Loshchilov and Hutter, arXiv 1711.05101.

use std::ops::Range;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::real::Real;
use super::statistics::{Part, UpdateStatistics};
use super::tracked::{self, Pass};
use crate::base::simd;
use crate::base::values::{DType, Values};

/// Numbers a thread updates at a time.
const CHUNK: usize = 1 << 14;

/// What does not change while training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Hyperparameters {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to √v̂.
    pub eps: f64,
    /// λ, applied to matrices only.
    pub weight_decay: f64,
}

/// The optimizer and its state.
#[derive(Debug, Clone)]
pub struct AdamW {
    hyper: Hyperparameters,
    /// Coordinates that decay.
    decayed: Vec<Range<usize>>,
    exp_avg: Values,
    exp_avg_sq: Values,
    step: u64,
}

impl AdamW {
    /// A fresh optimizer for n parameters, of which those in `decayed` (ascending) decay.
    pub fn new(hyper: Hyperparameters, n: usize, dtype: DType, decayed: Vec<Range<usize>>) -> Self {
        let zeros = || Values::zeros(n, dtype);
        AdamW { hyper, decayed, exp_avg: zeros(), exp_avg_sq: zeros(), step: 0 }
    }

    /// An optimizer that goes on from a stored state after `step` updates.
    pub fn restore(mut self, exp_avg: Values, exp_avg_sq: Values, step: u64) -> Self {
        assert_eq!((exp_avg.len(), exp_avg_sq.len()), (self.exp_avg.len(), self.exp_avg.len()));
        (self.exp_avg, self.exp_avg_sq, self.step) = (exp_avg, exp_avg_sq, step);
        self
    }

    /// m.
    pub fn exp_avg(&self) -> &Values {
        &self.exp_avg
    }

    /// v.
    pub fn exp_avg_sq(&self) -> &Values {
        &self.exp_avg_sq
    }

    /// (m, v), at its end.
    pub fn into_moments(self) -> (Values, Values) {
        (self.exp_avg, self.exp_avg_sq)
    }

    /// Updates applied.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Applies one update with learning rate `lr` and the gradient times `scale` (what clipping left of
    /// it), all in one pass over the parameters.
    pub fn update(&mut self, parameters: &mut Values, gradient: &Values, scale: f64, lr: f64) {
        self.step += 1;
        let constants = Constants::new(&self.hyper, self.step, scale, lr);
        let pieces = self.pieces();
        match (parameters, gradient, &mut self.exp_avg, &mut self.exp_avg_sq) {
            (Values::F32(p), Values::F32(g), Values::F32(m), Values::F32(v)) => {
                in_parallel(&pieces, p, g, m, v, constants.narrow());
            }
            (Values::F64(p), Values::F64(g), Values::F64(m), Values::F64(v)) => {
                in_parallel(&pieces, p, g, m, v, constants);
            }
            _ => panic!("parameters, gradient and moments have one dtype"),
        }
    }

    /// [`update`](Self::update), to the same bits, with the statistics of each of `parts`, which cover the
    /// parameters; `last_lr` is the learning rate of the update before.
    pub fn update_tracked(
        &mut self,
        parameters: &mut Values,
        gradient: &Values,
        scale: f64,
        lr: f64,
        last_lr: f64,
        parts: &[Part],
    ) -> UpdateStatistics {
        self.step += 1;
        let pass = pass(&self.hyper, self.step, scale, lr);
        let (epsilon, step, hyper) = (parameters.dtype().epsilon(), self.step, self.hyper);
        let parts = match (parameters, gradient, &mut self.exp_avg, &mut self.exp_avg_sq) {
            (Values::F32(p), Values::F32(g), Values::F32(m), Values::F32(v)) => {
                tracked::update(parts, pass.narrow(), p, g, m, v)
            }
            (Values::F64(p), Values::F64(g), Values::F64(m), Values::F64(v)) => {
                tracked::update(parts, pass, p, g, m, v)
            }
            _ => panic!("parameters, gradient and moments have one dtype"),
        };
        UpdateStatistics { step, lr, last_lr, clip: scale, hyper, with_gradient: true, epsilon, parts }
    }

    /// (length, whether it decays) of pieces that cover the parameters in order, none across the border of
    /// a decayed range.
    fn pieces(&self) -> Vec<(usize, bool)> {
        let mut borders: Vec<(usize, bool)> = Vec::new();
        let mut at = 0;
        for range in &self.decayed {
            borders.push((range.start - at, false));
            borders.push((range.len(), true));
            at = range.end;
        }
        borders.push((self.exp_avg.len() - at, false));
        let cut = |(len, decays): (usize, bool)| {
            (0..len).step_by(CHUNK).map(move |start| (CHUNK.min(len - start), decays))
        };
        borders.into_iter().flat_map(cut).collect()
    }
}

/// The statistics of update `step` ≥ 1 with learning rate `lr`, from the state it led to: what it started
/// from is rebuilt, w_before = (w + η u)/(1 − η λ).
pub fn last_update(
    parameters: &Values,
    exp_avg: &Values,
    exp_avg_sq: &Values,
    hyper: Hyperparameters,
    step: u64,
    lr: f64,
    parts: &[Part],
) -> UpdateStatistics {
    let pass = pass(&hyper, step, 1.0, lr);
    let sums = match (parameters, exp_avg, exp_avg_sq) {
        (Values::F32(p), Values::F32(m), Values::F32(v)) => tracked::rebuild(parts, pass.narrow(), p, m, v),
        (Values::F64(p), Values::F64(m), Values::F64(v)) => tracked::rebuild(parts, pass, p, m, v),
        _ => panic!("parameters and moments have one dtype"),
    };
    let epsilon = parameters.dtype().epsilon();
    UpdateStatistics { step, lr, last_lr: lr, clip: 1.0, hyper, with_gradient: false, epsilon, parts: sums }
}

/// The constants of update `step`.
pub(super) fn pass(hyper: &Hyperparameters, step: u64, scale: f64, lr: f64) -> Pass<f64> {
    let correction = |beta: f64, t: u64| 1.0 - beta.powi(t as i32);
    let before =
        (step > 1).then(|| (correction(hyper.beta2, step - 1).sqrt(), correction(hyper.beta1, step - 1)));
    Pass {
        constants: Constants::new(hyper, step, scale, lr),
        correction: correction(hyper.beta1, step),
        previous: before,
    }
}

impl Pass<f64> {
    pub(super) fn narrow(self) -> Pass<f32> {
        Pass {
            constants: self.constants.narrow(),
            correction: self.correction,
            previous: self.previous.map(|(root, correction)| (root as f32, correction)),
        }
    }
}

/// Updates corresponding pieces of the four vectors.
fn in_parallel<T: Real>(
    pieces: &[(usize, bool)],
    mut p: &mut [T],
    mut g: &[T],
    mut m: &mut [T],
    mut v: &mut [T],
    constants: Constants<T>,
) {
    let mut tasks = Vec::with_capacity(pieces.len());
    for &(len, decays) in pieces {
        let (head, rest) = std::mem::take(&mut p).split_at_mut(len);
        p = rest;
        let (g_head, g_rest) = g.split_at(len);
        g = g_rest;
        let (m_head, m_rest) = std::mem::take(&mut m).split_at_mut(len);
        m = m_rest;
        let (v_head, v_rest) = std::mem::take(&mut v).split_at_mut(len);
        v = v_rest;
        tasks.push((decays, head, g_head, m_head, v_head));
    }
    tasks.into_par_iter().for_each(|(decays, p, g, m, v)| {
        let c = constants.of(decays, T::ONE);
        simd::dispatch(
            #[inline(always)]
            || update_piece(p, g, m, v, &c),
        );
    });
}

#[inline(always)]
fn update_piece<T: Real>(p: &mut [T], g: &[T], m: &mut [T], v: &mut [T], c: &Constants<T>) {
    for (((p, g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
        advance(p, *g, m, v, c);
    }
}

/// One coordinate's update; returns (√v̂, m/(√v̂ + ε)).
#[inline(always)]
pub(super) fn advance<T: Real>(p: &mut T, g: T, m: &mut T, v: &mut T, c: &Constants<T>) -> (T, T) {
    let g = g * c.scale;
    *m = *m + (g - *m) * c.rest1;
    *v = *v * c.beta2 + c.rest2 * g * g;
    let root = v.sqrt() / c.root_correction;
    let direction = *m / (root + c.eps);
    *p = *p * c.keep - c.step_size * direction;
    (root, direction)
}

/// One update's numbers, in the parameters' precision.
#[derive(Clone, Copy)]
pub(super) struct Constants<T> {
    /// What decay leaves of a parameter.
    pub keep: T,
    /// What clipping leaves of the gradient.
    pub scale: T,
    pub rest1: T,
    pub beta2: T,
    pub rest2: T,
    pub step_size: T,
    pub root_correction: T,
    pub eps: T,
    /// η λ and η/(1 − β1^t), unrounded.
    decay_rate: f64,
    rate: f64,
    /// Distance from 1 to the next number in this precision.
    pub epsilon: f64,
}

impl Constants<f64> {
    fn new(h: &Hyperparameters, step: u64, scale: f64, lr: f64) -> Self {
        let t = step as i32;
        Constants {
            keep: 1.0 - lr * h.weight_decay,
            scale,
            rest1: 1.0 - h.beta1,
            beta2: h.beta2,
            rest2: 1.0 - h.beta2,
            step_size: lr / (1.0 - h.beta1.powi(t)),
            root_correction: (1.0 - h.beta2.powi(t)).sqrt(),
            eps: h.eps,
            decay_rate: lr * h.weight_decay,
            rate: lr / (1.0 - h.beta1.powi(t)),
            epsilon: f64::EPSILON,
        }
    }

    fn narrow(self) -> Constants<f32> {
        Constants {
            keep: self.keep as f32,
            scale: self.scale as f32,
            rest1: self.rest1 as f32,
            beta2: self.beta2 as f32,
            rest2: self.rest2 as f32,
            step_size: self.step_size as f32,
            root_correction: self.root_correction as f32,
            eps: self.eps as f32,
            decay_rate: self.decay_rate,
            rate: self.rate,
            epsilon: f64::from(f32::EPSILON),
        }
    }
}

impl<T: Real> Constants<T> {
    /// The same for a tensor with its own rate and decay.
    pub fn of_part(self, part: &Part) -> Self {
        let keep = T::narrow(1.0 - self.decay_rate * part.rate * part.decay);
        Constants { keep, step_size: T::narrow(self.rate * part.rate), ..self }
    }
}

impl<T: Copy> Constants<T> {
    /// The same for a piece that decays, or does not.
    pub fn of(self, decays: bool, one: T) -> Self {
        Constants { keep: if decays { self.keep } else { one }, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYPER: Hyperparameters = Hyperparameters { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.1 };

    #[test]
    fn the_first_update_is_the_sign_of_the_gradient() {
        let mut adam = AdamW::new(HYPER, 3, DType::F64, vec![]);
        let mut p = Values::F64(vec![1.0, 1.0, 1.0]);
        adam.update(&mut p, &Values::F64(vec![1e-3, -5.0, 0.0]), 1.0, 0.01);
        let p = p.to_f64();
        assert!((p[0] - 0.99).abs() < 1e-6 && (p[1] - 1.01).abs() < 1e-9 && p[2] == 1.0);
    }

    #[test]
    fn a_constant_gradient_moves_by_the_learning_rate_at_every_step() {
        // both corrections undo the moments' start exactly, whatever t
        let mut adam = AdamW::new(HYPER, 1, DType::F64, vec![]);
        let mut p = Values::F64(vec![0.0]);
        for t in 1..=50 {
            adam.update(&mut p, &Values::F64(vec![2.0]), 1.0, 0.01);
            assert!((p.get(0) + 0.01 * f64::from(t)).abs() < 1e-8 * f64::from(t));
        }
    }

    #[test]
    fn decay_reaches_its_coordinates_only_and_is_decoupled() {
        let mut adam = AdamW::new(HYPER, 2, DType::F64, vec![0..1]);
        let mut p = Values::F64(vec![2.0, 2.0]);
        adam.update(&mut p, &Values::F64(vec![0.0, 0.0]), 1.0, 0.5);
        assert_eq!(p.to_f64(), [2.0 * (1.0 - 0.5 * 0.1), 2.0]);
    }
}
