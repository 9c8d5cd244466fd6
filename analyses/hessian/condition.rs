//! Condition estimates: several honest answers, and which to quote.
//!
//! The Hessian of a network is indefinite and has exact null directions, so λmax/λmin is meaningless: it is
//! negative, or infinite, or rounding. What can be asked instead:
//!
//! | quantity | asks | quote it when |
//! |---|---|---|
//! | `condition/rms` | how far λ1 stands above a typical curvature, λ1/√(‖H‖F²/n) | following a run: two products a step |
//! | `condition/mean_abs` | the same against the mean of abs(λ) | comparing models or layers; robust to sign |
//! | `condition/bulk` | against the median of abs(λ): at least this | speaking of the bulk; often unresolved, because most of the bulk is at 0 |
//! | `condition/top10` | how isolated λ1 is | arguing that few directions limit the step |
//! | `condition/exact` | max abs(λ)/min abs(λ) without the null space | only for models small enough for `--exact`, with `spectrum/nullity` beside it |
//! | `ggn/effective_rank` | how many directions carry the Gauss-Newton trace | counting stiff directions |
//! | `spectrum/negative_mass` | how much of abs(λ) is negative | deciding whether a convex picture applies at all |
//!
//! For a paper: `condition/mean_abs` with its error and the batch it was measured on, and
//! `preconditioned/condition/mean_abs` beside it, since Adam moves in that geometry. Every one depends on the
//! batch; `--repeat-batches` says how much.
//!
//! **Error.** 68% intervals over probes ([`crate::stats::interval`]), with what is not known of λ1 added as if it were
//! independent: its residual, or the square of that over the gap to the next eigenvalue, whichever is less.

use crate::base::row::{Row, Status};
use crate::base::values::DType;
use crate::linalg::trace::Estimate;
use crate::linalg::{Eigenpairs, Measure};
use crate::stats::interval::{self, Jackknife};

use super::extremes;

/// (value, half-width) of a number of which a part is exact; `None` for fewer than two samples of the rest.
pub fn whole(estimate: &Estimate) -> Option<(f64, f64)> {
    interval::of_mean(&estimate.samples).map(|(mean, half_width)| (estimate.exact + mean, half_width))
}

/// The same of a sum of squares.
pub fn whole_square(estimate: &Estimate) -> Option<(f64, f64)> {
    interval::of_positive_mean(&estimate.samples)
        .map(|(mean, half_width)| (estimate.exact + mean, half_width))
}

/// What was found out about one matrix.
pub struct SpectralSummary {
    n: usize,
    dtype: DType,
    /// Value, residual, status, largest first.
    top: Vec<(f64, f64, Status)>,
    /// The smallest, where it was asked for.
    smallest: Option<f64>,
    /// The whole spectrum, where it is known.
    spectrum: Vec<f64>,
    /// tr A and the half-width of its interval.
    pub trace: Option<(f64, Option<f64>)>,
    /// ‖A‖_F² and the half-width of its interval.
    pub frobenius_sq: Option<(f64, Option<f64>)>,
    /// Quadrature, one measure per probe.
    pub measures: Vec<Measure>,
}

impl SpectralSummary {
    /// Nothing yet, of a matrix with n rows whose products have this precision.
    pub fn of(n: usize, dtype: DType) -> Self {
        let (trace, frobenius_sq) = (None, None);
        SpectralSummary {
            n,
            dtype,
            top: vec![],
            smallest: None,
            spectrum: vec![],
            trace,
            frobenius_sq,
            measures: vec![],
        }
    }

    /// Nothing is below 0.
    pub fn semidefinite(&mut self) {
        self.smallest = Some(0.0);
    }

    /// Adds eigenvalues; a whole spectrum makes trace and norm exact.
    pub fn eigenvalues(&mut self, found: &Eigenpairs, whole: bool) {
        let triple = |pair| (pair, extremes::status(found, pair));
        self.top = found.top.iter().map(triple).map(|(p, status)| (p.value, p.residual, status)).collect();
        let last = if whole { found.top.last() } else { found.bottom.first() };
        self.smallest = last.map(|pair| pair.value).or(self.smallest);
        if whole {
            self.spectrum = found.top.iter().map(|pair| pair.value).collect();
            self.trace = Some((self.spectrum.iter().sum(), None));
            self.frobenius_sq = Some((self.spectrum.iter().map(|x| x * x).sum(), None));
            let weights = vec![1.0 / self.n as f64; self.n];
            self.measures = vec![Measure { nodes: self.spectrum.iter().rev().copied().collect(), weights }];
        }
    }

    /// Adds the largest eigenvalue alone.
    pub fn largest(&mut self, value: f64, residual: f64, status: Status) {
        self.top = vec![(value, residual, status)];
    }

    /// Adds ‖A‖_F² from estimates; `None` where these are too few for an error.
    pub fn norm(&mut self, square: &Estimate) {
        self.frobenius_sq = whole_square(square).map(|(value, half_width)| (value, Some(half_width)));
    }

    /// Every estimate that what is known allows.
    pub fn rows(&self, prefix: &str) -> Vec<Row> {
        let mut rows = self.exact();
        if !self.spectrum.is_empty() {
            let value = |name: &str, known: Option<(f64, Option<f64>)>| {
                known.map(|(value, _)| Row::new(format!("{prefix}/{name}"), value).n(self.n as u64))
            };
            rows.extend(value("trace", self.trace));
            rows.extend(value("frobenius_sq", self.frobenius_sq));
        }
        let named = |row: Row| match prefix {
            "hessian" => row,
            _ => {
                let quantity = row.quantity.clone();
                let own = quantity.starts_with(prefix);
                Row { quantity: if own { quantity } else { format!("{prefix}/{quantity}").into() }, ..row }
            }
        };
        rows.extend(self.against_norm(prefix));
        rows.extend(self.against_density());
        rows.into_iter().map(named).collect()
    }

    /// λ1 over something, errors propagated.
    fn ratio(&self, name: &str, below: f64, relative: f64) -> Option<Row> {
        let (first, _, status) = *self.top.first().filter(|(value, ..)| *value > 0.0)?;
        if below <= 0.0 || !below.is_finite() {
            return None;
        }
        let value = first / below;
        let row = Row::new(name, value).uncertainty(value * (self.doubt() / first).hypot(relative));
        Some(row.n(self.n as u64).status(status))
    }

    /// How far λ1 may be from its Ritz value: within the residual, and where the second is known to lie below it
    /// within the residual's square over the gap (Kato and Temple).
    fn doubt(&self) -> f64 {
        let [(first, residual, _), rest @ ..] = self.top.as_slice() else { return 0.0 };
        let gap = rest.first().map_or(0.0, |(second, residual, _)| first - (second + residual));
        if gap > *residual { residual * residual / gap } else { *residual }
    }

    fn against_norm(&self, prefix: &str) -> Vec<Row> {
        let mut rows = Vec::new();
        if let Some((square, half_width)) = self.frobenius_sq {
            let relative = 0.5 * half_width.unwrap_or(0.0) / square;
            rows.extend(self.ratio("condition/rms", (square / self.n as f64).sqrt(), relative));
            let largest =
                self.top.first().zip(self.smallest).map(|(first, low)| first.0.abs().max(low.abs()));
            if let Some(largest) = largest.filter(|x| *x > 0.0) {
                let row = Row::new("spectrum/stable_rank", square / largest.powi(2));
                rows.push(row.uncertainty(half_width.unwrap_or(0.0) / largest.powi(2)).n(self.n as u64));
            }
        }
        if let Some((tenth, residual, status)) = self.top.get(9).filter(|(value, ..)| *value > 0.0) {
            let row = self.ratio("condition/top10", *tenth, residual / tenth);
            rows.extend(row.map(|row| if *status == Status::Ok { row } else { row.status(*status) }));
        }
        if let (Some((trace, half_width)), "ggn") = (self.trace, prefix)
            && let Some((first, _, status)) = self.top.first().filter(|(value, ..)| *value > 0.0)
        {
            let value = trace / first;
            let relative = (half_width.unwrap_or(0.0) / trace).hypot(self.doubt() / first);
            let row = Row::new("ggn/effective_rank", value).uncertainty((value * relative).abs());
            rows.push(row.n(self.n as u64).status(*status));
        }
        rows
    }

    fn against_density(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        let count = self.measures.len();
        if count == 0 {
            return rows;
        }
        let of_probes = |f: fn(f64) -> f64| self.measures.iter().map(|m| m.integral(f)).collect::<Vec<f64>>();
        let (sizes, negative) = (of_probes(f64::abs), of_probes(|x| (-x).max(0.0)));
        let mean = |samples: &[f64], keep: &[usize]| {
            keep.iter().map(|&i| samples[i]).sum::<f64>() / keep.len() as f64
        };
        // a whole spectrum is one measure, and exact
        let (size, half_width) = interval::of_positive_mean(&sizes).unwrap_or((sizes[0], 0.0));
        rows.extend(self.ratio("condition/mean_abs", size, half_width / size));
        if size > 0.0 {
            let share = Jackknife::of(count, |keep| mean(&negative, keep) / mean(&sizes, keep));
            let row = Row::new("spectrum/negative_mass", share.value).n(count as u64);
            rows.push(row.uncertainty(share.half_width.unwrap_or(f64::NAN)));
        }
        let (low, high) = if self.spectrum.is_empty() { self.median_bounds() } else { self.median() };
        let row = self.ratio("condition/bulk", high, 0.0);
        rows.extend(row.map(|row| if low > 0.0 { row } else { row.status(Status::Unresolved) }));
        rows
    }

    /// Bounds on the median of |λ| of the mean measure.
    fn median_bounds(&self) -> (f64, f64) {
        let mut places: Vec<f64> =
            self.measures.iter().flat_map(|m| m.nodes.iter().map(|x| x.abs())).collect();
        places.sort_by(f64::total_cmp);
        let mass = |a: f64| {
            let bounds = self.measures.iter().map(|m| m.mass_within(a));
            let (low, high) = bounds.fold((0.0, 0.0), |(l, h), (low, high)| (l + low, h + high));
            (low / self.measures.len() as f64, high / self.measures.len() as f64)
        };
        let low = places.iter().rev().copied().find(|&a| mass(a).1 <= 0.5).unwrap_or(0.0);
        let high = places.iter().copied().find(|&a| mass(a).0 >= 0.5);
        (low, high.or(places.last().copied()).unwrap_or(0.0))
    }

    fn median(&self) -> (f64, f64) {
        let mut sizes: Vec<f64> = self.spectrum.iter().map(|x| x.abs()).collect();
        sizes.sort_by(f64::total_cmp);
        let median = sizes[sizes.len() / 2];
        (median, median)
    }

    fn exact(&self) -> Vec<Row> {
        let sizes = || self.spectrum.iter().map(|x| x.abs());
        let largest = sizes().fold(0.0, f64::max);
        if largest == 0.0 {
            return vec![];
        }
        let floor = self.n as f64 * self.dtype.epsilon() * largest;
        let smallest = sizes().filter(|x| *x > floor).fold(largest, f64::min);
        let nullity = sizes().filter(|x| *x <= floor).count();
        vec![
            Row::new("condition/exact", largest / smallest).n(self.n as u64),
            Row::new("spectrum/nullity", nullity as f64).n(self.n as u64),
        ]
    }
}
