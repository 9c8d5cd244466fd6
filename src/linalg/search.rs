//! The steps of the eigenvalue search: expand until the wanted pairs look converged, verify them, look for
//! what was missed. [`super::eigen`] says how they fit together.

use ndarray::{Array1, Array2, Axis};

use super::eigen::{ROUNDING, Request};
use super::krylov::Krylov;
use super::operator::LinearOperator;
use super::{dense, panel, probes};
use crate::error::Result;
use crate::observer::Observer;
use crate::random::Random;
use crate::vectors::Vectors;

/// Verified pairs, values descending.
pub struct Found {
    /// Rayleigh quotients.
    pub values: Vec<f64>,
    /// ‖A v − θ v‖, recomputed.
    pub residuals: Vec<f64>,
    /// Unit vectors.
    pub vectors: Vectors,
}

impl Found {
    /// How many.
    pub fn k(&self) -> usize {
        self.values.len()
    }

    /// Values with their residuals.
    pub fn iter(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        self.values.iter().copied().zip(self.residuals.iter().copied())
    }
}

/// What a Lanczos run is to converge.
#[derive(Debug, Clone, Copy)]
pub enum Goal {
    /// So many from each end.
    Count { top: usize, bottom: usize },
    /// Everything above the first value and everything below the second.
    Beyond { above: f64, below: f64 },
}

impl Goal {
    /// Positions of the wanted Ritz pairs, values descending, and whether that many are all there can be.
    fn wanted(self, values: &Array1<f64>) -> (Vec<usize>, bool) {
        let m = values.len();
        let (top, bottom, enough) = match self {
            Goal::Count { top, bottom } => {
                let (t, b) = (top.min(m), bottom.min(m - top.min(m)));
                (t, b, m > top + bottom)
            }
            Goal::Beyond { above, below } => {
                let count = |wanted: &dyn Fn(f64) -> bool| values.iter().filter(|v| wanted(**v)).count();
                let (t, b) = (count(&|v| v > above), count(&|v| v < below));
                (t, b, t + b > 0)
            }
        };
        ((m - top..m).rev().chain((0..bottom).rev()).collect(), enough)
    }
}

/// A search in progress: the operator, what is wanted, and what it has cost so far.
pub struct Search<'a> {
    operator: &'a dyn LinearOperator,
    request: &'a Request,
    random: &'a mut Random,
    observer: &'a dyn Observer,
    matvecs: usize,
    /// Largest |Ritz value| met: the size of the operator.
    size: f64,
}

impl<'a> Search<'a> {
    /// A search that has spent nothing yet.
    pub fn new(
        operator: &'a dyn LinearOperator,
        request: &'a Request,
        random: &'a mut Random,
        observer: &'a dyn Observer,
    ) -> Self {
        Search { operator, request, random, observer, matvecs: 0, size: 0.0 }
    }

    /// Products spent.
    pub fn matvecs(&self) -> usize {
        self.matvecs
    }

    /// Whether a residual meets the tolerance.
    pub fn converged(&self, (value, residual): (f64, f64)) -> bool {
        residual <= self.tolerance(value)
    }

    fn tolerance(&self, value: f64) -> f64 {
        (self.request.tol * value.abs()).max(ROUNDING * self.operator.dtype().epsilon() * self.size)
    }

    /// A Krylov decomposition from random vectors orthogonal to `locked`.
    pub fn start<'b>(&mut self, locked: Option<&'b Vectors>, block: usize) -> Krylov<'b>
    where
        Self: 'b,
    {
        let start = self.draw(locked, block);
        self.start_from(start, locked)
    }

    /// A Krylov decomposition whose first vector is `hint` with a little of everything else in it, so that no
    /// eigenvector is out of its reach.
    pub fn start_near<'b>(&mut self, hint: &Vectors, block: usize) -> Krylov<'b>
    where
        Self: 'b,
    {
        let drawn = self.draw(None, block);
        let along = Array2::from_elem((1, 1), 1.0 / panel::norms(hint)[0].max(f64::MIN_POSITIVE));
        let mut start = drawn.slice(0..1);
        panel::scale_rows(&mut start, &[ELSEWHERE]);
        panel::add_combination(&mut start, hint, along.view());
        start.append(&drawn.slice(1..drawn.k()));
        self.start_from(start, None)
    }

    /// Basis vectors that fit beside `locked` ones; a few are needed whatever fits.
    fn room(&self, locked: usize) -> usize {
        self.request.max_basis.saturating_sub(locked).max(4)
    }

    fn draw(&mut self, locked: Option<&Vectors>, block: usize) -> Vectors {
        let room = self.operator.n() - locked.map_or(0, Vectors::k);
        probes::sphere(block.clamp(1, room), self.operator.n(), self.operator.dtype(), self.random)
    }

    fn start_from<'b>(&mut self, start: Vectors, locked: Option<&'b Vectors>) -> Krylov<'b>
    where
        Self: 'b,
    {
        let room = self.room(locked.map_or(0, Vectors::k));
        let capacity = room.min(self.request.max_matvecs + start.k());
        Krylov::new(self.operator, start, locked, capacity)
    }

    /// Expands until the wanted pairs look converged or `budget` products are spent; returns the
    /// coordinates of the wanted Ritz vectors, values descending.
    pub fn iterate(&mut self, krylov: &mut Krylov, goal: Goal, budget: usize) -> Result<Array2<f64>> {
        let before = self.matvecs;
        let least = match goal {
            Goal::Count { top, bottom } => top + bottom,
            Goal::Beyond { .. } => 1,
        };
        loop {
            self.observer.check()?;
            if krylov.pending() == 0 {
                krylov.refresh(self.random, self.request.block);
            }
            krylov.expand()?;
            self.matvecs = before + krylov.matvecs();
            let (m, p) = (krylov.m(), krylov.pending());
            let done = krylov.exhausted() || krylov.matvecs() + p > budget;
            let room = self.room(krylov.locked());
            let full = m + 2 * p > room.max(least + 2 * p + 1);
            // the projected problem costs m³: look at it rarely once it is large
            let due = m >= least && (m < 64 || (m / p.max(1)).is_multiple_of(m / 32));
            if !(due || done || full) {
                continue;
            }
            let (values, s, residuals) = krylov.ritz()?;
            self.size = values.iter().fold(self.size, |size, v| size.max(v.abs()));
            let (wanted, enough) = goal.wanted(&values);
            let open = wanted.iter().filter(|&&i| residuals[i] > 0.9 * self.tolerance(values[i])).count();
            self.tell(values[m - 1], wanted.len() - open, wanted.len(), wanted.iter().map(|&i| residuals[i]));
            if (enough && open == 0) || done {
                return Ok(s.select(Axis(1), &wanted));
            }
            if full {
                let high = wanted.iter().filter(|&&i| 2 * i >= m).count();
                krylov.restart(&kept(m, high, wanted.len() - high, room.saturating_sub(2 * p)))?;
            }
        }
    }

    fn tell(&self, first: f64, converged: usize, wanted: usize, residuals: impl Iterator<Item = f64>) {
        let worst = residuals.fold(0.0, f64::max);
        let state = format!("λ1 {first:.5}, {converged} of {wanted} converged, worst residual {worst:.1e}");
        self.observer.progress(self.matvecs as u64, self.request.max_matvecs as u64, &state);
    }

    /// One product per vector: Rayleigh-Ritz on their span, and true residuals.
    pub fn verify(&mut self, mut vectors: Vectors) -> Result<Found> {
        self.observer.check()?;
        let mut products = self.apply(&vectors)?;
        let k = vectors.k();
        // the vectors are orthonormal to rounding; make the small problem exact all the same
        let gram = panel::gram(&vectors, &vectors);
        let (g, q) = dense::eigh(&gram)?;
        let whiten = &q * &g.mapv(|x| 1.0 / x.sqrt());
        let h = panel::gram(&vectors, &products);
        let h = whiten.t().dot(&((&h + &h.t()) * 0.5)).dot(&whiten);
        let (values, s) = dense::eigh(&h)?;
        let s = whiten.dot(&s);
        let order: Vec<usize> = (0..k).rev().collect();
        let (values, s) = (values.select(Axis(0), &order), s.select(Axis(1), &order));
        panel::rotate(&mut vectors, s.view());
        panel::rotate(&mut products, s.view());
        panel::subtract(&mut products, &vectors, &Array2::from_diag(&values));
        Ok(Found { values: values.to_vec(), residuals: panel::norms(&products), vectors })
    }

    fn apply(&mut self, x: &Vectors) -> Result<Vectors> {
        let block = self.request.block.max(1);
        let mut out = Vectors::with_capacity(x.k(), x.n(), x.dtype());
        for start in (0..x.k()).step_by(block) {
            let piece = x.slice(start..x.k().min(start + block));
            self.matvecs += piece.k();
            out.append(&self.operator.apply(&piece)?);
        }
        Ok(out)
    }

    /// Looks for eigenvalues beyond the found ones and merges those it finds. Returns whether the last
    /// look saw none.
    pub fn complete(&mut self, found: &mut Found, top: usize, bottom: usize) -> Result<bool> {
        let beyond = |found: &Found, search: &Self| {
            // deflation with vectors of finite accuracy moves Ritz values by the square of their residuals
            let rounding = ROUNDING * search.operator.dtype().epsilon() * search.size;
            let slack = |i: usize| (found.residuals[i] * 1e-2).max(rounding);
            let above = if top > 0 { found.values[top - 1] + slack(top - 1) } else { f64::INFINITY };
            let below = if bottom > 0 { found.values[top] - slack(top) } else { f64::NEG_INFINITY };
            Goal::Beyond { above, below }
        };
        loop {
            let goal = beyond(found, self);
            let more = self.sees_more(&found.vectors, goal)?;
            let left = self.request.max_matvecs.saturating_sub(self.matvecs + top + bottom);
            if !more || left == 0 {
                return Ok(!more);
            }
            let mut candidates = found.vectors.clone();
            // a multiple eigenvalue has as many copies as the block has vectors
            let mut krylov = self.start(Some(&found.vectors), self.request.block.max(COPIES));
            let coordinates = self.iterate(&mut krylov, goal, left)?;
            candidates.append(&krylov.into_vectors(&coordinates));
            let all = self.verify(candidates)?;
            *found = all.ends(top, bottom);
        }
    }

    /// Whether a second random start, kept orthogonal to `locked`, has Ritz values beyond the goal's
    /// bounds after at least 8 products and a quarter of those spent so far.
    fn sees_more(&mut self, locked: &Vectors, goal: Goal) -> Result<bool> {
        let before = self.matvecs;
        let effort = 8.max(before / 4);
        let mut krylov = self.start(Some(locked), 1);
        while krylov.matvecs() < effort && !krylov.exhausted() {
            self.observer.check()?;
            if krylov.pending() == 0 {
                krylov.refresh(self.random, 1);
            }
            krylov.expand()?;
            self.matvecs = before + krylov.matvecs();
            let (spent, total) = (self.matvecs as u64, self.request.max_matvecs as u64);
            self.observer.progress(spent, total, "checking that none was skipped");
            let (values, _, _) = krylov.ritz()?;
            if !goal.wanted(&values).0.is_empty() {
                return Ok(true);
            }
            if krylov.m() + 2 > self.room(locked.k()) {
                let half = krylov.m() / 2;
                krylov.restart(&kept(krylov.m(), half, half / 2, half))?;
            }
        }
        Ok(false)
    }
}

/// How much of a random vector is in a start that is given.
const ELSEWHERE: f64 = 0.1;
/// Vectors multiplied at a time where copies of eigenvalues are known to be missing.
const COPIES: usize = 4;

impl Found {
    /// The first `top` and the last `bottom` pairs.
    fn ends(&self, top: usize, bottom: usize) -> Found {
        let keep: Vec<usize> = (0..top).chain(self.k() - bottom..self.k()).collect();
        let mut vectors = Vectors::zeros(0, self.vectors.n(), self.vectors.dtype());
        keep.iter().for_each(|&i| vectors.append(&self.vectors.slice(i..i + 1)));
        let pick = |list: &[f64]| keep.iter().map(|&i| list[i]).collect();
        Found { values: pick(&self.values), residuals: pick(&self.residuals), vectors }
    }
}

/// Positions of the Ritz pairs a restart keeps: the wanted ones and, from both ends, as many more as a
/// third of the room allows; they carry most of what the basis has learned.
fn kept(m: usize, top: usize, bottom: usize, room: usize) -> Vec<usize> {
    let wanted = top + bottom;
    let extra = room.saturating_sub(wanted) / 3;
    let high = (top + extra * top / wanted.max(1)).min(m);
    let low = (bottom + extra * bottom / wanted.max(1)).min(m - high);
    (0..low).chain(m - high..m).collect()
}
