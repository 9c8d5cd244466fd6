//! The nonlinearity and its products with tangents and gradients.

use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::float::Float;
use super::lanes::{map2, map4, pair1, triple};
use super::storage::{Input, output, unfilled};
use crate::architecture::Activation;
use crate::base::simd;

/// Numbers a task works on.
const CHUNK: usize = 1 << 14;

pub fn gelu<E: Float>(
    x: FlexTensor,
    activation: Activation,
    with_second: bool,
) -> (FlexTensor, FlexTensor, Option<FlexTensor>) {
    let x = Input::<E>::new(x);
    let shape = [x.dim(0), x.dim(1)];
    let len = shape[0] * shape[1];
    let (mut y, mut first) = (unfilled::<E>(len), unfilled::<E>(len));
    // without curvature the second derivative is computed into nothing
    let mut second = unfilled::<E>(if with_second { len } else { 0 });
    let outputs = y.par_chunks_mut(CHUNK).zip(first.par_chunks_mut(CHUNK)).zip(x.get().par_chunks(CHUNK));
    if with_second {
        outputs.zip(second.par_chunks_mut(CHUNK)).for_each(|(((y, first), x), second)| {
            simd::dispatch(
                #[inline(always)]
                || match activation {
                    Activation::Gelu => triple(y, first, second, x, exact),
                    Activation::GeluTanh => triple(y, first, second, x, tanh),
                },
            );
        });
    } else {
        outputs.for_each(|((y, first), x)| {
            simd::dispatch(
                #[inline(always)]
                || {
                    let two = |(y, first, _)| (y, first);
                    match activation {
                        Activation::Gelu => pair1(y, first, x, |x| two(exact(x))),
                        Activation::GeluTanh => pair1(y, first, x, |x| two(tanh(x))),
                    }
                },
            );
        });
    }
    (output(y, shape), output(first, shape), with_second.then(|| output(second, shape)))
}

/// (y, y′, y″) of x Φ(x).
#[inline(always)]
fn exact<E: Float>(x: E) -> (E, E, E) {
    let (cdf, pdf) = x.normal();
    (x * cdf, cdf + x * pdf, pdf * (E::of(2.0) - x * x))
}

/// (y, y′, y″) of the tanh form. ½(1 + tanh u) = σ(2u); with v = 2u: y = x σ(v), y′ = σ + x σ(1−σ) v′,
/// y″ = σ(1−σ) (2v′ + x v″ + x (1−2σ) v′²).
#[inline(always)]
fn tanh<E: Float>(x: E) -> (E, E, E) {
    let (a, b) = (E::of(2.0 * 0.797_884_560_802_865_4), E::of(0.044715));
    let (v1, v2) = (a * (E::ONE + E::of(3.0) * b * x * x), a * E::of(6.0) * b * x);
    let (gate, rest) = (a * (x + b * x * x * x)).logistic();
    let s = gate * rest;
    let second = s * (E::of(2.0) * v1 + x * v2 + x * (rest - gate) * v1 * v1);
    (x * gate, gate + x * s * v1, second)
}

pub fn scale<E: Float>(first: FlexTensor, t: FlexTensor) -> FlexTensor {
    let (first, t) = (Input::<E>::new(first), Input::<E>::new(t));
    let shape = [t.dim(0), t.dim(1), t.dim(2)];
    let [_, k, f] = shape;
    let mut out = unfilled::<E>(t.get().len());
    let rows = rows(k * f);
    let chunks = out.par_chunks_mut(rows * k * f).zip(t.get().par_chunks(rows * k * f));
    chunks.zip(first.get().par_chunks(rows * f)).for_each(|((out, t), first)| {
        simd::dispatch(
            #[inline(always)]
            || {
                let tokens =
                    out.chunks_exact_mut(k * f).zip(t.chunks_exact(k * f)).zip(first.chunks_exact(f));
                for ((out, t), first) in tokens {
                    for (out, t) in out.chunks_exact_mut(f).zip(t.chunks_exact(f)) {
                        map2(out, first, t, |first, t| first * t);
                    }
                }
            },
        );
    });
    output(out, shape)
}

pub fn backward_tangent<E: Float>(
    first: FlexTensor,
    second_g: FlexTensor,
    x_dot: FlexTensor,
    g_y_dot: FlexTensor,
) -> FlexTensor {
    let (first, second_g) = (Input::<E>::new(first), Input::<E>::new(second_g));
    let (x_dot, g_y_dot) = (Input::<E>::new(x_dot), Input::<E>::new(g_y_dot));
    let shape = [x_dot.dim(0), x_dot.dim(1), x_dot.dim(2)];
    let [_, k, f] = shape;
    let mut out = unfilled::<E>(x_dot.get().len());
    let rows = rows(k * f);
    out.par_chunks_mut(rows * k * f).enumerate().for_each(|(task, out)| {
        simd::dispatch(
            #[inline(always)]
            || {
                for (row, out) in out.chunks_exact_mut(f).enumerate() {
                    let (token, at) = (task * rows + row / k, (task * rows * k + row) * f);
                    let (first, second_g) =
                        (&first.get()[token * f..][..f], &second_g.get()[token * f..][..f]);
                    let (x_dot, g_y_dot) = (&x_dot.get()[at..at + f], &g_y_dot.get()[at..at + f]);
                    map4(out, first, g_y_dot, second_g, x_dot, |first, g, second_g, x| {
                        first * g + second_g * x
                    });
                }
            },
        );
    });
    output(out, shape)
}

/// Tokens per task.
fn rows(width: usize) -> usize {
    CHUNK.div_ceil(width)
}
