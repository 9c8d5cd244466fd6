//! Attention, composed. Here P is (B, H, T, T), Ṗ and D (B, H, K, T, T), zero above the diagonal.

use burn::backend::tensor::FloatTensor as F;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::TensorData;

use crate::kernels::array::Array;
use crate::kernels::heads::Heads;

/// (N, K, parts·C) to `parts` arrays (B, H, K, T, d).
fn split<B: Backend>(x: Array<B>, parts: usize, heads: Heads) -> Vec<Array<B>> {
    let Heads { batch, seq, n_head } = heads;
    let (k, d) = (x.dim(1), x.dim(2) / parts / n_head);
    let x = x.reshape([batch, seq, k, parts, n_head, d]).permute(&[3, 0, 4, 2, 1, 5]);
    (0..parts).map(|i| x.clone().part(0, i, 1).reshape([batch, n_head, k, seq, d])).collect()
}

/// The inverse of [`split`].
fn join<B: Backend>(parts: Vec<Array<B>>, heads: Heads) -> F<B> {
    let Heads { batch, seq, n_head } = heads;
    let (k, d, count) = (parts[0].dim(2), parts[0].dim(4), parts.len());
    let parts = parts
        .into_iter()
        .map(|p| p.permute(&[0, 3, 2, 1, 4]).reshape([batch * seq, k, 1, n_head * d]).0)
        .collect();
    Array::<B>(B::float_cat(parts, 2)).reshape([batch * seq, k, count * n_head * d]).0
}

/// (N, C) as (N, 1, C).
fn lift<B: Backend>(x: F<B>) -> Array<B> {
    let x = Array::<B>(x);
    let (n, c) = (x.dim(0), x.dim(1));
    x.reshape([n, 1, c])
}

/// 0 on and below the diagonal, a number that the softmax turns into 0 above it.
fn causal<B: Backend>(like: &Array<B>, seq: usize) -> Array<B> {
    let mask: Vec<f64> = (0..seq * seq).map(|i| if i % seq > i / seq { -1e30 } else { 0.0 }).collect();
    let data = TensorData::new(mask, [1, 1, 1, seq, seq]).convert_dtype(like.0.dtype());
    Array(B::float_from_data(data, &like.0.device()))
}

fn scale(x: &Array<impl Backend>) -> f64 {
    1.0 / (x.dim(4) as f64).sqrt()
}

pub fn attention<B: Backend>(qkv: F<B>, heads: Heads) -> (F<B>, F<B>, F<B>) {
    let [q, k, v] = three(split(lift::<B>(qkv), 3, heads));
    let scale = scale(&q);
    let s = q.matmul(k.t()).scale(scale);
    // exp of the mask is 1 where a key is seen and 0 elsewhere
    let mask = causal(&s, heads.seq);
    let norm = Array::<B>(B::float_sqrt((s.clone() * mask.clone().exp()).square().sum(4).0));
    let s = s + mask;
    let top = s.clone().max(4);
    let s = s - top.clone();
    let e = s.clone().exp();
    let total = e.clone().sum(4);
    let p = e * Array(B::float_recip(total.clone().0));
    let entropy = total.log() - (p.clone() * s).sum(4);
    let statistics = Array::<B>(B::float_cat(vec![entropy.0, top.0, norm.0], 4));
    let statistics = statistics.reshape([heads.batch, heads.n_head, heads.seq, 3]);
    let out = p.clone().matmul(v);
    let (n, c) = (heads.batch * heads.seq, out.dim(4) * heads.n_head);
    let out = Array::<B>(join(vec![out], heads)).reshape([n, c]);
    (out.0, p.reshape([heads.batch, heads.n_head, heads.seq, heads.seq]).0, statistics.0)
}

pub fn tangent<B: Backend>(qkv: F<B>, p: F<B>, qkv_dot: F<B>, heads: Heads) -> (F<B>, F<B>) {
    let [q, k, v] = three(split(lift::<B>(qkv), 3, heads));
    let [q_dot, k_dot, v_dot] = three(split(Array::<B>(qkv_dot), 3, heads));
    let p = Array::<B>(p).reshape([heads.batch, heads.n_head, 1, heads.seq, heads.seq]);
    let scale = scale(&q);
    let s_dot = (q_dot.matmul(k.t()) + q.matmul(k_dot.t())).scale(scale);
    let p_dot = p.clone() * (s_dot.clone() - (p.clone() * s_dot).sum(4));
    let out_dot = p_dot.clone().matmul(v) + p.matmul(v_dot);
    (join(vec![out_dot], heads), p_dot.0)
}

pub fn backward<B: Backend>(qkv: F<B>, p: F<B>, g_out: F<B>, heads: Heads) -> (F<B>, F<B>) {
    let [q, k, v] = three(split(lift::<B>(qkv), 3, heads));
    let g_out = split(Array::<B>(g_out), 1, heads).remove(0);
    let p = Array::<B>(p).reshape([heads.batch, heads.n_head, 1, heads.seq, heads.seq]);
    let scale = scale(&q);
    let a = g_out.clone().matmul(v.t());
    let centred = a.clone() - (p.clone() * a).sum(4);
    let g_s = (p.clone() * centred.clone()).scale(scale);
    let g_q = g_s.clone().matmul(k);
    let g_k = g_s.t().matmul(q);
    let g_v = p.t().matmul(g_out);
    (join(vec![g_q, g_k, g_v], heads), centred.0)
}

pub fn backward_tangent<B: Backend>(
    qkv: F<B>,
    p: F<B>,
    centred: F<B>,
    g_out: F<B>,
    qkv_dot: F<B>,
    p_dot: F<B>,
    g_out_dot: F<B>,
    heads: Heads,
) -> F<B> {
    let [q, k, v] = three(split(lift::<B>(qkv), 3, heads));
    let [q_dot, k_dot, v_dot] = three(split(Array::<B>(qkv_dot), 3, heads));
    let g_out = split(lift::<B>(g_out), 1, heads).remove(0);
    let g_out_dot = split(Array::<B>(g_out_dot), 1, heads).remove(0);
    let p = Array::<B>(p).reshape([heads.batch, heads.n_head, 1, heads.seq, heads.seq]);
    let (p_dot, centred) = (Array::<B>(p_dot), Array::<B>(centred));
    let scale = scale(&q);

    // rowsum(P A) = A − D, so the tangent of the row sum needs A only through D:
    // Ḋ = Ȧ − rowsum(Ṗ A + P Ȧ), and rowsum(Ṗ A) = rowsum(Ṗ D) because the rows of Ṗ sum to 0
    let a_dot = g_out_dot.clone().matmul(v.t()) + g_out.clone().matmul(v_dot.t());
    let sums = (p_dot.clone() * centred.clone() + p.clone() * a_dot.clone()).sum(4);
    let centred_dot = a_dot - sums;
    let g_s = (p.clone() * centred.clone()).scale(scale);
    let g_s_dot = (p_dot.clone() * centred + p.clone() * centred_dot).scale(scale);
    let g_q_dot = g_s_dot.clone().matmul(k) + g_s.clone().matmul(k_dot);
    let g_k_dot = g_s_dot.t().matmul(q) + g_s.t().matmul(q_dot);
    let g_v_dot = p_dot.t().matmul(g_out) + p.t().matmul(g_out_dot);
    join(vec![g_q_dot, g_k_dot, g_v_dot], heads)
}

fn three<B: Backend>(parts: Vec<Array<B>>) -> [Array<B>; 3] {
    parts.try_into().expect("split was asked for three parts")
}
