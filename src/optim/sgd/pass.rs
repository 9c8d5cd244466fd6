//! The passes over the parameters, with sums and without.

use rayon::prelude::*;

use crate::optim::part::{Piece, pieces, take, take_mut};
use crate::optim::real::Real;
use crate::optim::sums::{Row, join};
use crate::optim::{Part, Sums, Update};

/// What does not change while training.
#[derive(Debug, Clone, Copy)]
pub struct Sgd {
    /// μ.
    pub momentum: f64,
    /// λ of matrices.
    pub decay: f64,
    /// Whether the gradient looks ahead.
    pub nesterov: bool,
}

/// One update's numbers for a tensor, in the parameters' precision.
#[derive(Clone, Copy)]
pub struct Constants<T> {
    lr: T,
    clip: T,
    decay: T,
    momentum: T,
    nesterov: bool,
}

impl<T: Real> Constants<T> {
    pub fn new(sgd: &Sgd, update: &Update, part: &Part) -> Self {
        Constants {
            lr: T::narrow(update.lr * part.rate),
            clip: T::narrow(update.clip),
            decay: T::narrow(sgd.decay * part.decay),
            momentum: T::narrow(sgd.momentum),
            nesterov: sgd.nesterov,
        }
    }

    /// What is added to a buffer: g + λa.
    pub fn push(&self, a: T, g: T) -> T {
        g * self.clip + self.decay * a
    }

    /// u, of what was added to the buffer `b` and the buffer after.
    pub fn direction(&self, push: T, b: T) -> T {
        if self.nesterov { push + self.momentum * b } else { b }
    }
}

/// One coordinate's update; returns its direction. Without momentum the buffer is not kept.
#[inline(always)]
fn advance<T: Real>(p: &mut T, g: T, b: &mut T, c: &Constants<T>) -> T {
    let push = c.push(*p, g);
    *b = c.momentum * *b + push;
    let u = c.direction(push, *b);
    *p = *p - c.lr * u;
    u
}

/// Adds a coordinate to a row.
pub fn read(row: &mut Row, a: f64, u: f64) {
    row.read += 1;
    row.weight_sq += a * a;
    row.weight_direction += a * u;
    row.direction_sq += u * u;
}

/// Calls `work` on each piece of the parameters: its tensor, its numbers and its part of the buffer, which is made for
/// the purpose where none is kept.
fn each<T: Real, R: Send>(
    parts: &[Part],
    mut p: &mut [T],
    mut g: &[T],
    mut buffer: Option<&mut [T]>,
    work: impl Fn(&Part, &mut [T], &[T], &mut [T]) -> R + Sync,
) -> Vec<(usize, R)> {
    let mut tasks = Vec::new();
    for Piece { index, part, len } in pieces(parts) {
        let kept = buffer.as_mut().map(|buffer| take_mut(buffer, len));
        tasks.push((index, part, take_mut(&mut p, len), take(&mut g, len), kept));
    }
    let done = tasks.into_par_iter().map(|(index, part, p, g, kept)| match kept {
        Some(buffer) => (index, work(part, p, g, buffer)),
        None => (index, work(part, p, g, &mut vec![T::ZERO; g.len()])),
    });
    done.collect()
}

/// One update of everything.
pub fn update<T: Real>(
    sgd: &Sgd,
    update: &Update,
    parts: &[Part],
    p: &mut [T],
    g: &[T],
    buffer: Option<&mut [T]>,
) {
    each(parts, p, g, buffer, |part, p, g, buffer| {
        let c = Constants::new(sgd, update, part);
        for ((p, g), b) in p.iter_mut().zip(g).zip(buffer) {
            advance(p, *g, b, &c);
        }
    });
}

/// [`update`], to the same bits, with the sums of each tensor; `epsilon` is the distance from 1 to the next
/// number.
pub fn tracked<T: Real>(
    sgd: &Sgd,
    update: &Update,
    parts: &[Part],
    p: &mut [T],
    g: &[T],
    buffer: Option<&mut [T]>,
    epsilon: f64,
) -> Vec<(Part, Sums)> {
    // the buffer before was the update before, but for Nesterov's
    let knows_previous = !sgd.nesterov && update.t > 1;
    let sums = each(parts, p, g, buffer, |part, p, g, buffer| {
        let c = Constants::new(sgd, update, part);
        let (mut sums, mut row) = (Sums { n: p.len() as f64, ..Sums::default() }, Row::default());
        for ((p, g), b) in p.iter_mut().zip(g).zip(buffer) {
            let (a, m) = (p.wide(), b.wide());
            let u = advance(p, *g, b, &c).wide();
            let g = (*g * c.clip).wide();
            sums.gradient_sq += g * g;
            sums.direction_gradient += u * g;
            sums.momentum_gradient += m * g;
            sums.momentum_sq += m * m;
            if knows_previous {
                sums.weight_previous += a * m;
                sums.direction_previous += u * m;
                sums.previous_sq += m * m;
            }
            read(&mut row, a, u);
            if row.read == part.columns {
                row.end(part.matrix, 1.0, c.lr.wide(), epsilon, &mut sums);
            }
        }
        sums
    });
    join(parts, sums)
}
