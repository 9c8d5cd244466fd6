//! AdamW's pass over the parameters with [`Sums`] taken on the way, and the same sums from a checkpoint.
//!
//! Parameters are taken in pieces of whole rows. A piece is worked on in blocks that stay in the first-level cache: the
//! update itself, element by element as in the plain pass and to the same bits, then short loops for a few sums each.
//!
//! The update before is recomputed from the moments as they were, which costs a root and two divisions
//! and saves a vector of n numbers.

use rayon::prelude::*;

use super::constants::{Constants, advance, retreat};
use super::totals::{AP, BLOCK, MG, Totals, UG};
use crate::base::simd;
use crate::optim::part::{Piece, pieces, take, take_mut};
use crate::optim::real::{Real, three_sums, two_sums};
use crate::optim::sums::join;
use crate::optim::{Part, Sums};

/// One update of everything, and its sums.
pub fn update<T: Real>(
    parts: &[Part],
    constants: Constants<T>,
    mut p: &mut [T],
    mut g: &[T],
    mut m: &mut [T],
    mut v: &mut [T],
) -> Vec<(Part, Sums)> {
    let mut tasks = Vec::new();
    for Piece { index, part, len } in pieces(parts) {
        let (p, g) = (take_mut(&mut p, len), take(&mut g, len));
        tasks.push((index, part, p, g, take_mut(&mut m, len), take_mut(&mut v, len)));
    }
    let sums = tasks.into_par_iter().map(|(index, part, p, g, m, v)| {
        let constants = constants.of_part(part);
        let sums = simd::dispatch(
            #[inline(always)]
            || update_piece(part, &constants, p, g, m, v),
        );
        (index, sums)
    });
    join(parts, sums.collect())
}

/// The sums of the update that led to p, m and v, with p as it was rebuilt.
pub fn rebuild<T: Real>(
    parts: &[Part],
    constants: Constants<T>,
    mut p: &[T],
    mut m: &[T],
    mut v: &[T],
) -> Vec<(Part, Sums)> {
    let mut tasks = Vec::new();
    for Piece { index, part, len } in pieces(parts) {
        tasks.push((index, part, take(&mut p, len), take(&mut m, len), take(&mut v, len)));
    }
    let sums = tasks.into_par_iter().map(|(index, part, p, m, v)| {
        let constants = constants.of_part(part);
        let sums = simd::dispatch(
            #[inline(always)]
            || rebuild_piece(part, &constants, p, m, v),
        );
        (index, sums)
    });
    join(parts, sums.collect())
}

/// Blocks of a piece, (start, length): whole rows, or parts of one row.
#[inline(always)]
fn blocks(columns: usize, len: usize) -> impl Iterator<Item = (usize, usize)> {
    let group = if columns <= BLOCK { BLOCK / columns * columns } else { columns };
    (0..len).step_by(group).flat_map(move |start| {
        let end = (start + group).min(len);
        (start..end).step_by(BLOCK).map(move |at| (at, BLOCK.min(end - at)))
    })
}

/// Buffers of one block.
struct Block<T> {
    /// Parameters before the update.
    a: [T; BLOCK],
    /// m/(√v̂ + ε).
    q: [T; BLOCK],
    /// √v̂.
    root: [T; BLOCK],
    /// The clipped gradient.
    g: [T; BLOCK],
    /// q of the update before.
    before: [T; BLOCK],
}

impl<T: Real> Block<T> {
    #[inline(always)]
    fn new() -> Self {
        let zeros = [T::ZERO; BLOCK];
        Block { a: zeros, q: zeros, root: zeros, g: zeros, before: zeros }
    }
}

#[inline(always)]
fn update_piece<T: Real>(
    part: &Part,
    c: &Constants<T>,
    p: &mut [T],
    g: &[T],
    m: &mut [T],
    v: &mut [T],
) -> Sums {
    let (mut b, mut totals) = (Block::new(), Totals::new());
    for (start, len) in blocks(part.columns, p.len()) {
        let range = start..start + len;
        let (p, g) = (&mut p[range.clone()], &g[range.clone()]);
        let (m, v) = (&mut m[range.clone()], &mut v[range]);
        b.a[..len].copy_from_slice(p);
        scaled(&mut b.g[..len], g, c.scale);
        let clipped = &b.g[..len];
        three_sums(totals.slots(MG), m, clipped, clipped, |m, g, _| m * g, |m, _, _| m * m, |_, g, _| g * g);
        if let Some((root_correction, _)) = c.previous {
            direction(&mut b.before[..len], m, v, T::ONE / root_correction, c.eps);
        }
        advance_block(p, g, m, v, &mut b.root[..len], &mut b.q[..len], c);
        let (a, q, root, g) = (&b.a[..len], &b.q[..len], &b.root[..len], &b.g[..len]);
        let eps = c.eps;
        let squared_ratio = |_, g, root| {
            let x = g / if root > eps { root } else { eps };
            x * x
        };
        two_sums(totals.slots(UG), q, g, root, |q, g, _| q * g, squared_ratio);
        if c.previous.is_some() {
            let before = &b.before[..len];
            three_sums(totals.slots(AP), a, q, before, |a, _, p| a * p, |_, q, p| q * p, |_, _, p| p * p);
        }
        totals.add(part, c, a, q, root, v);
    }
    totals.finish(c, p.len())
}

#[inline(always)]
fn rebuild_piece<T: Real>(part: &Part, c: &Constants<T>, p: &[T], m: &[T], v: &[T]) -> Sums {
    let (mut b, mut totals) = (Block::new(), Totals::new());
    for (start, len) in blocks(part.columns, p.len()) {
        let range = start..start + len;
        let (p, m, v) = (&p[range.clone()], &m[range.clone()], &v[range]);
        retreat(p, m, v, &mut b.a[..len], &mut b.root[..len], &mut b.q[..len], c);
        totals.add(part, c, &b.a[..len], &b.q[..len], &b.root[..len], v);
    }
    totals.finish(c, p.len())
}

#[inline(always)]
fn scaled<T: Real>(out: &mut [T], g: &[T], scale: T) {
    for (out, g) in out.iter_mut().zip(g) {
        *out = *g * scale;
    }
}

#[inline(always)]
fn direction<T: Real>(out: &mut [T], m: &[T], v: &[T], root_scale: T, eps: T) {
    let len = out.len();
    let (m, v) = (&m[..len], &v[..len]);
    for i in 0..len {
        out[i] = m[i] / (v[i].sqrt() * root_scale + eps);
    }
}

#[inline(always)]
fn advance_block<T: Real>(
    p: &mut [T],
    g: &[T],
    m: &mut [T],
    v: &mut [T],
    root: &mut [T],
    q: &mut [T],
    c: &Constants<T>,
) {
    let len = p.len();
    let (g, m, v) = (&g[..len], &mut m[..len], &mut v[..len]);
    let (root, q) = (&mut root[..len], &mut q[..len]);
    for i in 0..len {
        (root[i], q[i]) = advance(&mut p[i], g[i], &mut m[i], &mut v[i], c);
    }
}
