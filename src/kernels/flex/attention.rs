//! Causal attention, one (sequence, head, direction) per task, by blocks of rows: only blocks that touch
//! the lower triangle are computed.
//!
//! The softmax has its sums in hand, so the statistics of its rows cost no pass of their own.

use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::blocks::{Block, blocks, place, primal, task};
use super::float::Float;
use super::gemm::{Mat, MatMut, Shared, gemm};
use super::lanes::{largest, map2, sum2, sum4, update0, update0_sum3, update1, update3};
use super::storage::{Input, output, unfilled};
use crate::base::simd;
use crate::kernels::heads::{BLOCK, Heads, kept};

pub fn attention<E: Float>(qkv: FlexTensor, heads: Heads) -> (FlexTensor, FlexTensor, FlexTensor) {
    let qkv = Input::<E>::new(qkv);
    let Heads { batch, seq, n_head } = heads;
    let (n, c) = (qkv.dim(0), qkv.dim(1) / 3);
    let d = c / n_head;
    let scale = E::of(1.0 / (d as f64).sqrt());
    let mut p = unfilled::<E>(batch * n_head * kept(seq));
    let mut statistics = unfilled::<E>(batch * n_head * seq * 3);
    let mut out = unfilled::<E>(n * c);
    let shared = Shared::new(&mut out);
    let tasks = p.par_chunks_mut(kept(seq)).zip(statistics.par_chunks_mut(seq * 3));
    tasks.enumerate().for_each(|(index, (p, statistics))| {
        let place = place(index, 1, heads, d);
        let (q, k, v) = (place.q(qkv.get()), place.k(qkv.get()), place.v(qkv.get()));
        for block in blocks(seq) {
            let Block { start, rows, cols, .. } = block;
            let numbers = block.of_mut(p);
            gemm(MatMut::full(numbers, cols), false, scale, q.slice(start, rows), k.slice(0, cols).t());
            let statistics = statistics[start * 3..].chunks_exact_mut(3);
            for (i, (row, statistics)) in numbers.chunks_exact_mut(cols).zip(statistics).enumerate() {
                statistics.copy_from_slice(&softmax(row, start + i + 1));
            }
            // SAFETY: one task per place
            #[allow(unsafe_code)]
            let out = unsafe { place.rows(shared, 0, 1, start, rows) };
            gemm(out, false, E::ONE, Mat::full(numbers, cols), v.slice(0, cols));
        }
    });
    (
        output(out, [n, c]),
        output(p, [batch, n_head, 1, kept(seq)]),
        output(statistics, [batch, n_head, seq, 3]),
    )
}

/// Softmax of the first `len` numbers; zeros behind them. Returns its entropy, and the largest and the
/// Euclidean norm of the numbers it was taken of.
fn softmax<E: Float>(row: &mut [E], len: usize) -> [E; 3] {
    simd::dispatch(
        #[inline(always)]
        || {
            let (row, rest) = row.split_at_mut(len);
            let top = largest(row);
            let [total, moment, square] = update0_sum3(row, |x| {
                let e = (x - top).exp();
                (e, [e, e * (x - top), x * x])
            });
            let scale = E::ONE / total;
            update0(row, |x| x * scale);
            rest.fill(E::ZERO);
            // log Z minus the mean logit, both relative to the largest
            let entropy = E::of(total.wide().ln() - moment.wide() / total.wide());
            [entropy.larger(E::ZERO), top, square.sqrt()]
        },
    )
}

pub fn tangent<E: Float>(
    qkv: FlexTensor,
    p: FlexTensor,
    qkv_dot: FlexTensor,
    heads: Heads,
) -> (FlexTensor, FlexTensor) {
    let (qkv, p, qkv_dot) = (Input::<E>::new(qkv), Input::<E>::new(p), Input::<E>::new(qkv_dot));
    let Heads { batch, seq, n_head } = heads;
    let (n, k, c) = (qkv_dot.dim(0), qkv_dot.dim(1), qkv_dot.dim(2) / 3);
    let d = c / n_head;
    let scale = E::of(1.0 / (d as f64).sqrt());
    let mut p_dot = unfilled::<E>(batch * n_head * k * kept(seq));
    let mut out_dot = unfilled::<E>(n * k * c);
    let shared = Shared::new(&mut out_dot);
    p_dot.par_chunks_mut(kept(seq)).enumerate().for_each(|(index, p_dot)| {
        let here = place(index, k, heads, d);
        let (x, x_dot) = (qkv.get(), qkv_dot.get());
        let at = primal(here);
        let p = task(p.get(), index / k, seq);
        for block in blocks(seq) {
            let Block { start, rows, cols, .. } = block;
            let numbers = block.of_mut(p_dot);
            let (q, k) = (here.q(x_dot).slice(start, rows), at.k(x).slice(0, cols));
            gemm(MatMut::full(numbers, cols), false, scale, q, k.t());
            let (q, k) = (at.q(x).slice(start, rows), here.k(x_dot).slice(0, cols));
            gemm(MatMut::full(numbers, cols), true, scale, q, k.t());
            for (i, row) in numbers.chunks_exact_mut(cols).enumerate() {
                let (len, p) = (start + i + 1, &block.of(p)[i * cols..]);
                simd::dispatch(
                    #[inline(always)]
                    || {
                        let (row, rest) = row.split_at_mut(len);
                        let mean = sum2(row, p, |x, p| x * p);
                        update1(row, p, |x, p| p * (x - mean));
                        rest.fill(E::ZERO);
                    },
                );
            }
            // SAFETY: one task per place
            #[allow(unsafe_code)]
            let out = || unsafe { here.rows(shared, 0, 1, start, rows) };
            gemm(out(), false, E::ONE, Mat::full(numbers, cols), at.v(x).slice(0, cols));
            let p = Mat::full(block.of(p), cols);
            gemm(out(), true, E::ONE, p, here.v(x_dot).slice(0, cols));
        }
    });
    (output(out_dot, [n, k, c]), output(p_dot, [batch, n_head, k, 1, kept(seq)]))
}

pub fn backward<E: Float>(
    qkv: FlexTensor,
    p: FlexTensor,
    g_out: FlexTensor,
    heads: Heads,
) -> (FlexTensor, FlexTensor) {
    let (qkv, p, g_out) = (Input::<E>::new(qkv), Input::<E>::new(p), Input::<E>::new(g_out));
    let Heads { batch, seq, n_head } = heads;
    let (n, k, c) = (g_out.dim(0), g_out.dim(1), g_out.dim(2));
    let d = c / n_head;
    let scale = E::of(1.0 / (d as f64).sqrt());
    let mut centred = unfilled::<E>(batch * n_head * k * kept(seq));
    let mut g_qkv = unfilled::<E>(n * k * 3 * c);
    let shared = Shared::new(&mut g_qkv);
    let scratch = || unfilled::<E>(BLOCK * seq);
    centred.par_chunks_mut(kept(seq)).enumerate().for_each_init(scratch, |g_s, (index, centred)| {
        let here = place(index, k, heads, d);
        let at = primal(here);
        let x = qkv.get();
        let g_out = here.view(g_out.get(), 0, 1);
        let p = task(p.get(), index / k, seq);
        // from the last block, which reaches all keys and so starts their sums
        for block in blocks(seq).rev() {
            let Block { start, rows, cols, .. } = block;
            let more = start + rows < seq;
            let numbers = block.of_mut(centred);
            let g_rows = g_out.slice(start, rows);
            gemm(MatMut::full(numbers, cols), false, E::ONE, g_rows, at.v(x).slice(0, cols).t());
            for (i, (row, g_s)) in numbers.chunks_exact_mut(cols).zip(g_s.chunks_exact_mut(cols)).enumerate()
            {
                let (len, p) = (start + i + 1, &block.of(p)[i * cols..]);
                simd::dispatch(
                    #[inline(always)]
                    || {
                        let mean = sum2(&row[..len], p, |x, p| x * p);
                        update0(row, |x| x - mean);
                        map2(g_s, row, p, |x, p| p * x);
                    },
                );
            }
            let g_s = Mat::new(g_s, rows, cols, cols);
            let p = Mat::full(block.of(p), cols);
            // SAFETY: one task per place, one part at a time
            #[allow(unsafe_code)]
            let part = |part, start, rows| unsafe { here.rows(shared, part, 3, start, rows) };
            gemm(part(0, start, rows), false, scale, g_s, at.k(x).slice(0, cols));
            gemm(part(1, 0, cols), more, scale, g_s.t(), at.q(x).slice(start, rows));
            gemm(part(2, 0, cols), more, E::ONE, p.t(), g_rows);
        }
    });
    (output(g_qkv, [n, k, 3 * c]), output(centred, [batch, n_head, k, 1, kept(seq)]))
}

pub fn backward_tangent<E: Float>(
    qkv: FlexTensor,
    p: FlexTensor,
    centred: FlexTensor,
    g_out: FlexTensor,
    qkv_dot: FlexTensor,
    p_dot: FlexTensor,
    g_out_dot: FlexTensor,
    heads: Heads,
) -> FlexTensor {
    let (qkv, p, centred) = (Input::<E>::new(qkv), Input::<E>::new(p), Input::<E>::new(centred));
    let (g_out, qkv_dot) = (Input::<E>::new(g_out), Input::<E>::new(qkv_dot));
    let (p_dot, g_out_dot) = (Input::<E>::new(p_dot), Input::<E>::new(g_out_dot));
    let Heads { batch, seq, n_head } = heads;
    let (n, k, c) = (g_out_dot.dim(0), g_out_dot.dim(1), g_out_dot.dim(2));
    let d = c / n_head;
    let scale = E::of(1.0 / (d as f64).sqrt());
    let mut g_qkv = unfilled::<E>(n * k * 3 * c);
    let shared = Shared::new(&mut g_qkv);
    let scratch = || (unfilled::<E>(BLOCK * seq), unfilled::<E>(BLOCK * seq));
    (0..batch * n_head * k).into_par_iter().for_each_init(scratch, |(g_s, g_s_dot), index| {
        let here = place(index, k, heads, d);
        let at = primal(here);
        let (x, x_dot) = (qkv.get(), qkv_dot.get());
        let (g, g_dot) = (at.view(g_out.get(), 0, 1), here.view(g_out_dot.get(), 0, 1));
        let (p, centred) = (task(p.get(), index / k, seq), task(centred.get(), index / k, seq));
        let p_dot = task(p_dot.get(), index, seq);
        for block in blocks(seq).rev() {
            let Block { start, rows, cols, .. } = block;
            let more = start + rows < seq;
            let (g, g_dot) = (g.slice(start, rows), g_dot.slice(start, rows));
            // Ȧ, in the place of ġ_S
            let dst = |a: &mut Vec<E>, more, g, v| gemm(MatMut::new(a, rows, cols, cols), more, E::ONE, g, v);
            dst(g_s_dot, false, g_dot, at.v(x).slice(0, cols).t());
            dst(g_s_dot, true, g, here.v(x_dot).slice(0, cols).t());
            for (i, (g_s, g_s_dot)) in
                g_s.chunks_exact_mut(cols).zip(g_s_dot.chunks_exact_mut(cols)).enumerate()
            {
                if i == rows {
                    break;
                }
                let (len, row) = (start + i + 1, i * cols);
                simd::dispatch(
                    #[inline(always)]
                    || {
                        let [p, centred, p_dot] = [p, centred, p_dot].map(|all| &block.of(all)[row..]);
                        let mean = sum4(&g_s_dot[..len], p, centred, p_dot, |a, p, centred, p_dot| {
                            p_dot * centred + p * a
                        });
                        map2(g_s, p, centred, |p, centred| p * centred);
                        update3(g_s_dot, p, centred, p_dot, |a, p, centred, p_dot| {
                            p_dot * centred + p * (a - mean)
                        });
                    },
                );
            }
            let (g_s, g_s_dot) = (Mat::new(g_s, rows, cols, cols), Mat::new(g_s_dot, rows, cols, cols));
            let p = Mat::full(block.of(p), cols);
            let p_dot = Mat::full(block.of(p_dot), cols);
            // SAFETY: one task per place, one part at a time
            #[allow(unsafe_code)]
            let part = |part, start, rows| unsafe { here.rows(shared, part, 3, start, rows) };
            gemm(part(0, start, rows), false, scale, g_s_dot, at.k(x).slice(0, cols));
            gemm(part(0, start, rows), true, scale, g_s, here.k(x_dot).slice(0, cols));
            gemm(part(1, 0, cols), more, scale, g_s_dot.t(), at.q(x).slice(start, rows));
            gemm(part(1, 0, cols), true, scale, g_s.t(), here.q(x_dot).slice(start, rows));
            gemm(part(2, 0, cols), more, E::ONE, p_dot.t(), g);
            gemm(part(2, 0, cols), true, E::ONE, p.t(), g_dot);
        }
    });
    output(g_qkv, [n, k, 3 * c])
}
