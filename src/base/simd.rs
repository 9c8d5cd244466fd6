//! One binary, the processor's widest instructions: loops compiled several times, chosen at run time.
//!
//! A loop written plainly inside [`dispatch`] is vectorised by the compiler for AVX-512, AVX2 with FMA,
//! or the baseline of the target (NEON on aarch64, SSE2 on x86-64). `WARMLAB_SIMD=avx2` or `scalar`
//! in the environment forces a narrower set, for tests and for processors that throttle.

use std::sync::OnceLock;

/// An instruction set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The target's baseline.
    Scalar,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512 F, CD, VL, DQ, BW.
    Avx512,
}

impl Level {
    /// Its name in reports and in `WARMLAB_SIMD`.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Scalar => "scalar",
            Level::Avx2 => "avx2",
            Level::Avx512 => "avx512",
        }
    }
}

/// The instruction set in use: the widest the processor has, or what `WARMLAB_SIMD` allows.
pub fn level() -> Level {
    static LEVEL: OnceLock<Level> = OnceLock::new();
    *LEVEL.get_or_init(|| {
        let forced = std::env::var("WARMLAB_SIMD").unwrap_or_default();
        let widest = widest();
        match forced.as_str() {
            "scalar" => Level::Scalar,
            "avx2" if widest != Level::Scalar => Level::Avx2,
            _ => widest,
        }
    })
}

#[cfg(target_arch = "x86_64")]
fn widest() -> Level {
    #[cfg(feature = "avx512")]
    if pulp::x86::V4::try_new().is_some() {
        return Level::Avx512;
    }
    if pulp::x86::V3::try_new().is_some() { Level::Avx2 } else { Level::Scalar }
}
#[cfg(not(target_arch = "x86_64"))]
fn widest() -> Level {
    Level::Scalar
}

/// Runs `op` compiled for the widest allowed instructions. `op` and what it calls must be
/// `#[inline(always)]` closures and functions.
#[inline(always)]
pub fn dispatch<R>(op: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    match level() {
        #[cfg(feature = "avx512")]
        Level::Avx512 => {
            if let Some(v4) = pulp::x86::V4::try_new() {
                return v4.vectorize(op);
            }
        }
        Level::Avx2 => {
            if let Some(v3) = pulp::x86::V3::try_new() {
                return v3.vectorize(op);
            }
        }
        _ => {}
    }
    op()
}

/// Runs `op`, written for registers of any width, with those of the widest allowed instructions; gives it back
/// where these are the target's baseline.
///
/// # Errors
/// `op` itself.
#[inline(always)]
pub fn with<O: pulp::WithSimd>(op: O) -> Result<O::Output, O> {
    // Miri knows few vector instructions; registers of one number take the same way through `op`
    if cfg!(miri) {
        return Ok(pulp::Simd::vectorize(pulp::Scalar::new(), op));
    }
    #[cfg(target_arch = "x86_64")]
    match level() {
        #[cfg(feature = "avx512")]
        Level::Avx512 => {
            if let Some(v4) = pulp::x86::V4::try_new() {
                return Ok(pulp::Simd::vectorize(v4, op));
            }
        }
        Level::Avx2 => {
            if let Some(v3) = pulp::x86::V3::try_new() {
                return Ok(pulp::Simd::vectorize(v3, op));
            }
        }
        _ => {}
    }
    Err(op)
}
