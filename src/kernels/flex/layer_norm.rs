//! Layer norms: one pass per token, everything of a row in the first-level cache.

use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::float::Float;
use super::lanes::{map3, map6, pair2, pair4, sum1, sum2, sum3, sum4, sum6, update1, update2, update4};
use super::storage::{Input, optional, output, unfilled};
use crate::base::simd;

/// Tokens a task works on; fixed, so that sums over tokens do not depend on the number of threads.
const ROWS: usize = 32;

pub fn layer_norm<E: Float>(
    x: FlexTensor,
    w: FlexTensor,
    b: Option<FlexTensor>,
    eps: f64,
) -> (FlexTensor, FlexTensor, FlexTensor) {
    let (x, w, b) = (Input::<E>::new(x), Input::<E>::new(w), optional::<E>(b));
    let (n, c) = (x.dim(0), x.dim(1));
    let (mut y, mut x_hat, mut rstd) = (unfilled::<E>(n * c), unfilled::<E>(n * c), unfilled::<E>(n));
    let (scale, eps) = (E::of(1.0 / c as f64), E::of(eps));
    let (w, b) = (w.get(), b.as_ref().map(Input::get));
    let chunks =
        y.par_chunks_mut(ROWS * c).zip(x_hat.par_chunks_mut(ROWS * c)).zip(rstd.par_chunks_mut(ROWS));
    chunks.zip(x.get().par_chunks(ROWS * c)).for_each(|(((y, x_hat), rstd), x)| {
        simd::dispatch(
            #[inline(always)]
            || {
                let rows =
                    y.chunks_exact_mut(c).zip(x_hat.chunks_exact_mut(c)).zip(rstd).zip(x.chunks_exact(c));
                let w = &w[..c];
                for (((y, x_hat), rstd), x) in rows {
                    let mean = sum1(x, |x| x) * scale;
                    let variance = sum1(x, |x| (x - mean) * (x - mean)) * scale;
                    let inverse = E::ONE / (variance + eps).sqrt();
                    *rstd = inverse;
                    pair2(x_hat, y, x, w, |x, w| {
                        let x_hat = (x - mean) * inverse;
                        (x_hat, x_hat * w)
                    });
                    if let Some(b) = b {
                        update1(y, b, |y, b| y + b);
                    }
                }
            },
        );
    });
    (output(y, [n, c]), output(x_hat, [n, c]), output(rstd, [n]))
}

pub fn tangent<E: Float>(
    x_hat: FlexTensor,
    rstd: FlexTensor,
    w: FlexTensor,
    x_dot: FlexTensor,
    w_dot: FlexTensor,
    b_dot: Option<FlexTensor>,
) -> (FlexTensor, FlexTensor, FlexTensor) {
    let (x_hat, rstd, w) = (Input::<E>::new(x_hat), Input::<E>::new(rstd), Input::<E>::new(w));
    let (x_dot, w_dot, b_dot) = (Input::<E>::new(x_dot), Input::<E>::new(w_dot), optional::<E>(b_dot));
    let (n, k, c) = (x_dot.dim(0), x_dot.dim(1), x_dot.dim(2));
    let (mut y_dot, mut x_hat_dot, mut slope) =
        (unfilled::<E>(n * k * c), unfilled::<E>(n * k * c), unfilled::<E>(n * k));
    let scale = E::of(1.0 / c as f64);
    let (w, w_dot, b_dot) = (w.get(), w_dot.get(), b_dot.as_ref().map(Input::get));
    let (x_hat, x_dot) = (x_hat.get(), x_dot.get());
    let outputs = y_dot
        .par_chunks_mut(ROWS * k * c)
        .zip(x_hat_dot.par_chunks_mut(ROWS * k * c))
        .zip(slope.par_chunks_mut(ROWS * k));
    outputs.enumerate().for_each(|(task, ((y_dot, x_hat_dot), slope))| {
        simd::dispatch(
            #[inline(always)]
            || {
                let rows = y_dot.chunks_exact_mut(c).zip(x_hat_dot.chunks_exact_mut(c)).zip(slope);
                let w = &w[..c];
                for (row, ((y_dot, x_hat_dot), slope)) in rows.enumerate() {
                    let (token, j) = (task * ROWS + row / k, row % k);
                    let x_hat = &x_hat[token * c..][..c];
                    let x_dot = &x_dot[(token * k + j) * c..][..c];
                    let w_dot = &w_dot[j * c..][..c];
                    let rstd = rstd.get()[token];
                    let mean = sum1(x_dot, |x_dot| x_dot) * scale;
                    let along = sum2(x_dot, x_hat, |x_dot, x_hat| x_dot * x_hat) * scale;
                    *slope = along;
                    pair4(x_hat_dot, y_dot, x_dot, x_hat, w, w_dot, |x_dot, x_hat, w, w_dot| {
                        let x_hat_dot = (x_dot - mean - x_hat * along) * rstd;
                        (x_hat_dot, x_hat_dot * w + x_hat * w_dot)
                    });
                    if let Some(b_dot) = b_dot {
                        update1(y_dot, &b_dot[j * c..], |y, b| y + b);
                    }
                }
            },
        );
    });
    (output(y_dot, [n, k, c]), output(x_hat_dot, [n, k, c]), output(slope, [n, k]))
}

pub fn backward<E: Float>(
    x_hat: FlexTensor,
    rstd: FlexTensor,
    w: FlexTensor,
    g_y: FlexTensor,
    bias: bool,
    add: Option<FlexTensor>,
) -> (FlexTensor, FlexTensor, Option<FlexTensor>) {
    let (x_hat, rstd, w) = (Input::<E>::new(x_hat), Input::<E>::new(rstd), Input::<E>::new(w));
    let (g_y, add) = (Input::<E>::new(g_y), optional::<E>(add));
    let (n, k, c) = (g_y.dim(0), g_y.dim(1), g_y.dim(2));
    let mut g_x = unfilled::<E>(n * k * c);
    let scale = E::of(1.0 / c as f64);
    let (w, add) = (w.get(), add.as_ref().map(Input::get));
    let (x_hat, g_y) = (x_hat.get(), g_y.get());
    let partial = |(task, g_x): (usize, &mut [E])| -> Sums<E> {
        let mut gradient = Sums::new(k * c, bias);
        simd::dispatch(
            #[inline(always)]
            || {
                let w = &w[..c];
                for (row, g_x) in g_x.chunks_exact_mut(c).enumerate() {
                    let (token, j) = (task * ROWS + row / k, row % k);
                    let at = (token * k + j) * c;
                    let (x_hat, g_y) = (&x_hat[token * c..][..c], &g_y[at..][..c]);
                    let rstd = rstd.get()[token];
                    let mean = sum2(g_y, w, |g, w| g * w) * scale;
                    let along = sum3(g_y, w, x_hat, |g, w, x_hat| g * w * x_hat) * scale;
                    map3(g_x, g_y, w, x_hat, |g, w, x_hat| (g * w - mean - x_hat * along) * rstd);
                    if let Some(add) = add {
                        update1(g_x, &add[at..], |g, add| g + add);
                    }
                    update2(&mut gradient.w[j * c..(j + 1) * c], g_y, x_hat, |sum, g, x_hat| sum + g * x_hat);
                    if bias {
                        update1(&mut gradient.b[j * c..(j + 1) * c], g_y, |sum, g| sum + g);
                    }
                }
            },
        );
        gradient
    };
    let sums: Vec<Sums<E>> = g_x.par_chunks_mut(ROWS * k * c).enumerate().map(partial).collect();
    let (g_w, g_b) = Sums::total(sums, k * c, bias);
    (output(g_x, [n, k, c]), output(g_w, [k, c]), g_b.map(|g_b| output(g_b, [k, c])))
}

pub fn backward_tangent<E: Float>(
    x_hat: FlexTensor,
    rstd: FlexTensor,
    w: FlexTensor,
    x_hat_dot: FlexTensor,
    slope: FlexTensor,
    w_dot: FlexTensor,
    g_y: FlexTensor,
    g_y_dot: FlexTensor,
    bias: bool,
    add: Option<FlexTensor>,
) -> (FlexTensor, FlexTensor, Option<FlexTensor>) {
    let (x_hat, rstd, w) = (Input::<E>::new(x_hat), Input::<E>::new(rstd), Input::<E>::new(w));
    let (x_hat_dot, slope, w_dot) =
        (Input::<E>::new(x_hat_dot), Input::<E>::new(slope), Input::<E>::new(w_dot));
    let (g_y, g_y_dot, add) = (Input::<E>::new(g_y), Input::<E>::new(g_y_dot), optional::<E>(add));
    let (n, k, c) = (g_y_dot.dim(0), g_y_dot.dim(1), g_y_dot.dim(2));
    let mut g_x = unfilled::<E>(n * k * c);
    let scale = E::of(1.0 / c as f64);
    let (w, add) = (w.get(), add.as_ref().map(Input::get));
    let (x_hat, g_y, w_dot) = (x_hat.get(), g_y.get(), w_dot.get());
    let (x_hat_dot, g_y_dot) = (x_hat_dot.get(), g_y_dot.get());
    let partial = |(task, g_x): (usize, &mut [E])| -> Sums<E> {
        let mut gradient = Sums::new(k * c, bias);
        simd::dispatch(
            #[inline(always)]
            || {
                let w = &w[..c];
                for (row, g_x) in g_x.chunks_exact_mut(c).enumerate() {
                    let (token, j) = (task * ROWS + row / k, row % k);
                    let at = (token * k + j) * c;
                    let (x_hat, g_y) = (&x_hat[token * c..][..c], &g_y[token * c..][..c]);
                    let (x_hat_dot, g_y_dot) = (&x_hat_dot[at..][..c], &g_y_dot[at..][..c]);
                    let w_dot = &w_dot[j * c..][..c];
                    let rstd = rstd.get()[token];
                    // h = w g, ḣ = w ġ + ẇ g
                    let mean = sum2(g_y, w, |g, w| g * w) * scale;
                    let along = sum3(g_y, w, x_hat, |g, w, x_hat| g * w * x_hat) * scale;
                    let h_dot = |g: E, g_dot: E, w: E, w_dot: E| g_dot * w + g * w_dot;
                    let mean_dot = sum4(g_y, g_y_dot, w, w_dot, h_dot) * scale;
                    let along_dot = sum6(
                        g_y,
                        g_y_dot,
                        w,
                        w_dot,
                        x_hat,
                        x_hat_dot,
                        |g, g_dot, w, w_dot, x_hat, x_hat_dot| {
                            h_dot(g, g_dot, w, w_dot) * x_hat + g * w * x_hat_dot
                        },
                    ) * scale;
                    let rstd_dot = -(rstd * rstd * slope.get()[token * k + j]);
                    map6(
                        g_x,
                        g_y,
                        g_y_dot,
                        w,
                        w_dot,
                        x_hat,
                        x_hat_dot,
                        |g, g_dot, w, w_dot, x_hat, x_hat_dot| {
                            let u = g * w - mean - x_hat * along;
                            let h_dot = h_dot(g, g_dot, w, w_dot);
                            let u_dot = h_dot - mean_dot - x_hat_dot * along - x_hat * along_dot;
                            u_dot * rstd + u * rstd_dot
                        },
                    );
                    if let Some(add) = add {
                        update1(g_x, &add[at..], |g, add| g + add);
                    }
                    update4(
                        &mut gradient.w[j * c..(j + 1) * c],
                        g_y,
                        g_y_dot,
                        x_hat,
                        x_hat_dot,
                        |sum, g, g_dot, x_hat, x_hat_dot| sum + (g_dot * x_hat + x_hat_dot * g),
                    );
                    if bias {
                        update1(&mut gradient.b[j * c..(j + 1) * c], g_y_dot, |sum, g| sum + g);
                    }
                }
            },
        );
        gradient
    };
    let sums: Vec<Sums<E>> = g_x.par_chunks_mut(ROWS * k * c).enumerate().map(partial).collect();
    let (g_w, g_b) = Sums::total(sums, k * c, bias);
    (output(g_x, [n, k, c]), output(g_w, [k, c]), g_b.map(|g_b| output(g_b, [k, c])))
}

/// A task's sums over its tokens, for the gradients of weight and bias.
struct Sums<E> {
    w: Vec<E>,
    b: Vec<E>,
}

impl<E: Float> Sums<E> {
    fn new(width: usize, bias: bool) -> Self {
        Sums { w: vec![E::ZERO; width], b: vec![E::ZERO; if bias { width } else { 0 }] }
    }

    /// In the order of the tasks.
    fn total(parts: Vec<Self>, width: usize, bias: bool) -> (Vec<E>, Option<Vec<E>>) {
        let mut total = Sums::new(width, bias);
        for part in parts {
            total.w.iter_mut().zip(part.w).for_each(|(t, p)| *t += p);
            total.b.iter_mut().zip(part.b).for_each(|(t, p)| *t += p);
        }
        (total.w, bias.then_some(total.b))
    }
}
