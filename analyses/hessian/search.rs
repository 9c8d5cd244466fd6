//! Eigenvalues, traces and densities of one matrix at one checkpoint.

use std::collections::BTreeMap;

use super::condition::SpectralSummary;
use super::job::Job;
use super::kind::Kind;
use super::matrix::Matrix;
use super::{density, extremes, traces};
use crate::base::error::Result;
use crate::base::observer::Observer;
use crate::base::row::Row;
use crate::base::vectors::Vectors;
use crate::linalg::{self, Eigenpairs, Measure, Request};
use crate::snapshot::Snapshot;

impl Matrix<'_> {
    /// All rows, and the measures of its density where that was asked for; the search starts near what `warm_starts`
    /// has of it and leaves there what it found.
    pub fn search(
        &self,
        snapshot: &Snapshot,
        job: &Job,
        request: &Request,
        group: usize,
        warm_starts: &mut BTreeMap<String, Vectors>,
        observer: &dyn Observer,
    ) -> Result<(Vec<Row>, Option<Vec<Measure>>)> {
        let prefix = self.kind.prefix();
        let solve = |masked: bool, request: &Request, start: Option<&Vectors>, of: &str| {
            self.with(masked, |matrix| -> Result<Eigenpairs> {
                let found = if job.exact {
                    linalg::spectrum(matrix, request.bottom, request.tol, observer)?
                } else {
                    linalg::eigsh(matrix, request, start, &mut self.random(snapshot, ""), observer)?
                };
                snapshot.remark(&format!("completeness.{of}"), extremes::completeness(&found));
                Ok(found)
            })
        };
        let (mut rows, mut summary) =
            (Vec::new(), SpectralSummary::of(self.scope.n(), snapshot.settings().dtype));
        if self.kind == Kind::Ggn {
            summary.semidefinite();
        }
        if job.exact || request.top + request.bottom > 0 {
            let name = format!("{prefix}/{}", self.scope.name);
            let fits = |v: &&Vectors| v.n() == self.scope.n() && v.dtype() == snapshot.settings().dtype;
            let start = warm_starts.get(&name).filter(fits);
            let mut found = solve(false, request, start, &name)?;
            if !job.exact {
                // the sum says enough to start near, and the vectors are not held beside the next search
                warm_starts.insert(name.clone(), found.take_warm_start());
            }
            rows.extend(extremes::list(&found, format!("{prefix}/lambda"), &found.top));
            rows.extend(extremes::list(&found, format!("{prefix}/lambda_min"), &found.bottom));
            if let Some(share) = self.masked_share() {
                let quantity = format!("{prefix}/lambda_masked");
                rows.extend(if share > 0.0 {
                    let request = Request { bottom: 0, ..request.clone() };
                    let near = if job.exact { None } else { warm_starts.get(&name).filter(fits) };
                    let masked = solve(true, &request, near, &format!("{name}/masked"))?;
                    extremes::list(&masked, quantity, &masked.top)
                } else {
                    extremes::list(&found, quantity, &found.top)
                });
                rows.push(self.masked_fraction(share));
                rows.extend(self.limits(extremes::first(&found)));
            }
            summary.eigenvalues(&found, job.exact);
        }
        if job.trace && !job.exact {
            self.with(false, |matrix| {
                let random = &mut self.random(snapshot, "/trace");
                rows.extend(traces::rows(
                    matrix,
                    self.scope,
                    snapshot,
                    job.probes,
                    group,
                    random,
                    &mut summary,
                    observer,
                    prefix,
                )?);
                Ok(())
            })?;
        }
        let mut density = None;
        if job.density {
            let measures = self.with(false, |matrix| {
                let random = &mut self.random(snapshot, "/density");
                linalg::quadrature(matrix, job.probes, job.depth, group, random, observer)
            })?;
            rows.extend(density::rows(prefix, &measures.0, measures.1));
            summary.measures = measures.0.clone();
            density = Some(measures.0);
        }
        rows.extend(summary.rows(prefix));
        Ok((self.place(rows, snapshot), density))
    }
}
