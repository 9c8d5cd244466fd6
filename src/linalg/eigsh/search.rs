//! Growing a Krylov decomposition until its Ritz pairs at the ends of the spectrum look converged.

use ndarray::{Array2, Axis};

use super::outlook::Outlook;
use crate::base::error::Result;
use crate::base::observer::Observer;
use crate::base::random::Random;
use crate::linalg::krylov::Krylov;

/// What is sought.
#[derive(Debug, Clone, Copy)]
pub enum Goal {
    /// So many from each end.
    Count { top: usize, bottom: usize },
    /// Everything above the first value and everything below the second.
    Beyond { above: f64, below: f64 },
}

impl Goal {
    /// How many Ritz values, ascending, of each end are sought (top, bottom), and whether more of them would change
    /// nothing.
    fn wanted(self, values: &[f64]) -> (usize, usize, bool) {
        let m = values.len();
        match self {
            Goal::Count { top, bottom } => {
                let top_found = top.min(m);
                (top_found, bottom.min(m - top_found), m > top + bottom)
            }
            Goal::Beyond { above, below } => {
                let (top, bottom) = (values.iter().filter(|v| **v > above).count(), {
                    values.iter().filter(|v| **v < below).count()
                });
                (top, bottom, top + bottom > 0)
            }
        }
    }

    /// Ritz values it takes at the least.
    fn least(self) -> usize {
        match self {
            Goal::Count { top, bottom } => top + bottom,
            Goal::Beyond { .. } => 1,
        }
    }
}

/// When a pair is converged: its residual is at most tol·|θ|, or at the rounding level of the products.
#[derive(Debug, Clone, Copy)]
pub struct Tolerance {
    /// Relative to the eigenvalue.
    pub tol: f64,
    /// Relative to the largest |θ|.
    pub rounding: f64,
}

impl Tolerance {
    /// The largest residual allowed at `value`, of an operator of this size.
    pub fn at(self, value: f64, size: f64) -> f64 {
        (self.tol * value.abs()).max(self.rounding * size)
    }
}

/// What a search may use.
pub struct Limits<'a> {
    /// When a pair is converged.
    pub tolerance: Tolerance,
    /// Products in all.
    pub products: usize,
    /// Products of these that are not the search's, where so many pairs look converged.
    pub reserved: &'a dyn Fn(usize) -> usize,
    /// Basis vectors.
    pub room: usize,
    /// Vectors multiplied at a time.
    pub block: usize,
    /// What is known of the operator's size.
    pub size: f64,
    /// Products after which a search that has seen nothing of what it seeks ends.
    pub patience: usize,
}

/// The small problem at the end of a search, values descending.
pub struct Small {
    /// All Ritz values, each with ‖B s‖.
    pub ritz: Vec<(f64, f64)>,
    /// Those sought.
    pub values: Vec<f64>,
    /// ‖B s‖ of each: what its residual would be in exact arithmetic.
    pub estimates: Vec<f64>,
    /// Their coordinates in the basis, (m, k).
    pub coordinates: Array2<f64>,
}

/// The largest absolute value of a list.
pub fn size<'a>(values: impl IntoIterator<Item = &'a f64>) -> f64 {
    values.into_iter().fold(0.0, |size: f64, v| size.max(v.abs()))
}

/// Grows `krylov` until the pairs sought look converged or its products are spent. Says so, once, where the rate at
/// which residuals fall says that they will not do.
///
/// # Errors
/// Where a product or LAPACK fails, or the observer was told to stop.
pub fn grow(
    krylov: &mut Krylov,
    goal: Goal,
    limits: &Limits,
    random: &mut Random,
    observer: &dyn Observer,
) -> Result<Small> {
    let (mut outlook, mut looking_converged) = (Outlook::new(limits.products), 0);
    let begun = krylov.spent();
    loop {
        observer.check()?;
        let spent = krylov.spent();
        if krylov.pending() == 0 {
            krylov.refresh(random, limits.block.min(limits.products.saturating_sub(spent)).max(1));
        }
        let stuck = krylov.pending() == 0;
        krylov.expand()?;
        let (m, p, spent) = (krylov.m(), krylov.pending(), krylov.spent());
        let allowed = limits.products.saturating_sub((limits.reserved)(looking_converged));
        let done = stuck || krylov.exhausted() || spent + p.max(1) > allowed;
        let full = m + 2 * p > limits.room.max(goal.least() + 2 * p + 1);
        // the projected problem costs m³: look at it rarely once it is large
        let due =
            m >= goal.least().min(limits.products / 2) && (m < 64 || (m / p.max(1)).is_multiple_of(m / 32));
        if !(due || done || full) {
            continue;
        }
        let (values, s, residuals) = krylov.ritz()?;
        let values = values.to_vec();
        let size = size(&values).max(limits.size);
        let (top, bottom, enough) = goal.wanted(&values);
        let chosen: Vec<usize> = (m - top..m).rev().chain((0..bottom).rev()).collect();
        let ratio =
            |i: &usize| residuals[*i] / (0.9 * limits.tolerance.at(values[*i], size)).max(f64::MIN_POSITIVE);
        let open = chosen.iter().filter(|i| ratio(i) > 1.0).count();
        looking_converged = chosen.len() - open;
        let worst = chosen.iter().map(ratio).fold(0.0, f64::max);
        let state = format!(
            "λ1 {:.5}, {looking_converged} of {} converged, worst residual {:.1e}",
            values[m - 1],
            chosen.len(),
            chosen.iter().map(|&i| residuals[i]).fold(0.0, f64::max)
        );
        observer.progress(spent as u64, limits.products as u64, &state);
        let in_vain = chosen.is_empty() && spent - begun > limits.patience;
        if (enough && open == 0) || done || in_vain {
            return Ok(Small {
                values: chosen.iter().map(|&i| values[i]).collect(),
                estimates: chosen.iter().map(|&i| residuals[i]).collect(),
                coordinates: s.select(Axis(1), &chosen),
                ritz: values.into_iter().zip(residuals).rev().collect(),
            });
        }
        if let Some(note) = outlook.after(spent, worst, open, chosen.len()) {
            observer.note(&note);
        }
        if full {
            krylov.restart(&kept(m, top, bottom, limits.room.saturating_sub(2 * p)))?;
        }
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
