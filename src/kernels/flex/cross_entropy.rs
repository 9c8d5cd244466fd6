//! The head and its loss, by chunks of the vocabulary where the logits are too large to hold.
//!
//! Small vocabularies keep their probabilities p (N, V) from the forward pass and are one chunk. Large ones
//! keep nothing; each chunk's logits are computed again, and the row sums Σ p ż, which need every chunk
//! before the first can be used, come from Σ p ż = ḣ·(p W) + h·(p Ẇ).

use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::super::cross_entropy::KEPT;
use super::float::Float;
use super::gemm::{Mat, MatMut, gemm, rows_per_task};
use super::lanes::{largest, sum1, sum2, sum4, update0, update1};
use super::storage::{Input, ids, output, unfilled};
use super::targets::subtract_targets;
use crate::base::simd;

/// Numbers of ż that are held at a time beyond that.
const CHUNK: usize = if cfg!(miri) { 32 } else { 1 << 23 };

pub fn cross_entropy<E: Float>(
    h: FlexTensor,
    w: FlexTensor,
    targets: FlexTensor,
) -> (FlexTensor, FlexTensor, FlexTensor) {
    let (h, w) = (Input::<E>::new(h), Input::<E>::new(w));
    let (n, c, v) = (h.dim(0), h.dim(1), w.dim(0));
    let targets = ids(&targets);
    let (mut nll, mut lse) = (unfilled::<E>(n), unfilled::<E>(n));
    let kept = n * v <= KEPT;
    let mut p = unfilled::<E>(if kept { n * v } else { 0 });
    if kept {
        let rows = rows_per_task(n, 2 * c * v);
        let outputs = p.par_chunks_mut(rows * v).zip(nll.par_chunks_mut(rows)).zip(lse.par_chunks_mut(rows));
        outputs.enumerate().for_each(|(task, ((p, nll), lse))| {
            let start = task * rows;
            let part = Mat::full(&h.get()[start * c..(start + nll.len()) * c], c);
            gemm(MatMut::full(p, v), false, E::ONE, part, Mat::full(w.get(), c).t());
            for (i, z) in p.chunks_exact_mut(v).enumerate() {
                let target = z[targets[start + i]];
                simd::dispatch(
                    #[inline(always)]
                    || {
                        let top = largest(z);
                        update0(z, |x| (x - top).exp());
                        let total = sum1(z, |x| x);
                        let scale = E::ONE / total;
                        update0(z, |x| x * scale);
                        lse[i] = top + E::of(total.wide().ln());
                    },
                );
                nll[i] = lse[i] - target;
            }
        });
    } else {
        streamed(h.get(), w.get(), c, &targets, &mut nll, &mut lse);
    }
    let p_shape = if kept { [n, v] } else { [0, v] };
    (output(nll, [n]), output(lse, [n]), output(p, p_shape))
}

/// Log-sum-exp over chunks: the largest logit so far and the sum relative to it.
fn streamed<E: Float>(h: &[E], w: &[E], c: usize, targets: &[usize], nll: &mut [E], lse: &mut [E]) {
    let (n, v) = (nll.len(), w.len() / c);
    let rows = rows_per_task(n, 2 * c * v);
    let width = (CHUNK / n).clamp(1, v);
    let outputs = nll.par_chunks_mut(rows).zip(lse.par_chunks_mut(rows));
    outputs.enumerate().for_each(|(task, (nll, lse))| {
        let start = task * rows;
        let count = nll.len();
        let part = Mat::full(&h[start * c..(start + count) * c], c);
        let mut z = unfilled::<E>(count * width);
        let mut running = vec![(f64::NEG_INFINITY, 0.0f64); count];
        for first in (0..v).step_by(width) {
            let width = width.min(v - first);
            let z = &mut z[..count * width];
            gemm(
                MatMut::full(z, width),
                false,
                E::ONE,
                part,
                Mat::full(&w[first * c..(first + width) * c], c).t(),
            );
            for (i, z) in z.chunks_exact_mut(width).enumerate() {
                if let Some(target) = targets[start + i].checked_sub(first).filter(|t| *t < width) {
                    nll[i] = z[target];
                }
                let (top, total) = running[i];
                let (here, sum_here) = simd::dispatch(
                    #[inline(always)]
                    || {
                        let top = largest(z);
                        (top.wide(), sum1(z, |x| (x - top).exp()).wide())
                    },
                );
                let new_top = if here > top { here } else { top };
                running[i] = (new_top, total * (top - new_top).exp() + sum_here * (here - new_top).exp());
            }
        }
        for i in 0..count {
            lse[i] = E::of(running[i].0 + running[i].1.ln());
            nll[i] = lse[i] - nll[i];
        }
    });
}

/// The primal pass of the head.
pub struct Head<E> {
    h: Input<E>,
    w: Input<E>,
    lse: Input<E>,
    p: Input<E>,
    n: usize,
    c: usize,
    v: usize,
}

impl<E: Float> Head<E> {
    pub fn new(h: FlexTensor, w: FlexTensor, lse: FlexTensor, p: FlexTensor) -> Self {
        let (h, w, lse, p) =
            (Input::<E>::new(h), Input::<E>::new(w), Input::<E>::new(lse), Input::<E>::new(p));
        let (n, c, v) = (h.dim(0), h.dim(1), w.dim(0));
        Head { h, w, lse, p, n, c, v }
    }

    fn kept(&self) -> bool {
        self.p.dim(0) == self.n
    }

    /// (N, C, V).
    pub fn dims(&self) -> (usize, usize, usize) {
        (self.n, self.c, self.v)
    }

    /// h, row-major.
    pub fn h(&self) -> &[E] {
        self.h.get()
    }

    /// Chunks of the vocabulary: (first, width), for buffers of `per_token` numbers per token and entry.
    pub fn chunks(&self, per_token: usize) -> Vec<(usize, usize)> {
        let width = if self.kept() { self.v } else { (CHUNK / (self.n * per_token)).clamp(1, self.v) };
        (0..self.v).step_by(width).map(|first| (first, width.min(self.v - first))).collect()
    }

    /// p of tokens `start..start + count` and entries `first..first + width` into `out` (count, width).
    pub fn probabilities(&self, start: usize, count: usize, first: usize, width: usize, out: &mut [E]) {
        if self.kept() {
            for (i, row) in out.chunks_exact_mut(width).enumerate() {
                row.copy_from_slice(&self.p.get()[(start + i) * self.v + first..][..width]);
            }
            return;
        }
        let h = Mat::full(&self.h.get()[start * self.c..(start + count) * self.c], self.c);
        gemm(MatMut::full(out, width), false, E::ONE, h, self.rows(first, width).t());
        for (i, row) in out.chunks_exact_mut(width).enumerate() {
            let lse = self.lse.get()[start + i];
            simd::dispatch(
                #[inline(always)]
                || update0(row, |x| (x - lse).exp()),
            );
        }
    }

    /// Rows `first..first + width` of W.
    fn rows(&self, first: usize, width: usize) -> Mat<'_, E> {
        Mat::full(&self.w.get()[first * self.c..(first + width) * self.c], self.c)
    }

    pub fn backward(&self, targets: &FlexTensor, weight: f64) -> (FlexTensor, FlexTensor) {
        let (n, c, v) = (self.n, self.c, self.v);
        let (targets, weight) = (ids(targets), E::of(weight));
        let (mut g_h, mut g_w) = (unfilled::<E>(n * c), unfilled::<E>(v * c));
        let rows = rows_per_task(n, 4 * c * v);
        for (first, width) in self.chunks(1) {
            let mut g_z = unfilled::<E>(n * width);
            let outputs = g_z.par_chunks_mut(rows * width).zip(g_h.par_chunks_mut(rows * c));
            outputs.enumerate().for_each(|(task, (g_z, g_h))| {
                let start = task * rows;
                self.probabilities(start, g_h.len() / c, first, width, g_z);
                subtract_targets(g_z, width, first, &targets[start..], weight);
                gemm(MatMut::full(g_h, c), first > 0, E::ONE, Mat::full(g_z, width), self.rows(first, width));
            });
            let by = rows_per_task(width, 2 * n * c);
            let g_w = &mut g_w[first * c..(first + width) * c];
            g_w.par_chunks_mut(by * c).enumerate().for_each(|(task, g_w)| {
                let g_z = Mat::new(&g_z[task * by..], n, g_w.len() / c, width);
                gemm(MatMut::full(g_w, c), false, E::ONE, g_z.t(), Mat::full(self.h.get(), c));
            });
        }
        (output(g_h, [n, c]), output(g_w, [v, c]))
    }

    /// Σ p ż per token and direction, where no single chunk can give it: ḣ·(p W) + h·(p Ẇ).
    fn means(&self, h_dot: &[E], w_dot: &[E], k: usize) -> Vec<E> {
        let (n, c, v) = (self.n, self.c, self.v);
        let rows = rows_per_task(n, 4 * c * v);
        let mut means = unfilled::<E>(n * k);
        means.par_chunks_mut(rows * k).enumerate().for_each(|(task, means)| {
            let (start, count) = (task * rows, means.len() / k);
            let (mut p_w, mut p_w_dot) = (unfilled::<E>(count * c), unfilled::<E>(count * k * c));
            for (first, width) in self.chunks(1) {
                let mut p = unfilled::<E>(count * width);
                self.probabilities(start, count, first, width, &mut p);
                let p = Mat::full(&p, width);
                gemm(MatMut::full(&mut p_w, c), first > 0, E::ONE, p, self.rows(first, width));
                for j in 0..k {
                    let w_dot = Mat::full(&w_dot[(j * v + first) * c..][..width * c], c);
                    gemm(MatMut::new(&mut p_w_dot[j * c..], count, c, k * c), first > 0, E::ONE, p, w_dot);
                }
            }
            for (at, mean) in means.iter_mut().enumerate() {
                let token = at / k;
                let (p_w, h) = (&p_w[token * c..][..c], &self.h.get()[(start + token) * c..][..c]);
                let (h_dot, p_w_dot) = (&h_dot[(start * k + at) * c..][..c], &p_w_dot[at * c..][..c]);
                *mean = simd::dispatch(
                    #[inline(always)]
                    || sum4(h_dot, p_w, h, p_w_dot, |h_dot, p_w, h, p_w_dot| h_dot * p_w + h * p_w_dot),
                );
            }
        });
        means
    }

    /// The tangents of the gradients (`targets` given), or their Gauss-Newton part (`None`).
    pub fn backward_tangent(
        &self,
        h_dot: FlexTensor,
        w_dot: FlexTensor,
        targets: Option<&FlexTensor>,
        weight: f64,
    ) -> (FlexTensor, FlexTensor) {
        let (h_dot, w_dot) = (Input::<E>::new(h_dot), Input::<E>::new(w_dot));
        let (n, c, v, k) = (self.n, self.c, self.v, h_dot.dim(1));
        let (targets, weight) = (targets.map(ids), E::of(weight));
        let (mut g_h, mut g_w) = (unfilled::<E>(n * k * c), unfilled::<E>(k * v * c));
        let chunks = self.chunks(k + 1);
        let means = (chunks.len() > 1).then(|| self.means(h_dot.get(), w_dot.get(), k));
        let rows = rows_per_task(n, 8 * k * c * v);
        for (first, width) in chunks {
            let w_dot = |j: usize| Mat::full(&w_dot.get()[(j * v + first) * c..][..width * c], c);
            let (mut g_z, mut g_z_dot) = (unfilled::<E>(n * width), unfilled::<E>(n * k * width));
            let buffers = g_z.par_chunks_mut(rows * width).zip(g_z_dot.par_chunks_mut(rows * k * width));
            buffers.zip(g_h.par_chunks_mut(rows * k * c)).enumerate().for_each(
                |(task, ((g_z, g_z_dot), g_h))| {
                    let (start, count) = (task * rows, g_z.len() / width);
                    self.probabilities(start, count, first, width, g_z);
                    let h = Mat::full(&self.h.get()[start * c..(start + count) * c], c);
                    let h_dot = Mat::full(&h_dot.get()[start * k * c..(start + count) * k * c], c);
                    gemm(MatMut::full(g_z_dot, width), false, E::ONE, h_dot, self.rows(first, width).t());
                    for j in 0..k {
                        let dst = MatMut::new(&mut g_z_dot[j * width..], count, width, k * width);
                        gemm(dst, true, E::ONE, h, w_dot(j).t());
                    }
                    for (at, z_dot) in g_z_dot.chunks_exact_mut(width).enumerate() {
                        let p = &g_z[at / k * width..][..width];
                        simd::dispatch(
                            #[inline(always)]
                            || {
                                let mean = match &means {
                                    Some(means) => means[start * k + at],
                                    None => sum2(z_dot, p, |z, p| p * z),
                                };
                                update1(z_dot, p, |z, p| weight * p * (z - mean));
                            },
                        );
                    }
                    let dst = MatMut::full(g_h, c);
                    gemm(dst, first > 0, E::ONE, Mat::full(g_z_dot, width), self.rows(first, width));
                    if let Some(targets) = &targets {
                        subtract_targets(g_z, width, first, &targets[start..], weight);
                        for j in 0..k {
                            let dst = MatMut::new(&mut g_h[j * c..], count, c, k * c);
                            gemm(dst, true, E::ONE, Mat::full(g_z, width), w_dot(j));
                        }
                    }
                },
            );
            let by = rows_per_task(k * width, 4 * n * c).min(width);
            g_w.par_chunks_mut(v * c).enumerate().for_each(|(j, g_w)| {
                let g_w = &mut g_w[first * c..(first + width) * c];
                g_w.par_chunks_mut(by * c).enumerate().for_each(|(task, g_w)| {
                    let count = g_w.len() / c;
                    let part = Mat::new(&g_z_dot[j * width + task * by..], n, count, k * width);
                    gemm(MatMut::full(g_w, c), false, E::ONE, part.t(), Mat::full(self.h.get(), c));
                    if targets.is_some() {
                        let g_z = Mat::new(&g_z[task * by..], n, count, width);
                        let h_dot = Mat::new(&h_dot.get()[j * c..], n, c, k * c);
                        gemm(MatMut::full(g_w, c), true, E::ONE, g_z.t(), h_dot);
                    }
                });
            });
        }
        (output(g_h, [n, k, c]), output(g_w, [k, v, c]))
    }
}
