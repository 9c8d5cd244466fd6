//! One matrix on one scope, and what is said of it however its eigenvalues were found.

use super::kind::Kind;
use crate::base::error::Result;
use crate::base::random::{self, Random};
use crate::base::row::{Row, Status};
use crate::linalg::LinearOperator;
use crate::operator::{self, Curvature, GaussNewton, Preconditioned, Restricted, Scope};
use crate::optim::limits::Lambda;
use crate::optim::{Clip, Limits, Preconditioner};
use crate::snapshot::Snapshot;

/// A curvature matrix, or the part of it on some coordinates.
pub struct Matrix<'a> {
    /// Which.
    pub kind: Kind,
    /// Its coordinates.
    pub scope: &'a Scope,
    /// The model and the batch.
    pub curvature: &'a Curvature,
    /// P, where it is in Adam's geometry.
    pub preconditioner: Option<&'a Preconditioner>,
    /// The next update and how it is clipped, where the optimizer, and how it clips, are known.
    pub adam: Option<(Limits, Option<Clip>)>,
}

impl Matrix<'_> {
    /// Calls `work` on the matrix, without the coordinates at the floor of ε where it is to be `masked`.
    pub fn with<T>(&self, masked: bool, work: impl FnOnce(&dyn LinearOperator) -> Result<T>) -> Result<T> {
        let (hessian, ggn) = (operator::Hessian(self.curvature), GaussNewton(self.curvature));
        let base: &dyn LinearOperator = if self.kind == Kind::Ggn { &ggn } else { &hessian };
        let geometry = if masked { Preconditioned::masked } else { Preconditioned::new };
        let preconditioned = self.preconditioner.map(|p| geometry(base, p));
        let whole: &dyn LinearOperator = preconditioned.as_ref().map_or(base, |p| p);
        if self.scope.n() == whole.n() {
            return work(whole);
        }
        work(&Restricted::new(whole, self.scope.ranges.clone()))
    }

    /// A generator of its own for each purpose, so that asking for one thing changes no other.
    pub fn random(&self, snapshot: &Snapshot, purpose: &str) -> Random {
        let purpose = format!("hessian/{}/{}{purpose}", self.kind.prefix(), self.scope.name);
        random::stream(snapshot.settings().seed, snapshot.step(), &purpose)
    }

    /// The share of its coordinates that are at the floor of ε, where it has one.
    pub fn masked_share(&self) -> Option<f64> {
        self.preconditioner.map(|p| p.masked_fraction(&self.scope.ranges))
    }

    /// That share as a row. The gradient of the batch is part of the next v; in the stored one no batch of ours enters.
    pub fn masked_fraction(&self, share: f64) -> Row {
        let row = Row::new(format!("{}/masked_fraction", self.kind.prefix()), share).n(self.scope.n() as u64);
        if self.kind == Kind::PreconditionedNext { row } else { row.without_batch() }
    }

    /// The limits of the next update, and the margin that `first`, the largest eigenvalue, leaves.
    pub fn limits(&self, first: Option<Lambda>) -> Vec<Row> {
        let own = self.preconditioner.is_some() && self.scope.name == "all";
        let Some((limits, clip)) = self.adam.filter(|_| own) else { return vec![] };
        let prefix = self.kind.of_limits();
        let mut rows = limits.thresholds(prefix);
        rows.extend(first.zip(clip).and_then(|(first, clip)| limits.margin(prefix, first, clip)));
        rows
    }

    /// The rows in their place, no more certain than the moments P is made of.
    pub fn place(&self, rows: Vec<Row>, snapshot: &Snapshot) -> Vec<Row> {
        let trusted = match (self.preconditioner, snapshot.optimizer()) {
            (Some(_), Some(o)) => o.moments_status(),
            _ => Status::Ok,
        };
        let place = |row: Row| {
            let own = if &*row.scope == "all" { row.scope(self.scope.name.as_str()) } else { row };
            let own = own.no_better_than(trusted);
            Row { layer: own.layer.or(self.scope.layer), head: own.head.or(self.scope.head), ..own }
        };
        rows.into_iter().map(place).collect()
    }
}
