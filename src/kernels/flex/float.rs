//! The numbers the CPU kernels compute with, and their elementary functions.
//!
//! In f32 the exponential and the normal distribution function are polynomials without branches, so that
//! the compiler vectorises the loops they stand in; they are within 5 ulp (the tests say where). They use fused multiply-adds, exact on every
//! processor, so that their results do not depend on the instruction set. In f64 they are the system's and
//! libm's.

use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

use burn::tensor::Element;

use super::gemm::Register;

/// f32 or f64.
pub trait Float:
    Element
    + Register
    + bytemuck::Pod
    + Copy
    + Send
    + Sync
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + 'static
{
    const ZERO: Self;
    const ONE: Self;
    fn of(x: f64) -> Self;
    fn wide(self) -> f64;
    fn sqrt(self) -> Self;
    fn exp(self) -> Self;
    /// (Φ(x), φ(x)): the normal distribution function and density.
    fn normal(self) -> (Self, Self);
    /// (σ(x), σ(−x)): the logistic function, without cancellation on either side.
    fn logistic(self) -> (Self, Self);
    /// The larger of two; `self` where the other is not a number.
    fn larger(self, other: Self) -> Self;
}

impl Float for f32 {
    const ZERO: f32 = 0.0;
    const ONE: f32 = 1.0;

    #[inline(always)]
    fn of(x: f64) -> f32 {
        x as f32
    }
    #[inline(always)]
    fn wide(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn sqrt(self) -> f32 {
        f32::sqrt(self)
    }

    /// 2^n e^f with n = round(x/ln 2) and a minimax polynomial (Remez, relative error 1.5e-8) in
    /// f = x − n ln 2. Arguments below −87.3, whose exponential is not a normal number, give 1.2e-38.
    #[inline(always)]
    fn exp(self) -> f32 {
        const MAGIC: f32 = 12_582_912.0; // 1.5·2²³: adding it rounds to an integer in the low bits
        const LN_2_HIGH: f32 = 0.693_359_4; // nine bits, so that n times it is exact
        const LN_2_LOW: f32 = -2.121_944_4e-4;
        let x = if self < -87.3 { -87.3 } else { self };
        let x = if x > 88.0 { 88.0 } else { x };
        let shifted = x.mul_add(std::f32::consts::LOG2_E, MAGIC);
        let n = shifted - MAGIC;
        let f = n.mul_add(-LN_2_LOW, n.mul_add(-LN_2_HIGH, x));
        let p = 0.001_390_122_1f32.mul_add(f, 0.008_363_2);
        let p = p.mul_add(f, 0.041_666_854).mul_add(f, 0.166_665_77).mul_add(f, 0.5);
        let p = p.mul_add(f * f, f) + 1.0;
        let exponent = shifted.to_bits().wrapping_sub(MAGIC.to_bits()).wrapping_shl(23);
        let y = f32::from_bits(p.to_bits().wrapping_add(exponent));
        // the bits of NaN do not survive the arithmetic on the exponent
        if self.is_nan() { self } else { y }
    }

    /// Φ(−|x|) = e^(−x²/2) R(|x|) with R(z) = Φ(−z)/(√(2π) φ(z)) as r P(u), r = 1/(z + 4), u affine in r and P
    /// a minimax polynomial (Remez, relative error 8e-9): small values keep their relative accuracy, and
    /// the exponential serves the density too.
    #[inline(always)]
    fn normal(self) -> (f32, f32) {
        let z = self.abs();
        let e = Float::exp(-0.5 * self * self);
        let r = 1.0 / (z + 4.0);
        let u = 10.370_37f32.mul_add(r, -1.592_592_6);
        let p = 1.227_208e-5f32.mul_add(u, 5.662_711_4e-5);
        let p = p.mul_add(u, -1.605_116_8e-4).mul_add(u, -1.186_615_4e-3);
        let p = p.mul_add(u, 3.137_021_3e-4).mul_add(u, 0.023_246_218);
        let p = p.mul_add(u, 0.112_336_9).mul_add(u, 0.318_206_15);
        let p = p.mul_add(u, 0.630_32).mul_add(u, 0.916_855_3);
        let tail = e * r * p;
        let cdf = if self > 0.0 { 1.0 - tail } else { tail };
        (cdf, e * 0.398_942_3)
    }

    #[inline(always)]
    fn logistic(self) -> (f32, f32) {
        let e = Float::exp(-self.abs());
        let large = 1.0 / (1.0 + e);
        let small = e * large;
        if self > 0.0 { (large, small) } else { (small, large) }
    }

    #[inline(always)]
    fn larger(self, other: f32) -> f32 {
        if other > self { other } else { self }
    }
}

impl Float for f64 {
    const ZERO: f64 = 0.0;
    const ONE: f64 = 1.0;

    #[inline(always)]
    fn of(x: f64) -> f64 {
        x
    }
    #[inline(always)]
    fn wide(self) -> f64 {
        self
    }
    #[inline(always)]
    fn sqrt(self) -> f64 {
        f64::sqrt(self)
    }
    #[inline(always)]
    fn exp(self) -> f64 {
        f64::exp(self)
    }

    #[inline(always)]
    fn normal(self) -> (f64, f64) {
        let cdf = 0.5 * libm::erfc(-self * std::f64::consts::FRAC_1_SQRT_2);
        (cdf, (-0.5 * self * self).exp() * 0.398_942_280_401_432_7)
    }

    #[inline(always)]
    fn logistic(self) -> (f64, f64) {
        let e = (-self.abs()).exp();
        let large = 1.0 / (1.0 + e);
        if self > 0.0 { (large, e * large) } else { (e * large, large) }
    }

    #[inline(always)]
    fn larger(self, other: f64) -> f64 {
        if other > self { other } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Largest relative error over a grid, in units of the last place.
    fn ulps(range: std::ops::Range<f64>, f: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64) -> f64 {
        let steps = 200_000;
        (0..steps)
            .map(|i| {
                let x = (range.start + (range.end - range.start) * f64::from(i) / f64::from(steps)) as f32;
                let truth = exact(f64::from(x));
                (f64::from(f(x)) / truth - 1.0).abs() / f64::from(f32::EPSILON)
            })
            .fold(0.0, f64::max)
    }

    #[test]
    fn single_precision_functions_are_within_a_few_ulp() {
        let cdf = |x: f64| 0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2);
        let pdf = |x: f64| (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
        assert!(ulps(-87.0..88.0, Float::exp, f64::exp) < 1.5);
        assert!(ulps(-1.0..13.0, |x| x.normal().0, cdf) < 5.0);
        assert!(ulps(-1.0..1.0, |x| x.normal().1, pdf) < 3.0);
        // the square of x is rounded before it is exponentiated, which costs x²/4 ulp more
        for x in 1..12 {
            let range = f64::from(-x - 1)..f64::from(-x);
            let allowed = 5.0 + f64::from((x + 1) * (x + 1)) / 4.0;
            assert!(ulps(range.clone(), |x| x.normal().0, cdf) < allowed, "{x}");
            assert!(ulps(range, |x| x.normal().1, pdf) < allowed, "{x}");
        }
        assert!(ulps(-80.0..80.0, |x| x.logistic().0, |x| 1.0 / (1.0 + (-x).exp())) < 3.0);
        assert!(ulps(-80.0..80.0, |x| x.logistic().1, |x| 1.0 / (1.0 + x.exp())) < 3.0);
    }

    #[test]
    fn what_is_not_a_number_stays_so() {
        assert!(
            Float::exp(f32::NAN).is_nan() && f32::NAN.normal().0.is_nan() && f32::NAN.logistic().0.is_nan()
        );
        assert!(Float::exp(-f32::NAN).is_nan());
    }

    #[test]
    fn extremes_stay_finite() {
        for x in [-1e30f32, -100.0, 100.0, 1e30, f32::MIN_POSITIVE] {
            let (cdf, pdf) = x.normal();
            assert!((0.0..=1.0).contains(&cdf) && (0.0..=0.4).contains(&pdf), "{x}");
            let (a, b) = x.logistic();
            assert!(a + b == 1.0 && Float::exp(x).is_finite(), "{x}");
        }
    }
}
