//! Matrix products on slices, one thread each; the kernels cut their output between threads.
//!
//! With AVX-512 and AVX2 they are ours ([`blocked`]); on other processors they are the `gemm` crate's. Cutting the
//! rows in the kernels, rather than inside the product, lets a task fill its rows with a bias or a residual while
//! they are in its cache, and keeps every sum in one order whatever the number of threads.

mod blocked;
mod matrix;
mod register;
mod tile;

use super::float::Float;
use crate::base::simd;
use blocked::Product;
pub use matrix::{Mat, MatMut, Shared};
pub use register::Register;

/// dst = scale · a b, or dst += scale · a b.
pub fn gemm<E: Float>(dst: MatMut<'_, E>, accumulate: bool, scale: E, a: Mat<'_, E>, b: Mat<'_, E>) {
    assert_eq!((dst.rows, dst.cols, a.cols), (a.rows, b.cols, b.rows));
    if dst.rows == 0 || dst.cols == 0 {
        return;
    }
    assert!(a.cols > 0, "a product without terms");
    if let Err(Product { dst, accumulate, scale, a, b }) =
        simd::with(Product { dst, accumulate, scale, a, b })
    {
        portable(dst, accumulate, scale, a, b);
    }
}

/// The same by the `gemm` crate, which has kernels for more processors.
#[allow(unsafe_code)]
fn portable<E: Float>(dst: MatMut<'_, E>, accumulate: bool, scale: E, a: Mat<'_, E>, b: Mat<'_, E>) {
    // SAFETY: the constructors checked that every entry of the three matrices lies in its buffer; `dst` is
    // borrowed exclusively, so it overlaps neither factor
    unsafe {
        gemm::gemm(
            dst.rows,
            dst.cols,
            a.cols,
            dst.start,
            1,
            dst.row_stride as isize,
            accumulate,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            E::ONE,
            scale,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// Rows per task when `rows` rows of `flops` floating-point operations each are shared among the threads:
/// one piece per thread, because every piece packs the other factor anew, of whole tiles, and no piece so small
/// that handing it over costs more than computing it.
pub fn rows_per_task(rows: usize, flops: usize) -> usize {
    const WORTH_IT: usize = 500_000;
    let threads = rayon::current_num_threads();
    let even = rows.div_ceil(threads).next_multiple_of(tile::TALLEST);
    even.max(WORTH_IT.div_ceil(flops.max(1))).clamp(1, rows.max(1))
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::base::random;

    /// Largest |entry| of the difference from sums in f64, over the largest that rounding explains.
    fn excess<E: Float>([m, k, n]: [usize; 3], transposed: [bool; 2], accumulate: bool, gap: usize) -> f64 {
        let epsilon = if size_of::<E>() == 4 { f64::from(f32::EPSILON) } else { f64::EPSILON };
        let random = &mut random::stream((m * k * n) as u64, 0, "gemm");
        let mut draw =
            |len: usize| -> Vec<E> { (0..len).map(|_| E::of(random.random_range(-1.0..1.0))).collect() };
        // rows longer than the matrix by `gap`, as parts of wider ones are
        let (width_a, width_b) = if transposed[0] { (m, k) } else { (k, m) };
        let (a, stride_a) = (draw((width_a + gap) * width_b), width_a + gap);
        let (columns_b, rows_b) = if transposed[1] { (k, n) } else { (n, k) };
        let (b, stride_b) = (draw((columns_b + gap) * rows_b), columns_b + gap);
        let stride = n + gap;
        let before = draw(m * stride);
        let (mat_a, mat_b) =
            (Mat::new(&a, width_b, width_a, stride_a), Mat::new(&b, rows_b, columns_b, stride_b));
        let (mat_a, mat_b) =
            (if transposed[0] { mat_a.t() } else { mat_a }, if transposed[1] { mat_b.t() } else { mat_b });
        let scale = E::of(0.5);
        let mut dst = before.clone();
        gemm(MatMut::new(&mut dst, m, n, stride), accumulate, scale, mat_a, mat_b);
        let at = |x: &[E], mat: (usize, bool), i: usize, j: usize| {
            x[if mat.1 { j * mat.0 + i } else { i * mat.0 + j }].wide()
        };
        let mut worst = 0.0f64;
        for i in 0..m {
            for j in 0..stride {
                let old = before[i * stride + j].wide();
                let new = dst[i * stride + j].wide();
                if j >= n {
                    assert_eq!(old, new, "written beyond the last column");
                    continue;
                }
                let terms = (0..k).map(|l| {
                    at(&a, (stride_a, transposed[0]), i, l) * at(&b, (stride_b, transposed[1]), l, j)
                });
                let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), x| (sum + x, size + f64::abs(x)));
                let truth = 0.5 * sum + if accumulate { old } else { 0.0 };
                // k + 2 roundings of numbers that are at most the sum of all sizes
                let allowed = (k + 2) as f64 * epsilon * (size + old.abs());
                worst = worst.max((new - truth).abs() / allowed);
            }
        }
        worst
    }

    #[test]
    fn products_are_right_to_rounding_in_every_shape() {
        // whole tiles, part tiles in either direction, one row, one column, several blocks in depth and width
        let shapes =
            [[12, 8, 32], [24, 40, 64], [13, 7, 33], [1, 300, 65], [5, 1, 1], [100, 17, 16], [97, 19, 48]];
        let deep = [[7, 600, 20], [250, 3, 60], [260, 270, 40], [13, 300, 1100]];
        for shape in shapes.into_iter().chain(deep) {
            for transposed in [[false, false], [false, true], [true, false], [true, true]] {
                for (accumulate, gap) in [(false, 0), (true, 3)] {
                    let single = excess::<f32>(shape, transposed, accumulate, gap);
                    let double = excess::<f64>(shape, transposed, accumulate, gap);
                    let about = format!("{shape:?} {transposed:?} {accumulate} {gap}");
                    assert!(single <= 1.0, "f32 {about}: {single}");
                    // the sums it is compared with round too
                    assert!(double <= 2.0, "f64 {about}: {double}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_a_number_reaches_its_row_and_no_other() {
        let mut a = vec![1.0f32; 20 * 5];
        a[7 * 5 + 2] = f32::NAN;
        let b = vec![1.0f32; 5 * 40];
        let mut dst = vec![0.0f32; 20 * 40];
        gemm(MatMut::full(&mut dst, 40), false, 1.0, Mat::full(&a, 5), Mat::full(&b, 40));
        for (i, row) in dst.chunks_exact(40).enumerate() {
            assert!(row.iter().all(|x| x.is_nan() == (i == 7)));
        }
    }
}
