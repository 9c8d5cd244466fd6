//! AdamW's pass over the parameters where nobody asks what it does.

use rayon::prelude::*;

use super::constants::{Constants, advance};
use crate::base::simd;
use crate::optim::Part;
use crate::optim::part::{Piece, pieces, take, take_mut};
use crate::optim::real::Real;

/// One update of everything.
pub fn update<T: Real>(
    parts: &[Part],
    constants: Constants<T>,
    mut p: &mut [T],
    mut g: &[T],
    mut m: &mut [T],
    mut v: &mut [T],
) {
    let mut tasks = Vec::new();
    for Piece { part, len, .. } in pieces(parts) {
        let (p, g) = (take_mut(&mut p, len), take(&mut g, len));
        tasks.push((part, p, g, take_mut(&mut m, len), take_mut(&mut v, len)));
    }
    tasks.into_par_iter().for_each(|(part, p, g, m, v)| {
        let c = constants.of_part(part);
        simd::dispatch(
            #[inline(always)]
            || update_piece(p, g, m, v, &c),
        );
    });
}

#[inline(always)]
fn update_piece<T: Real>(p: &mut [T], g: &[T], m: &mut [T], v: &mut [T], c: &Constants<T>) {
    for (((p, g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
        advance(p, *g, m, v, c);
    }
}
