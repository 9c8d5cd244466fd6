//! Moments of gradients, composed. Every piece's gradient is held.

use burn::backend::tensor::{FloatTensor as F, IntTensor};
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::FloatDType;

use super::{cross_entropy, embedding};
use crate::kernels::array::Array;

/// (S, 2) of S gradients (S, P) and m (P), in f64.
fn moments<B: Backend>(g: Array<B>, m: Array<B>) -> F<B> {
    let wide = |x: Array<B>| Array::<B>(B::float_cast(x.0, FloatDType::F64));
    let (g, len) = (wide(g), m.dim(0));
    let own = g.clone().square().sum(1);
    let with = (g * wide(m).reshape([1, len])).sum(1);
    B::float_cat(vec![own.0, with.0], 1)
}

pub fn product<B: Backend>(x: F<B>, g: F<B>, m: F<B>, rows: usize) -> F<B> {
    let (x, g, m) = (Array::<B>(x), Array::<B>(g), Array::<B>(m));
    let (s, i, o) = (x.dim(0) / rows, x.dim(1), g.dim(1));
    let each = g.reshape([s, rows, o]).t().matmul(x.reshape([s, rows, i]));
    moments(each.reshape([s, o * i]), m.reshape([o * i]))
}

pub fn sum<B: Backend>(g: F<B>, x: Option<F<B>>, m: F<B>, rows: usize) -> F<B> {
    let g = Array::<B>(g);
    let (s, c) = (g.dim(0) / rows, g.dim(1));
    let terms = match x {
        Some(x) => g * Array::<B>(x),
        None => g,
    };
    moments(terms.reshape([s, rows, c]).sum(1).reshape([s, c]), Array::<B>(m))
}

/// Piece `s` of token ids (N).
fn piece<B: Backend>(ids: &IntTensor<B>, s: usize, rows: usize) -> IntTensor<B> {
    B::int_slice(ids.clone(), &[(s * rows..(s + 1) * rows).into()])
}

/// The table (1, V·C) with the rows of piece `s` added up.
fn table<B: Backend>(tokens: &IntTensor<B>, g_x: &Array<B>, v: usize, s: usize, rows: usize) -> Array<B> {
    let c = g_x.dim(1);
    let g_x = g_x.clone().part(0, s * rows, rows).reshape([rows, 1, c]);
    let (wte, _) = embedding::backward::<B>(piece::<B>(tokens, s, rows), g_x.0, rows, v, rows);
    Array::<B>(wte).reshape([1, v * c])
}

pub fn scatter<B: Backend>(tokens: IntTensor<B>, g_x: F<B>, m: F<B>, rows: usize) -> F<B> {
    let (g_x, m) = (Array::<B>(g_x), Array::<B>(m));
    let (v, c) = (m.dim(0), m.dim(1));
    let each = (0..g_x.dim(0) / rows).map(|s| table::<B>(&tokens, &g_x, v, s, rows).0).collect();
    moments(Array::<B>(B::float_cat(each, 0)), m.reshape([v * c]))
}

pub fn head<B: Backend>(
    h: F<B>,
    w: F<B>,
    targets: IntTensor<B>,
    lse: F<B>,
    p: F<B>,
    weight: f64,
    tokens: IntTensor<B>,
    g_x: Option<F<B>>,
    m: F<B>,
    rows: usize,
) -> F<B> {
    let (pieces, c, v) = (h.shape()[0] / rows, h.shape()[1], w.shape()[0]);
    let g_x = g_x.map(Array::<B>);
    let part = |x: &F<B>, s: usize| Array::<B>(x.clone()).part(0, s * rows, rows).0;
    let one = |s: usize| {
        let (h, lse, p) = (part(&h, s), part(&lse, s), part(&p, s));
        let targets = piece::<B>(&targets, s, rows);
        let (_, g_w) = cross_entropy::backward::<B>(h, w.clone(), targets, lse, p, weight);
        let added = g_x.as_ref().map(|g_x| table::<B>(&tokens, g_x, v, s, rows).0);
        Array::<B>(g_w).reshape([1, v * c]).plus(added).0
    };
    let each = (0..pieces).map(one).collect();
    moments(Array::<B>(B::float_cat(each, 0)), Array::<B>(m).reshape([v * c]))
}
