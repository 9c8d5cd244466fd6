//! Sizes of the residual stream: each of the three arrays is read once.

use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::float::Float;
use super::lanes::{sum1, sum2};
use super::storage::{Input, output, unfilled};
use crate::base::simd;

/// Tokens a task works on.
const ROWS: usize = 128;

pub fn residual<E: Float>(x: FlexTensor, middle: FlexTensor, y: FlexTensor) -> FlexTensor {
    let (x, middle, y) = (Input::<E>::new(x), Input::<E>::new(middle), Input::<E>::new(y));
    let (n, c) = (x.dim(0), x.dim(1));
    let scale = E::of(1.0 / c as f64);
    let (x, middle, y) = (x.get(), middle.get(), y.get());
    let mut squares = unfilled::<E>(n * 3);
    squares.par_chunks_mut(ROWS * 3).enumerate().for_each(|(task, squares)| {
        simd::dispatch(
            #[inline(always)]
            || {
                for (i, squares) in squares.chunks_exact_mut(3).enumerate() {
                    let row = (task * ROWS + i) * c..(task * ROWS + i + 1) * c;
                    let (x, middle, y) = (&x[row.clone()], &middle[row.clone()], &y[row]);
                    squares[0] = sum1(x, |x| x * x) * scale;
                    squares[1] = sum2(middle, x, |a, b| (a - b) * (a - b)) * scale;
                    squares[2] = sum2(y, middle, |a, b| (a - b) * (a - b)) * scale;
                }
            },
        );
    });
    output(squares, [n, 3])
}
