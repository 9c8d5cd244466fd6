//! Elementwise loops and sums over several slices, in a form that vectorises.
//!
//! A loop that writes one of many slices vectorises only where the compiler knows that they do not overlap,
//! which it knows of the arguments of a function. So each loop is a function of its own: `mapN` fills a
//! slice from N others, `updateN` changes one, `pairN` fills two, `sumN` adds up. All slices have the length
//! of the first. Call these inside [`crate::base::simd::dispatch`].

use super::float::Float;

/// Partial sums: the lanes of the widest registers.
const LANES: usize = 16;

macro_rules! map {
    ($name:ident, $F:ident, $($x:ident),+) => {
        /// out = f(in).
        #[inline(always)]
        pub fn $name<E: Float, $F: Fn($(map!(@E $x)),+) -> E>(out: &mut [E], $($x: &[E],)+ f: $F) {
            let len = out.len();
            $(let $x = &$x[..len];)+
            for i in 0..len {
                out[i] = f($($x[i]),+);
            }
        }
    };
    (@E $x:ident) => { E };
}
map!(map2, F, a, b);
map!(map3, F, a, b, c);
map!(map4, F, a, b, c, d);
map!(map6, F, a, b, c, d, e, g);

macro_rules! update {
    ($name:ident, $F:ident, $($x:ident),*) => {
        /// out = f(out, in).
        #[inline(always)]
        pub fn $name<E: Float, $F: Fn(E, $(map!(@E $x)),*) -> E>(out: &mut [E], $($x: &[E],)* f: $F) {
            let len = out.len();
            $(let $x = &$x[..len];)*
            for i in 0..len {
                out[i] = f(out[i], $($x[i]),*);
            }
        }
    };
}
update!(update0, F,);
update!(update1, F, a);
update!(update2, F, a, b);
update!(update3, F, a, b, c);
update!(update4, F, a, b, c, d);

macro_rules! pair {
    ($name:ident, $F:ident, $($x:ident),+) => {
        /// (out, other) = f(in).
        #[inline(always)]
        pub fn $name<E: Float, $F: Fn($(map!(@E $x)),+) -> (E, E)>(
            out: &mut [E],
            other: &mut [E],
            $($x: &[E],)+
            f: $F,
        ) {
            let len = out.len();
            let other = &mut other[..len];
            $(let $x = &$x[..len];)+
            for i in 0..len {
                (out[i], other[i]) = f($($x[i]),+);
            }
        }
    };
}
pair!(pair1, F, a);
pair!(pair2, F, a, b);
pair!(pair4, F, a, b, c, d);

/// (out, second, third) = f(in).
#[inline(always)]
pub fn triple<E: Float>(
    out: &mut [E],
    second: &mut [E],
    third: &mut [E],
    a: &[E],
    f: impl Fn(E) -> (E, E, E),
) {
    let len = out.len();
    let (second, third, a) = (&mut second[..len], &mut third[..len], &a[..len]);
    for i in 0..len {
        (out[i], second[i], third[i]) = f(a[i]);
    }
}

macro_rules! sum {
    ($name:ident, $F:ident, $first:ident $(, $x:ident)*) => {
        /// Σ f(in), in an order that does not depend on the instruction set.
        #[inline(always)]
        pub fn $name<E: Float, $F: Fn(E $(, map!(@E $x))*) -> E>($first: &[E], $($x: &[E],)* f: $F) -> E {
            let len = $first.len();
            $(let $x = &$x[..len];)*
            let whole = len - len % LANES;
            let mut lanes = [E::ZERO; LANES];
            for start in (0..whole).step_by(LANES) {
                let $first = &$first[start..start + LANES];
                $(let $x = &$x[start..start + LANES];)*
                for l in 0..LANES {
                    lanes[l] += f($first[l] $(, $x[l])*);
                }
            }
            let mut total = across(lanes);
            for i in whole..len {
                total += f($first[i] $(, $x[i])*);
            }
            total
        }
    };
}
sum!(sum1, F, a);
sum!(sum2, F, a, b);
sum!(sum3, F, a, b, c);
sum!(sum4, F, a, b, c, d);
sum!(sum6, F, a, b, c, d, e, g);

/// out = first of f(out), and Σ of the other three, in the order of [`sum1`]: one pass where four were.
#[inline(always)]
pub fn update0_sum3<E: Float>(out: &mut [E], f: impl Fn(E) -> (E, [E; 3])) -> [E; 3] {
    let mut lanes = [[E::ZERO; LANES]; 3];
    let mut blocks = out.chunks_exact_mut(LANES);
    for block in &mut blocks {
        for l in 0..LANES {
            let (y, terms) = f(block[l]);
            block[l] = y;
            lanes[0][l] += terms[0];
            lanes[1][l] += terms[1];
            lanes[2][l] += terms[2];
        }
    }
    let mut totals = [across(lanes[0]), across(lanes[1]), across(lanes[2])];
    for x in blocks.into_remainder() {
        let (y, terms) = f(*x);
        *x = y;
        for s in 0..3 {
            totals[s] += terms[s];
        }
    }
    totals
}

/// The sum of the lanes, pairwise, which is shuffles and not a chain of additions.
#[inline(always)]
fn across<E: Float>(mut lanes: [E; LANES]) -> E {
    let mut width = LANES / 2;
    while width > 0 {
        for l in 0..width {
            lanes[l] += lanes[l + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// The largest number; one that is not a number where the first is none.
#[inline(always)]
pub fn largest<E: Float>(row: &[E]) -> E {
    let mut lanes = [row[0]; LANES];
    let blocks = row.chunks_exact(LANES);
    let rest = blocks.remainder().iter().fold(row[0], |top, x| top.larger(*x));
    for block in blocks {
        for l in 0..LANES {
            lanes[l] = lanes[l].larger(block[l]);
        }
    }
    lanes.iter().fold(rest, |top, x| top.larger(*x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_remainders_agree_with_plain_loops() {
        for len in [1, 15, 16, 17, 50] {
            let a: Vec<f64> = (0..len).map(|i| f64::from(i) * 0.5 - 3.0).collect();
            let b: Vec<f64> = (0..len).map(|i| f64::from(i * i % 7)).collect();
            let (mut y, mut z) = (vec![1.0; a.len()], vec![2.0; a.len()]);
            update2(&mut y, &a, &b, |y, a, b| y + a * b);
            pair2(&mut z, &mut vec![0.0; a.len()], &a, &b, |a, b| (a - b, a));
            for i in 0..a.len() {
                assert_eq!((y[i], z[i]), (1.0 + a[i] * b[i], a[i] - b[i]));
            }
            let dot = sum2(&a, &b, |a, b| a * b);
            let plain: f64 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
            assert!((dot - plain).abs() < 1e-12);
            assert_eq!(largest(&b), b.iter().copied().fold(0.0, f64::max));
            let mut squares = b.clone();
            let sums = update0_sum3(&mut squares, |b| (b * b, [b, b + 1.0, 2.0 * b]));
            let total = sum1(&b, |b| b);
            assert_eq!(sums, [total, total + f64::from(len), 2.0 * total]);
            assert!(squares.iter().zip(&b).all(|(square, b)| *square == b * b));
        }
    }
}
