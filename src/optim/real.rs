//! Sums that vectorise, in the precision an optimizer computes in.
//!
//! A sum is left as [`LANES`] partial sums in memory: compilers keep such a loop in the widest registers,
//! where the addition across lanes at its end would have them choose the narrowest. Lanes are added up for
//! many sums at a time, by [`widen`] or [`fold`].

pub use crate::base::values::Real;

/// Partial sums of one sum.
pub const LANES: usize = 16;

macro_rules! lanes {
    ($name:ident, $F:ident, $first:ident $(, $x:ident)*) => {
        /// out = partial sums of f(in) over slices of the length of the first, in an order that does not
        /// depend on the instruction set.
        #[inline(always)]
        pub fn $name<T: Real, $F: Fn(T $(, lanes!(@T $x))*) -> T>(
            out: &mut [T],
            $first: &[T],
            $($x: &[T],)*
            f: $F,
        ) {
            let ($first, last) = $first.as_chunks::<LANES>();
            let len = $first.len();
            $(let $x = { let (whole, rest) = $x.as_chunks::<LANES>(); (&whole[..len], rest) };)*
            let mut lanes = [T::ZERO; LANES];
            for i in 0..len {
                for l in 0..LANES {
                    lanes[l] += f($first[i][l] $(, $x.0[i][l])*);
                }
            }
            out[..LANES].copy_from_slice(&lanes);
            for l in 0..last.len() {
                out[l] += f(last[l] $(, $x.1[l])*);
            }
        }
    };
    (@T $x:ident) => { T };
}
lanes!(lanes2, F, a, b);

macro_rules! together {
    ($name:ident, $($F:ident $f:ident $lanes:ident),+) => {
        /// Several sums at once over slices of the length of the first, each to the bits it has alone: one
        /// sum's additions wait for each other, those of several do not.
        #[inline(always)]
        pub fn $name<T: Real, $($F: Fn(T, T, T) -> T),+>(out: &mut [T], a: &[T], b: &[T], c: &[T], $($f: $F),+) {
            let (a, a_rest) = a.as_chunks::<LANES>();
            let ((b, b_rest), (c, c_rest)) = (b.as_chunks::<LANES>(), c.as_chunks::<LANES>());
            let (len, rest) = (a.len(), a_rest.len());
            let (b, c) = (&b[..len], &c[..len]);
            $(let mut $lanes = [T::ZERO; LANES];)+
            for i in 0..len {
                $(for l in 0..LANES {
                    $lanes[l] += $f(a[i][l], b[i][l], c[i][l]);
                })+
            }
            let mut out = out.chunks_exact_mut(LANES);
            $(if let Some(out) = out.next() {
                out.copy_from_slice(&$lanes);
                for l in 0..rest {
                    out[l] += $f(a_rest[l], b_rest[l], c_rest[l]);
                }
            })+
        }
    };
}
together!(two_sums, F f lanes_f, G g lanes_g);
together!(three_sums, F f lanes_f, G g lanes_g, H h lanes_h);

/// lanes += f(x), in f64, for numbers whose squares their precision may not hold.
#[inline(always)]
pub fn wide_lanes<T: Real>(lanes: &mut [f64; LANES], x: &[T], f: impl Fn(f64) -> f64) {
    let (blocks, rest) = x.as_chunks::<LANES>();
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane += f(x.wide());
    }
    let mut sums = *lanes;
    for block in blocks {
        for l in 0..LANES {
            sums[l] += f(block[l].wide());
        }
    }
    *lanes = sums;
}

/// wide += narrow.
#[inline(always)]
pub fn widen<T: Real>(wide: &mut [f64], narrow: &[T]) {
    for (wide, narrow) in wide.iter_mut().zip(narrow) {
        *wide += narrow.wide();
    }
}

/// Adds up each group of [`LANES`] numbers, pairwise; the sums come first.
#[inline(always)]
pub fn fold<T: Real>(lanes: &mut [T], other: &mut [T]) {
    let mut len = lanes.len();
    for _ in 0..LANES.trailing_zeros() / 2 {
        halve(&mut other[..len / 2], &lanes[..len]);
        halve(&mut lanes[..len / 4], &other[..len / 2]);
        len /= 4;
    }
}

#[inline(always)]
fn halve<T: Real>(out: &mut [T], lanes: &[T]) {
    for (out, pair) in out.iter_mut().zip(lanes.as_chunks::<2>().0) {
        *out = pair[0] + pair[1];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partial_sums_join_to_the_sum() {
        for len in [1usize, 15, 16, 17, 100] {
            let a: Vec<f64> = (0..len).map(|i| i as f64 - 3.0).collect();
            let b: Vec<f64> = (0..len).map(|i| (i * i % 7) as f64).collect();
            let dot: f64 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
            let mut lanes = vec![0.0; 2 * LANES];
            lanes2(&mut lanes, &a, &b, |a, _| a);
            lanes2(&mut lanes[LANES..], &a, &b, |a, b| a * b);
            let mut wide = vec![0.0; 2 * LANES];
            widen(&mut wide, &lanes);
            assert_eq!(wide[LANES..].iter().sum::<f64>(), dot);
            let mut joined = vec![0.0; 2 * LANES];
            two_sums(&mut joined, &a, &b, &b, |a, _, _| a, |a, b, _| a * b);
            assert_eq!(joined, lanes);
            fold(&mut lanes, &mut [0.0; LANES]);
            assert_eq!(lanes[..2], [a.iter().sum::<f64>(), dot]);
            let mut square = [0.0; LANES];
            wide_lanes(&mut square, &a, |a| a * a);
            assert_eq!(square.iter().sum::<f64>(), a.iter().map(|a| a * a).sum::<f64>());
        }
    }
}
