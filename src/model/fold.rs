//! Passes over a batch in pieces: what each piece gives is added up here, and nowhere else.
//!
//! A batch is cut into micro-batches, or into its sequences, so that a pass fits the memory. Parts are added in the
//! order of the pieces, so that the same batch gives the same bits. Machines that share a batch would each fold the
//! pieces they have, and add their sums at the end of [`try_fold`]: no layer, no pass and no analysis would know.

use std::convert::Infallible;

use crate::base::vectors::Vectors;
use crate::data::Batch;

/// What a pass over a piece of a batch gives.
pub trait Partial {
    /// Adds what the next piece gives: to a sum, or behind a list.
    fn add(&mut self, next: Self);
}

/// What `pass` gives for all pieces, each with its place among them.
///
/// # Panics
/// Where there is no piece: a batch has a sequence.
pub fn fold<P: Partial>(pieces: &[Batch], mut pass: impl FnMut(usize, &Batch) -> P) -> P {
    let Ok(sum) = try_fold(pieces, |i, piece| Ok::<P, Infallible>(pass(i, piece)));
    sum
}

/// As [`fold`], up to the first pass that fails.
///
/// # Errors
/// That of the pass.
///
/// # Panics
/// Where there is no piece: a batch has a sequence.
pub fn try_fold<P: Partial, E>(
    pieces: &[Batch],
    mut pass: impl FnMut(usize, &Batch) -> Result<P, E>,
) -> Result<P, E> {
    let mut sum: Option<P> = None;
    for (i, piece) in pieces.iter().enumerate() {
        sum.add(Some(pass(i, piece)?));
    }
    Ok(sum.expect("a batch has a sequence"))
}

impl Partial for () {
    fn add(&mut self, (): ()) {}
}

impl Partial for f64 {
    fn add(&mut self, next: f64) {
        *self += next;
    }
}

impl Partial for Vectors {
    fn add(&mut self, next: Vectors) {
        Vectors::add(self, &next);
    }
}

impl<T> Partial for Vec<T> {
    fn add(&mut self, next: Vec<T>) {
        self.extend(next);
    }
}

impl<P: Partial> Partial for Option<P> {
    fn add(&mut self, next: Option<P>) {
        match (self, next) {
            (Some(sum), Some(next)) => sum.add(next),
            (sum, next) => *sum = sum.take().or(next),
        }
    }
}

impl<P: Partial, Q: Partial, R: Partial> Partial for (P, Q, R) {
    fn add(&mut self, next: (P, Q, R)) {
        self.0.add(next.0);
        self.1.add(next.1);
        self.2.add(next.2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces() -> Vec<Batch> {
        Batch::new((0..10).collect(), (1..11).collect(), 2).micro_batches(2)
    }

    #[test]
    fn sums_add_and_lists_follow_one_another() {
        let ids = |piece: &Batch| piece.x().to_vec();
        let pass = |i: usize, piece: &Batch| (piece.num_tokens() as f64, ids(piece), (i == 1).then_some(0.5));
        assert_eq!(fold(&pieces(), pass), (10.0, (0..10).collect(), Some(0.5)));
    }

    #[test]
    fn the_first_failure_ends_it() {
        let mut seen = 0;
        let failing = try_fold(&pieces(), |i, _| {
            seen += 1;
            if i == 1 { Err("full") } else { Ok(1.0) }
        });
        assert_eq!((failing, seen), (Err("full"), 2));
    }
}
