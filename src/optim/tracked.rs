//! AdamW's pass over the parameters with [`Sums`] taken on the way, and the same sums from a checkpoint.
//!
//! Parameters are taken in pieces of whole rows, cut at fixed places, so that no sum depends on the number
//! of threads. A piece is worked on in blocks that stay in the first-level cache: the update itself,
//! element by element as in the plain pass and to the same bits, then short loops for a few sums each.
//!
//! The update before is recomputed from the moments as they were, which costs a root and two divisions
//! and saves a vector of n numbers.

use rayon::prelude::*;

use super::adamw::{Constants, advance};
use super::real::{LANES, Real, fold, three_sums, two_sums, wide_lanes, widen};
use super::statistics::{Part, Sums, arc, has_angle};

/// Numbers a thread takes at a time, about.
const PIECE: usize = 1 << 14;
/// Numbers summed in the parameters' precision.
const BLOCK: usize = 512;

/// What a pass needs to know beside the constants of the update.
#[derive(Clone, Copy)]
pub(super) struct Pass<T> {
    pub constants: Constants<T>,
    /// 1 − β1^t.
    pub correction: f64,
    /// √(1 − β2^(t−1)), and 1 − β1^(t−1); absent at the first update.
    pub previous: Option<(T, f64)>,
}

/// A piece of a tensor.
struct Piece<'a> {
    index: usize,
    part: &'a Part,
    len: usize,
}

/// Pieces of whole rows that cover all parts in order.
fn pieces(parts: &[Part]) -> Vec<Piece<'_>> {
    let cut = |(index, part)| {
        let part: &Part = part;
        let stride = (PIECE / part.columns).max(1) * part.columns;
        (0..part.len()).step_by(stride).map(move |at| Piece { index, part, len: stride.min(part.len() - at) })
    };
    parts.iter().enumerate().flat_map(cut).collect()
}

/// The sums of each part from those of its pieces.
fn join(parts: &[Part], sums: Vec<(usize, Sums)>) -> Vec<(Part, Sums)> {
    let mut joined: Vec<(Part, Sums)> = parts.iter().map(|part| (part.clone(), Sums::default())).collect();
    sums.into_iter().for_each(|(index, sums)| joined[index].1 += sums);
    joined
}

/// One update of everything, and its sums.
pub(super) fn update<T: Real>(
    parts: &[Part],
    pass: Pass<T>,
    mut p: &mut [T],
    mut g: &[T],
    mut m: &mut [T],
    mut v: &mut [T],
) -> Vec<(Part, Sums)> {
    let mut tasks = Vec::new();
    for piece in pieces(parts) {
        let (p_head, p_rest) = std::mem::take(&mut p).split_at_mut(piece.len);
        let (g_head, g_rest) = g.split_at(piece.len);
        let (m_head, m_rest) = std::mem::take(&mut m).split_at_mut(piece.len);
        let (v_head, v_rest) = std::mem::take(&mut v).split_at_mut(piece.len);
        (p, g, m, v) = (p_rest, g_rest, m_rest, v_rest);
        tasks.push((piece, p_head, g_head, m_head, v_head));
    }
    let sums = tasks.into_par_iter().map(|(piece, p, g, m, v)| {
        let pass = Pass { constants: pass.constants.of_part(piece.part), ..pass };
        let sums = crate::base::simd::dispatch(
            #[inline(always)]
            || update_piece(piece.part, &pass, p, g, m, v),
        );
        (piece.index, sums)
    });
    join(parts, sums.collect())
}

/// The sums of the update that led to p, m and v, with p as it was rebuilt.
pub(super) fn rebuild<T: Real>(
    parts: &[Part],
    pass: Pass<T>,
    p: &[T],
    m: &[T],
    v: &[T],
) -> Vec<(Part, Sums)> {
    let mut at = 0;
    let tasks: Vec<(Piece<'_>, usize)> = pieces(parts)
        .into_iter()
        .map(|piece| {
            let start = at;
            at += piece.len;
            (piece, start)
        })
        .collect();
    let sums = tasks.into_par_iter().map(|(piece, start)| {
        let range = start..start + piece.len;
        let pass = Pass { constants: pass.constants.of_part(piece.part), ..pass };
        let (p, m, v) = (&p[range.clone()], &m[range.clone()], &v[range]);
        let sums = crate::base::simd::dispatch(
            #[inline(always)]
            || rebuild_piece(piece.part, &pass, p, m, v),
        );
        (piece.index, sums)
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

/// Sums of a block that need not be known by row: a slot of lanes each.
const FLOOR: usize = 0;
const SIGN_LIKE: usize = 1;
const MG: usize = 2;
const MM: usize = 3;
const GG: usize = 4;
const UG: usize = 5;
const RATIO: usize = 6;
const AP: usize = 7;
const UP: usize = 8;
const PP: usize = 9;
const SLOTS: usize = 10;
/// Rows of a block whose sums are added up at a time, three sums each.
const ROWS: usize = 16;

/// Sums of a piece while it is read.
struct Totals<T> {
    block: [T; SLOTS * LANES],
    wide: [f64; SLOTS * LANES],
    v: [f64; LANES],
    vv: [f64; LANES],
    rows: [T; 3 * ROWS * LANES],
    half: [T; 3 * ROWS * LANES / 2],
    row: Row,
    sums: Sums,
}

/// A neuron's sums while its row is read.
#[derive(Default)]
struct Row {
    read: usize,
    aa: f64,
    aq: f64,
    qq: f64,
}

impl<T: Real> Block<T> {
    #[inline(always)]
    fn new() -> Self {
        let zeros = [T::ZERO; BLOCK];
        Block { a: zeros, q: zeros, root: zeros, g: zeros, before: zeros }
    }
}

impl<T: Real> Totals<T> {
    #[inline(always)]
    fn new() -> Self {
        Totals {
            block: [T::ZERO; SLOTS * LANES],
            wide: [0.0; SLOTS * LANES],
            v: [0.0; LANES],
            vv: [0.0; LANES],
            rows: [T::ZERO; 3 * ROWS * LANES],
            half: [T::ZERO; 3 * ROWS * LANES / 2],
            row: Row::default(),
            sums: Sums::default(),
        }
    }

    #[inline(always)]
    fn slots(&mut self, first: usize) -> &mut [T] {
        &mut self.block[first * LANES..]
    }
}

#[inline(always)]
fn update_piece<T: Real>(
    part: &Part,
    pass: &Pass<T>,
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
        scaled(&mut b.g[..len], g, pass.constants.scale);
        let clipped = &b.g[..len];
        three_sums(totals.slots(MG), m, clipped, clipped, |m, g, _| m * g, |m, _, _| m * m, |_, g, _| g * g);
        if let Some((root_correction, _)) = pass.previous {
            direction(&mut b.before[..len], m, v, T::ONE / root_correction, pass.constants.eps);
        }
        advance_block(p, g, m, v, &mut b.root[..len], &mut b.q[..len], &pass.constants);
        let (a, q, root, g) = (&b.a[..len], &b.q[..len], &b.root[..len], &b.g[..len]);
        let eps = pass.constants.eps;
        let squared_ratio = |_, g, root| {
            let x = g / if root > eps { root } else { eps };
            x * x
        };
        two_sums(totals.slots(UG), q, g, root, |q, g, _| q * g, squared_ratio);
        if pass.previous.is_some() {
            let before = &b.before[..len];
            three_sums(totals.slots(AP), a, q, before, |a, _, p| a * p, |_, q, p| q * p, |_, _, p| p * p);
        }
        state_sums(part, pass, a, q, root, v, &mut totals);
    }
    finish(pass, p.len(), &totals)
}

#[inline(always)]
fn rebuild_piece<T: Real>(part: &Part, pass: &Pass<T>, p: &[T], m: &[T], v: &[T]) -> Sums {
    let (mut b, mut totals) = (Block::new(), Totals::new());
    for (start, len) in blocks(part.columns, p.len()) {
        let range = start..start + len;
        let (p, m, v) = (&p[range.clone()], &m[range.clone()], &v[range]);
        rebuild_block(p, m, v, &mut b.a[..len], &mut b.root[..len], &mut b.q[..len], &pass.constants);
        state_sums(part, pass, &b.a[..len], &b.q[..len], &b.root[..len], v, &mut totals);
    }
    finish(pass, p.len(), &totals)
}

/// The sums that a state determines, and the end of a block.
#[inline(always)]
fn state_sums<T: Real>(
    part: &Part,
    pass: &Pass<T>,
    a: &[T],
    q: &[T],
    root: &[T],
    v: &[T],
    totals: &mut Totals<T>,
) {
    let c = &pass.constants;
    let (floor, large) = (T::narrow(10.0) * c.eps, T::narrow(0.9 * pass.correction));
    let floored = |root, _, _| if root < floor { T::ONE } else { T::ZERO };
    let sign_like = |_, q, _| if q * q > large * large { T::ONE } else { T::ZERO };
    two_sums(totals.slots(FLOOR), root, q, q, floored, sign_like);
    wide_lanes(&mut totals.v, v, |v| v);
    wide_lanes(&mut totals.vv, v, |v| v * v);
    widen(&mut totals.wide, &totals.block);

    let columns = part.columns.min(BLOCK);
    for (a, q) in a.chunks(columns * ROWS).zip(q.chunks(columns * ROWS)) {
        let mut used = 0;
        for (a, q) in a.chunks(columns).zip(q.chunks(columns)) {
            let lanes = &mut totals.rows[used..used + 3 * LANES];
            three_sums(lanes, a, q, q, |a, _, _| a * a, |a, q, _| a * q, |_, q, _| q * q);
            used += 3 * LANES;
        }
        fold(&mut totals.rows[..used], &mut totals.half);
        for (i, a) in a.chunks(columns).enumerate() {
            let row = &mut totals.row;
            row.aa += totals.rows[3 * i].wide();
            row.aq += totals.rows[3 * i + 1].wide();
            row.qq += totals.rows[3 * i + 2].wide();
            row.read += a.len();
            if row.read == part.columns {
                end_row(c, part.matrix, row, &mut totals.sums);
            }
        }
    }
}

/// Adds a row that was read to its end, and the angle of the neuron it is.
#[inline(always)]
fn end_row<T: Real>(c: &Constants<T>, neuron: bool, row: &mut Row, sums: &mut Sums) {
    let (keep, step) = (c.keep.wide(), c.step_size.wide());
    let change = step * step * row.qq;
    if neuron && has_angle(row.aa, change, c.epsilon) {
        let wedge = step * step * (row.aa * row.qq - row.aq * row.aq);
        sums.turned += arc(wedge, keep * row.aa - step * row.aq).powi(2);
        sums.neurons += 1.0;
    }
    sums.aa += row.aa;
    sums.au += row.aq;
    sums.uu += row.qq;
    *row = Row::default();
}

/// The sums of a piece, from m/(√v̂ + ε) to u, which the bias correction of m multiplies.
#[inline(always)]
fn finish<T: Real>(pass: &Pass<T>, n: usize, totals: &Totals<T>) -> Sums {
    let slot = |slot: usize| totals.wide[slot * LANES..(slot + 1) * LANES].iter().sum::<f64>();
    let c = 1.0 / pass.correction;
    let before = pass.previous.map_or(0.0, |(_, correction)| 1.0 / correction);
    Sums {
        n: n as f64,
        au: totals.sums.au * c,
        uu: totals.sums.uu * c * c,
        v: totals.v.iter().sum(),
        vv: totals.vv.iter().sum(),
        floor: slot(FLOOR),
        sign_like: slot(SIGN_LIKE),
        gg: slot(GG),
        ug: slot(UG) * c,
        mg: slot(MG),
        mm: slot(MM),
        ratio: slot(RATIO),
        ap: slot(AP) * before,
        up: slot(UP) * c * before,
        pp: slot(PP) * before * before,
        ..totals.sums
    }
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

/// The parameters before the update, √v̂ and m/(√v̂ + ε), from the state after it.
#[inline(always)]
pub(super) fn rebuild_block<T: Real>(
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
