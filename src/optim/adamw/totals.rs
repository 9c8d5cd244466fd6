//! The sums of a piece while it is read: a slot of lanes for each, so that loops vectorise.

use super::constants::Constants;
use crate::optim::real::{LANES, Real, fold, three_sums, two_sums, wide_lanes, widen};
use crate::optim::sums::Row;
use crate::optim::{Part, Sums};

/// Numbers summed in the parameters' precision.
pub const BLOCK: usize = 512;

/// Sums of a block that need not be known by row: a slot of lanes each.
const FLOOR: usize = 0;
const SIGN_LIKE: usize = 1;
pub const MG: usize = 2;
const MM: usize = 3;
const GG: usize = 4;
pub const UG: usize = 5;
const RATIO: usize = 6;
pub const AP: usize = 7;
const UP: usize = 8;
const PP: usize = 9;
const SLOTS: usize = 10;
/// Rows of a block whose sums are added up at a time, three sums each.
const ROWS: usize = 16;

/// Sums of a piece while it is read.
pub struct Totals<T> {
    block: [T; SLOTS * LANES],
    wide: [f64; SLOTS * LANES],
    v: [f64; LANES],
    vv: [f64; LANES],
    rows: [T; 3 * ROWS * LANES],
    half: [T; 3 * ROWS * LANES / 2],
    row: Row,
    sums: Sums,
}

impl<T: Real> Totals<T> {
    #[inline(always)]
    pub fn new() -> Self {
        Totals {
            block: [T::ZERO; SLOTS * LANES],
            wide: [0.0; SLOTS * LANES],
            v: [0.0; LANES],
            vv: [0.0; LANES],
            rows: [T::ZERO; 3 * ROWS * LANES],
            half: [T::ZERO; 3 * ROWS * LANES / 2],
            row: Row::default(),
            sums: Sums::default(),
        }
    }

    #[inline(always)]
    pub fn slots(&mut self, first: usize) -> &mut [T] {
        &mut self.block[first * LANES..]
    }

    /// The sums that a state determines, and the end of a block.
    #[inline(always)]
    pub fn add(&mut self, part: &Part, c: &Constants<T>, a: &[T], q: &[T], root: &[T], v: &[T]) {
        let totals = self;
        let (floor, large) = (T::narrow(10.0) * c.eps, T::narrow(0.9 * c.correction));
        let floored = |root, _, _| if root < floor { T::ONE } else { T::ZERO };
        let sign_like = |_, q, _| if q * q > large * large { T::ONE } else { T::ZERO };
        two_sums(totals.slots(FLOOR), root, q, q, floored, sign_like);
        wide_lanes(&mut totals.v, v, |v| v);
        wide_lanes(&mut totals.vv, v, |v| v * v);
        widen(&mut totals.wide, &totals.block);

        let columns = part.columns.min(BLOCK);
        for (a, q) in a.chunks(columns * ROWS).zip(q.chunks(columns * ROWS)) {
            let mut used = 0;
            for (a, q) in a.chunks(columns).zip(q.chunks(columns)) {
                let lanes = &mut totals.rows[used..used + 3 * LANES];
                three_sums(lanes, a, q, q, |a, _, _| a * a, |a, q, _| a * q, |_, q, _| q * q);
                used += 3 * LANES;
            }
            fold(&mut totals.rows[..used], &mut totals.half);
            for (i, a) in a.chunks(columns).enumerate() {
                let row = &mut totals.row;
                row.weight_sq += totals.rows[3 * i].wide();
                row.weight_direction += totals.rows[3 * i + 1].wide();
                row.direction_sq += totals.rows[3 * i + 2].wide();
                row.read += a.len();
                if row.read == part.columns {
                    row.end(part.matrix, c.keep.wide(), c.step_size.wide(), c.epsilon, &mut totals.sums);
                }
            }
        }
    }

    /// The sums of a piece, from m/(√v̂ + ε) to u, which the bias correction of m multiplies.
    #[inline(always)]
    pub fn finish(&self, c: &Constants<T>, n: usize) -> Sums {
        let slot = |slot: usize| self.wide[slot * LANES..(slot + 1) * LANES].iter().sum::<f64>();
        let now = 1.0 / c.correction;
        let before = c.previous.map_or(0.0, |(_, correction)| 1.0 / correction);
        Sums {
            n: n as f64,
            weight_direction: self.sums.weight_direction * now,
            direction_sq: self.sums.direction_sq * now * now,
            second_moment: self.v.iter().sum(),
            second_moment_sq: self.vv.iter().sum(),
            at_floor: slot(FLOOR),
            sign_like: slot(SIGN_LIKE),
            gradient_sq: slot(GG),
            direction_gradient: slot(UG) * now,
            momentum_gradient: slot(MG),
            momentum_sq: slot(MM),
            ratio_sq: slot(RATIO),
            weight_previous: slot(AP) * before,
            direction_previous: slot(UP) * now * before,
            previous_sq: slot(PP) * before * before,
            ..self.sums
        }
    }
}
