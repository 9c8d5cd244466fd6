//! Norms of the gradients of pieces of a batch, and their products with a given vector.
//!
//! A matrix gᵀ x is formed in tiles that stay in a core's cache, where both sums are taken. The Gram matrices of a
//! piece are smaller where it has few tokens, but the product with m is then a GEMM of its own, as long as the
//! forming: what is saved is only the work per number of gᵀ x beside its multiplications.

use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::float::Float;
use super::gemm::{Mat, MatMut, gemm};
use super::linear::linear;
use super::storage::{Input, ids, optional, output, unfilled};
use crate::base::simd;

/// Numbers of a tile.
const TILE: usize = 1 << 14;
/// Columns of a tile, at most.
const COLUMNS: usize = 512;
/// What forming, squaring and adding up one number costs beside its multiplications, in those of Gram matrices:
/// measured, between 8 (f64) and 16 (f32) with AVX-512 for widths of 128 to 1536.
const PER_NUMBER: usize = 12;
/// Sums that run side by side.
const LANES: usize = 16;

/// Whether Gram matrices are cheaper than the gradient of a piece: rows² (I + O) against PER_NUMBER · I · O.
fn by_gram(rows: usize, i: usize, o: usize) -> bool {
    rows * rows * (i + o) < PER_NUMBER * i * o
}

pub fn product<E: Float>(x: FlexTensor, g: FlexTensor, m: FlexTensor, rows: usize) -> FlexTensor {
    let m_x = |x: FlexTensor, m: FlexTensor| linear::<E>(x, m, None, None);
    let (i, o) = (x.layout().shape()[1], g.layout().shape()[1]);
    let gram = by_gram(rows, i, o).then(|| Input::<E>::new(m_x(x.clone(), m.clone())));
    let (x, g, m) = (Input::<E>::new(x), Input::<E>::new(g), Input::<E>::new(m));
    let moments = match gram {
        Some(m_x) => {
            let pieces = g.get().par_chunks(rows * o).zip(x.get().par_chunks(rows * i));
            let of_piece = |((g, x), m_x)| [gram_norm(g, o, x, i, rows), dots(g, m_x)[1]];
            pieces.zip(m_x.get().par_chunks(rows * o)).map(of_piece).collect()
        }
        None => formed(g.get(), o, x.get(), i, m.get(), rows, &|_, _, _| {}),
    };
    pairs(moments)
}

/// ⟨g gᵀ, x xᵀ⟩ of one piece.
fn gram_norm<E: Float>(g: &[E], o: usize, x: &[E], i: usize, rows: usize) -> f64 {
    let square = |a: &[E], width: usize| {
        let mut out = unfilled::<E>(rows * rows);
        gemm(MatMut::full(&mut out, rows), false, E::ONE, Mat::full(a, width), Mat::full(a, width).t());
        out
    };
    dots(&square(g, o), &square(x, i))[1]
}

/// Which entries of a piece's gradient a tile has.
pub struct Tile {
    pub row: usize,
    pub rows: usize,
    pub column: usize,
    pub columns: usize,
}

/// Of each piece, forms gᵀ x (O, I) tile by tile, lets `add` put what belongs onto it, and takes both sums.
/// `add` gets the piece, the tile and its numbers, row-major.
pub fn formed<E: Float>(
    g: &[E],
    o: usize,
    x: &[E],
    i: usize,
    m: &[E],
    rows: usize,
    add: &(dyn Fn(usize, &Tile, &mut [E]) + Sync),
) -> Vec<[f64; 2]> {
    let columns = i.min(COLUMNS);
    let height = (TILE / columns).clamp(1, o);
    let blocks = o.div_ceil(height);
    let pieces = x.len() / (rows * i);
    // each block of rows is one task, so that a few pieces still occupy every thread
    let of_block = |buffer: &mut Vec<E>, task: usize| {
        let (piece, row) = (task / blocks, task % blocks * height);
        let count = height.min(o - row);
        let g = Mat::new(&g[piece * rows * o + row..], rows, count, o).t();
        let mut sums = [0.0; 2];
        for column in (0..i).step_by(columns) {
            let columns = columns.min(i - column);
            let numbers = &mut buffer[..count * columns];
            let x = Mat::new(&x[piece * rows * i + column..], rows, columns, i);
            gemm(MatMut::full(numbers, columns), false, E::ONE, g, x);
            add(piece, &Tile { row, rows: count, column, columns }, numbers);
            let [own, with] = strided_dots(numbers, &m[row * i + column..], columns, i);
            sums = [sums[0] + own, sums[1] + with];
        }
        sums
    };
    let tasks = (0..pieces * blocks).into_par_iter();
    let sums: Vec<[f64; 2]> = tasks.map_init(|| unfilled::<E>(height * columns), of_block).collect();
    let total = |blocks: &[[f64; 2]]| blocks.iter().fold([0.0; 2], |a, b| [a[0] + b[0], a[1] + b[1]]);
    sums.chunks_exact(blocks).map(total).collect()
}

pub fn sum<E: Float>(g: FlexTensor, x: Option<FlexTensor>, m: FlexTensor, rows: usize) -> FlexTensor {
    let (g, x, m) = (Input::<E>::new(g), optional::<E>(x), Input::<E>::new(m));
    let c = g.dim(1);
    let of_piece = |(piece, g): (usize, &[E])| {
        let x = x.as_ref().map(|x| &x.get()[piece * rows * c..][..rows * c]);
        let mut sums = vec![0.0; c];
        for (row, g) in g.chunks_exact(c).enumerate() {
            add_row(&mut sums, g, x.map(|x| &x[row * c..][..c]));
        }
        sum_dots(&sums, m.get())
    };
    pairs(g.get().par_chunks(rows * c).enumerate().map(of_piece).collect())
}

pub fn scatter<E: Float>(tokens: FlexTensor, g_x: FlexTensor, m: FlexTensor, rows: usize) -> FlexTensor {
    let (g_x, m) = (Input::<E>::new(g_x), Input::<E>::new(m));
    let c = g_x.dim(1);
    let of_piece = |places: &Vec<(usize, usize)>| {
        let mut sums = vec![0.0; c];
        let mut moments = [0.0; 2];
        for group in places.chunk_by(|a, b| a.0 == b.0) {
            sums.fill(0.0);
            group.iter().for_each(|(_, token)| add_row(&mut sums, &g_x.get()[token * c..][..c], None));
            let [own, with] = sum_dots(&sums, &m.get()[group[0].0 * c..][..c]);
            moments = [moments[0] + own, moments[1] + with];
        }
        moments
    };
    pairs(sorted(&ids(&tokens), rows).par_iter().map(of_piece).collect())
}

/// Of each piece, (id, token) in the order of the ids: the tokens of one id lie together.
pub fn sorted(ids: &[usize], rows: usize) -> Vec<Vec<(usize, usize)>> {
    let of_piece = |(piece, ids): (usize, &[usize])| {
        let mut places: Vec<_> = ids.iter().copied().zip(piece * rows..).collect();
        places.sort_unstable();
        places
    };
    ids.chunks_exact(rows).enumerate().map(of_piece).collect()
}

/// A result of one pair per piece.
pub fn pairs(moments: Vec<[f64; 2]>) -> FlexTensor {
    let pieces = moments.len();
    output(moments.into_iter().flatten().collect::<Vec<f64>>(), [pieces, 2])
}

/// sums += g, or g∘x.
fn add_row<E: Float>(sums: &mut [f64], g: &[E], x: Option<&[E]>) {
    simd::dispatch(
        #[inline(always)]
        || match x {
            Some(x) => {
                sums.iter_mut().zip(g).zip(x).for_each(|((sum, g), x)| *sum += g.wide() * x.wide());
            }
            None => sums.iter_mut().zip(g).for_each(|(sum, g)| *sum += g.wide()),
        },
    );
}

/// [Σ a², Σ a b].
fn dots<E: Float>(a: &[E], b: &[E]) -> [f64; 2] {
    strided_dots(a, b, a.len(), a.len())
}

/// [Σ a², Σ a b] of a, whose rows have `columns` numbers, and b, whose rows begin every `stride`.
fn strided_dots<E: Float>(a: &[E], b: &[E], columns: usize, stride: usize) -> [f64; 2] {
    simd::dispatch(
        #[inline(always)]
        || {
            let mut sums = Sums::default();
            for (a, b) in a.chunks_exact(columns).zip(b.chunks(stride)) {
                sums.add(a, &b[..columns], E::wide);
            }
            sums.total()
        },
    )
}

/// [Σ a², Σ a b].
fn sum_dots<E: Float>(a: &[f64], b: &[E]) -> [f64; 2] {
    simd::dispatch(
        #[inline(always)]
        || {
            let mut sums = Sums::default();
            sums.add(a, b, |a| a);
            sums.total()
        },
    )
}

/// Several sums at a time, in an order that does not depend on the instruction set.
#[derive(Default)]
struct Sums {
    own: [f64; LANES],
    with: [f64; LANES],
}

impl Sums {
    #[inline(always)]
    fn add<A: Copy, E: Float>(&mut self, a: &[A], b: &[E], wide: impl Fn(A) -> f64) {
        // in registers, which `self` would not be
        let (mut own, mut with) = (self.own, self.with);
        let (a, a_rest) = a.as_chunks::<LANES>();
        let (b, b_rest) = b.as_chunks::<LANES>();
        for (a, b) in a.iter().zip(b) {
            for l in 0..LANES {
                let x = wide(a[l]);
                own[l] += x * x;
                with[l] += x * b[l].wide();
            }
        }
        for (l, (a, b)) in a_rest.iter().zip(b_rest).enumerate() {
            let x = wide(*a);
            own[l] += x * x;
            with[l] += x * b.wide();
        }
        (self.own, self.with) = (own, with);
    }

    #[inline(always)]
    fn total(&self) -> [f64; 2] {
        [self.own.iter().sum(), self.with.iter().sum()]
    }
}
