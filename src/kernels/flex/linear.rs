//! Linear layers: each task fills rows with what they start from and accumulates its products onto them.

use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::float::Float;
use super::gemm::{Mat, MatMut, gemm, rows_per_task};
use super::storage::{Input, optional, output, unfilled};

pub fn linear<E: Float>(
    x: FlexTensor,
    w: FlexTensor,
    b: Option<FlexTensor>,
    add: Option<FlexTensor>,
) -> FlexTensor {
    let (x, w, b, add) = (Input::<E>::new(x), Input::<E>::new(w), optional::<E>(b), optional::<E>(add));
    let (n, i, o) = (x.dim(0), x.dim(1), w.dim(0));
    let mut y = unfilled::<E>(n * o);
    let rows = rows_per_task(n, 2 * i * o);
    y.par_chunks_mut(rows * o).enumerate().for_each(|(task, y)| {
        let start = task * rows;
        let count = y.len() / o;
        let accumulate = fill(y, start * o, o, b.as_ref(), add.as_ref());
        let x = Mat::full(&x.get()[start * i..(start + count) * i], i);
        gemm(MatMut::full(y, o), accumulate, E::ONE, x, Mat::full(w.get(), i).t());
    });
    output(y, [n, o])
}

/// Starts rows from bias and residual; false where there is neither.
fn fill<E: Float>(
    y: &mut [E],
    offset: usize,
    o: usize,
    b: Option<&Input<E>>,
    add: Option<&Input<E>>,
) -> bool {
    if let Some(add) = add {
        y.copy_from_slice(&add.get()[offset..offset + y.len()]);
        if let Some(b) = b {
            y.chunks_exact_mut(o).for_each(|row| row.iter_mut().zip(b.get()).for_each(|(y, b)| *y += *b));
        }
    } else if let Some(b) = b {
        y.chunks_exact_mut(o).for_each(|row| row.copy_from_slice(b.get()));
    }
    add.is_some() || b.is_some()
}

pub fn tangent<E: Float>(
    x: FlexTensor,
    x_dot: FlexTensor,
    w: FlexTensor,
    w_dot: FlexTensor,
    b_dot: Option<FlexTensor>,
    add: Option<FlexTensor>,
) -> FlexTensor {
    let (x, x_dot, w, w_dot) =
        (Input::<E>::new(x), Input::<E>::new(x_dot), Input::<E>::new(w), Input::<E>::new(w_dot));
    let (b_dot, add) = (optional::<E>(b_dot), optional::<E>(add));
    let (n, k, i, o) = (x_dot.dim(0), x_dot.dim(1), x_dot.dim(2), w.dim(0));
    let mut y = unfilled::<E>(n * k * o);
    let rows = rows_per_task(n, 4 * k * i * o);
    y.par_chunks_mut(rows * k * o).enumerate().for_each(|(task, y)| {
        let start = task * rows;
        let end = start + y.len() / (k * o);
        let accumulate = fill(y, start * k * o, k * o, b_dot.as_ref(), add.as_ref());
        let x_dot = Mat::full(&x_dot.get()[start * k * i..end * k * i], i);
        gemm(MatMut::full(y, o), accumulate, E::ONE, x_dot, Mat::full(w.get(), i).t());
        let x = Mat::full(&x.get()[start * i..end * i], i);
        gemm(MatMut::full(y, k * o), true, E::ONE, x, Mat::full(w_dot.get(), i).t());
    });
    output(y, [n, k, o])
}

pub fn backward<E: Float>(
    x: FlexTensor,
    w: FlexTensor,
    g_y: FlexTensor,
    bias: bool,
) -> (FlexTensor, FlexTensor, Option<FlexTensor>) {
    pull_back::<E>(x, w, g_y, bias, None)
}

pub fn backward_tangent<E: Float>(
    x: FlexTensor,
    x_dot: FlexTensor,
    w: FlexTensor,
    w_dot: FlexTensor,
    g_y: FlexTensor,
    g_y_dot: FlexTensor,
    bias: bool,
) -> (FlexTensor, FlexTensor, Option<FlexTensor>) {
    let cross = Cross { x_dot: Input::new(x_dot), w_dot: Input::new(w_dot), g_y: Input::new(g_y) };
    pull_back::<E>(x, w, g_y_dot, bias, Some(&cross))
}

/// What the tangent of the backward adds to the backward of ġ_y.
struct Cross<E> {
    x_dot: Input<E>,
    w_dot: Input<E>,
    g_y: Input<E>,
}

/// g_x = g_y W (+ cross: g Ẇ), g_w = g_yᵀ x (+ cross: gᵀ ẋ), g_b = Σ g_y; the two products side by side.
fn pull_back<E: Float>(
    x: FlexTensor,
    w: FlexTensor,
    g_y: FlexTensor,
    bias: bool,
    cross: Option<&Cross<E>>,
) -> (FlexTensor, FlexTensor, Option<FlexTensor>) {
    let (x, w, g_y) = (Input::<E>::new(x), Input::<E>::new(w), Input::<E>::new(g_y));
    let (n, k, o, i) = (g_y.dim(0), g_y.dim(1), g_y.dim(2), w.dim(1));
    let (mut g_x, mut g_w) = (unfilled::<E>(n * k * i), unfilled::<E>(k * o * i));
    let by_input = || {
        let rows = rows_per_task(n, 2 * k * i * o);
        g_x.par_chunks_mut(rows * k * i).enumerate().for_each(|(task, g_x)| {
            let start = task * rows;
            let count = g_x.len() / (k * i);
            let part = Mat::full(&g_y.get()[start * k * o..(start + count) * k * o], o);
            gemm(MatMut::full(g_x, i), false, E::ONE, part, Mat::full(w.get(), i));
            if let Some(cross) = cross {
                let g = Mat::full(&cross.g_y.get()[start * o..(start + count) * o], o);
                for (j, w_dot) in cross.w_dot.get().chunks_exact(o * i).enumerate() {
                    let dst = MatMut::new(&mut g_x[j * i..], count, i, k * i);
                    gemm(dst, true, E::ONE, g, Mat::full(w_dot, i));
                }
            }
        });
    };
    let by_weight = || {
        let rows = rows_per_task(k * o, 2 * n * i).min(o);
        g_w.par_chunks_mut(o * i).enumerate().for_each(|(j, g_w)| {
            g_w.par_chunks_mut(rows * i).enumerate().for_each(|(task, g_w)| {
                let start = task * rows;
                let count = g_w.len() / i;
                let part = Mat::new(&g_y.get()[j * o + start..], n, count, k * o).t();
                gemm(MatMut::full(g_w, i), false, E::ONE, part, Mat::full(x.get(), i));
                if let Some(cross) = cross {
                    let g = Mat::new(&cross.g_y.get()[start..], n, count, o).t();
                    let x_dot = Mat::new(&cross.x_dot.get()[j * i..], n, i, k * i);
                    gemm(MatMut::full(g_w, i), true, E::ONE, g, x_dot);
                }
            });
        });
    };
    rayon::join(by_input, by_weight);
    let g_b = bias.then(|| output(column_sums(g_y.get(), k * o), [k, o]));
    (output(g_x, [n, k, i]), output(g_w, [k, o, i]), g_b)
}

/// Sums over rows, in a fixed order.
pub fn column_sums<E: Float>(rows: &[E], width: usize) -> Vec<E> {
    let mut sums = vec![E::ZERO; width];
    for row in rows.chunks_exact(width) {
        sums.iter_mut().zip(row).for_each(|(s, x)| *s += *x);
    }
    sums
}
