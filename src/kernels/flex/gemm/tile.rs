//! The micro-kernel: a tile of the product, summed in registers.

use pulp::Simd;

use super::register::{Register, lanes};

/// Registers across a tile.
pub const ACROSS: usize = 2;

/// Numbers of the largest tile.
pub const LARGEST: usize = 12 * 32;

/// Rows of a tile: its sums and what they are made of fill the registers.
pub const fn rows<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { 12 } else { 6 }
}

/// Columns of a tile.
pub const fn columns<E: Register, S: Simd>() -> usize {
    ACROSS * lanes::<E, S>()
}

/// Rows of contiguous numbers, one `stride` after the other.
#[derive(Clone, Copy)]
pub struct Rows<P> {
    pub at: P,
    pub stride: usize,
}

/// Numbers with a stride from row to row and one from column to column.
#[derive(Clone, Copy)]
pub struct Strided<P> {
    pub at: P,
    pub row: usize,
    pub column: usize,
}

/// dst = scale · a b, or dst += scale · a b, for `R` rows and `V` registers of columns; a is read number by
/// number, b (`depth` rows) register by register.
///
/// # Safety
/// The R by `depth` numbers of `a`, the `depth` by V registers of `b` and the R by V registers of `dst` are
/// there.
#[inline(always)]
#[allow(unsafe_code)]
pub unsafe fn tile<E: Register, S: Simd, const R: usize, const V: usize>(
    simd: S,
    depth: usize,
    a: Strided<*const E>,
    b: Rows<*const E>,
    dst: Rows<*mut E>,
    accumulate: bool,
    scale: E,
) {
    let lanes = lanes::<E, S>();
    let zero: E::V<S> = bytemuck::Zeroable::zeroed();
    let mut sums = [[zero; V]; R];
    for r in 0..R {
        for v in 0..V {
            prefetch(dst.at.wrapping_add(r * dst.stride + v * lanes));
        }
    }
    let (mut a_at, mut b_at) = (a.at, b.at);
    // SAFETY: what is read and written lies in the ranges the caller promises; the pointers' last step is not
    // followed by a use
    unsafe {
        for _ in 0..depth {
            let mut row = [zero; V];
            for v in 0..V {
                row[v] = b_at.add(v * lanes).cast::<E::V<S>>().read_unaligned();
            }
            for r in 0..R {
                let x = E::splat(simd, *a_at.add(r * a.row));
                for v in 0..V {
                    sums[r][v] = E::mul_add(simd, x, row[v], sums[r][v]);
                }
            }
            a_at = a_at.wrapping_add(a.column);
            b_at = b_at.wrapping_add(b.stride);
        }
        let scale = E::splat(simd, scale);
        for r in 0..R {
            for v in 0..V {
                let to = dst.at.add(r * dst.stride + v * lanes).cast::<E::V<S>>();
                let sum = match accumulate {
                    true => E::mul_add(simd, scale, sums[r][v], to.read_unaligned()),
                    false => E::mul(simd, scale, sums[r][v]),
                };
                to.write_unaligned(sum);
            }
        }
    }
}

/// Has the cache line fetched that is about to be written: the sums take longer than that.
#[inline(always)]
#[allow(unsafe_code)]
fn prefetch<E>(at: *const E) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint, of any address; every x86-64 processor has it
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at.cast());
    }
}
