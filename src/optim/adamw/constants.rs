//! The numbers of one update, and one coordinate's share of it.

use crate::optim::real::Real;
use crate::optim::{Hyperparameters, Part, Update};

/// One update's numbers, in the parameters' precision.
#[derive(Clone, Copy)]
pub struct Constants<T> {
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
    /// 1 − β1^t.
    pub correction: f64,
    /// √(1 − β2^(t−1)), and 1 − β1^(t−1); absent at the first update.
    pub previous: Option<(T, f64)>,
    /// Distance from 1 to the next number in this precision.
    pub epsilon: f64,
}

impl Constants<f64> {
    /// Those of `update`, with decoupled decay `decay`.
    pub fn new(h: &Hyperparameters, decay: f64, update: &Update) -> Self {
        let Update { t, lr, clip, .. } = *update;
        let correction = |beta: f64, t: u64| 1.0 - beta.powi(t as i32);
        let previous = (t > 1).then(|| (correction(h.beta2, t - 1).sqrt(), correction(h.beta1, t - 1)));
        Constants {
            keep: 1.0 - lr * decay,
            scale: clip,
            rest1: 1.0 - h.beta1,
            beta2: h.beta2,
            rest2: 1.0 - h.beta2,
            step_size: lr / correction(h.beta1, t),
            root_correction: correction(h.beta2, t).sqrt(),
            eps: h.eps,
            decay_rate: lr * decay,
            rate: lr / correction(h.beta1, t),
            correction: correction(h.beta1, t),
            previous,
            epsilon: f64::EPSILON,
        }
    }

    /// The same in single precision.
    pub fn narrow(self) -> Constants<f32> {
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
            correction: self.correction,
            previous: self.previous.map(|(root, correction)| (root as f32, correction)),
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

/// One coordinate's update; returns (√v̂, m/(√v̂ + ε)).
#[inline(always)]
pub fn advance<T: Real>(p: &mut T, g: T, m: &mut T, v: &mut T, c: &Constants<T>) -> (T, T) {
    let g = g * c.scale;
    *m = *m + (g - *m) * c.rest1;
    *v = *v * c.beta2 + c.rest2 * g * g;
    let root = v.sqrt() / c.root_correction;
    let direction = *m / (root + c.eps);
    *p = *p * c.keep - c.step_size * direction;
    (root, direction)
}

/// The parameters before the update, √v̂ and m/(√v̂ + ε), from the state after it.
#[inline(always)]
pub fn retreat<T: Real>(
    p: &[T],
    m: &[T],
    v: &[T],
    a: &mut [T],
    root: &mut [T],
    q: &mut [T],
    c: &Constants<T>,
) {
    let len = p.len();
    let (m, v) = (&m[..len], &v[..len]);
    let (a, root, q) = (&mut a[..len], &mut root[..len], &mut q[..len]);
    for i in 0..len {
        root[i] = v[i].sqrt() / c.root_correction;
        q[i] = m[i] / (root[i] + c.eps);
        a[i] = (p[i] + c.step_size * q[i]) / c.keep;
    }
}
