//! Extreme eigenvalues of curvature matrices.
//!
//! **What.** The largest and the smallest eigenvalues of the Hessian H of the mean loss, of its
//! Gauss-Newton part G, and of either in Adam's geometry, P^-½ H P^-½; for the whole model or for parts.
//!
//! **Estimator and error.** Lanczos with full reorthogonalisation on exact products. Each eigenvalue comes
//! with its recomputed residual ‖A v − θ v‖: some eigenvalue lies within it. A second start checks that none
//! was skipped. `--exact` builds the matrix and decomposes it whole.
//!
//! **Cost.** One product is about two gradients; isolated eigenvalues take 15 to 60 products, one more
//! each for verification, and 8 to about as many again for the check, as the size and the gaps ask for.
//!
//! `--density` adds the spectral density, `--trace` traces and norms; both are needed for some of the
//! [condition estimates](condition).
//!
//! Over the checkpoints of a run each search starts near the sum of the eigenvectors found at the checkpoint before
//! (the check for skipped ones starts at random); in training the largest eigenvalue is followed from step to step.
//!
//! **References.** Ghorbani, Krishnan and Xiao 2019, arXiv 1901.10159 (spectra of networks by Lanczos);
//! Cohen et al. 2022, arXiv 2207.14484 (preconditioned sharpness, and the threshold (2+2β1)/((1−β1)η)).

pub mod condition;
mod declaration;
mod density;
mod extremes;
mod figures;
mod job;
mod traces;
mod tracking;

use crate::base::error::Result;
use crate::base::figure::{Column, Figure};
use crate::base::observer::Observer;
use crate::base::random::{self, Random};
use crate::base::row::{Row, Status};
use crate::base::vectors::Vectors;
use crate::linalg::{self, Eigenpairs, LinearOperator, Measure, Request};
use crate::operator::{self, Curvature, GaussNewton, Preconditioned, Preconditioner, Restricted, Scope};
use crate::optim::Clip;
use crate::optim::limits::{self, Limits};
use crate::run::Moments;
use crate::snapshot::Snapshot;
use crate::snapshot::analysis::{Analysis, Opening, OptionSpec, Options, Quantity, StepTracker};
use condition::Known;
use declaration::{OPTIONS, QUANTITIES};
use job::{Job, Kind};

/// Extreme eigenvalues of curvature matrices.
pub struct Hessian;

impl Analysis for Hessian {
    fn name(&self) -> &'static str {
        "hessian"
    }

    fn about(&self) -> &'static str {
        "Extreme eigenvalues of the Hessian, the Gauss-Newton matrix and the Adam-preconditioned Hessian"
    }

    fn example(&self) -> &'static str {
        "warmlab hessian --ckpt step_200 --operator hessian --operator preconditioned --top 3"
    }

    fn quantities(&self) -> &'static [Quantity] {
        QUANTITIES
    }

    fn options(&self) -> &'static [OptionSpec] {
        OPTIONS
    }

    fn figures(&self) -> &'static [Figure] {
        figures::FIGURES
    }

    fn columns(&self) -> &'static [Column] {
        figures::COLUMNS
    }

    fn notes(&self) -> &'static str {
        "loss: mean cross-entropy over all targets, dropout off; uncertainty of an eigenvalue: recomputed \
         residual norm; of what random probes estimate: half-width of a 68% interval, Student's t over probes (on the \
         logarithm where all have one sign), the jackknife's for ratios, distances and quantiles, and those of \
         quantiles with the quadrature's bracket; n: products spent; preconditioned: P^-1/2 H P^-1/2, P = diag(sqrt(v/(1-beta2^N)) + eps); \
         preconditioned-next: v with this batch's gradient added as the run would clip it, N+1; lambda: of P^-1/2 H \
         P^-1/2, of which an update of clipped gradients meets c times as much; margin: threshold_t/(c lambda1), c \
         frozen, like P; masked: without coordinates where sqrt(v_hat) < 10 eps"
    }

    fn moments(&self, options: &Options) -> Moments {
        let preconditioned = |text: &String| Kind::parse(text).is_ok_and(Kind::is_preconditioned);
        if options.all("operator").iter().any(preconditioned) { Moments::Second } else { Moments::None }
    }

    fn run(&self, snapshot: &Snapshot, options: &Options, observer: &dyn Observer) -> Result<Vec<Row>> {
        let job = Job::parse(snapshot, options)?;
        let plan = job.plan(snapshot)?;
        let n = snapshot.config().num_parameters();
        observer.note(&format!("plan: n = {n}, {}", plan.describe(snapshot.batch())));
        let curvature = snapshot.curvature(&plan)?;
        observer.note(&job.cost(curvature));
        let group = job.group().min((plan.max_basis / job.depth).max(1));

        let gradient = curvature.gradient();
        let norm = gradient.dot(gradient, 0..n).sqrt();
        let tokens = snapshot.batch().num_tokens() as u64;
        let mut rows = vec![
            Row::new("loss/mean", curvature.loss()).n(tokens),
            Row::new("gradient/norm", norm).n(tokens),
        ];
        let preconditioned = job.kinds.iter().any(|kind| kind.is_preconditioned());
        let adam = if preconditioned { snapshot.limits(norm, observer) } else { None };
        rows.extend(adam.map(|(_, clip)| limits::clip_row(clip)));
        for kind in &job.kinds {
            let preconditioner = kind.preconditioner(snapshot, curvature)?;
            let mut densities = Vec::new();
            for scope in &job.scopes {
                let part = Part { kind: *kind, scope, preconditioner: preconditioner.as_ref(), adam };
                let request = job.request(*kind, plan.max_basis);
                let (found, density) = part.measure(snapshot, curvature, &job, &request, group, observer)?;
                rows.extend(found);
                densities.extend(density.map(|measures| (scope.name.as_str(), measures)));
            }
            rows.extend(density::distances(kind.prefix(), &densities));
        }
        Ok(snapshot.stamp(self.name(), rows))
    }

    fn named_by(&self) -> Option<&'static OptionSpec> {
        OPTIONS.iter().find(|option| option.name == "operator")
    }

    fn tracks(&self) -> bool {
        true
    }

    fn tracker(&self, opening: &Opening, options: &Options) -> Result<Option<Box<dyn StepTracker>>> {
        Ok(Some(Box::new(tracking::CurvatureTracker::new(opening, options)?)))
    }
}

/// One matrix on one scope.
struct Part<'a> {
    kind: Kind,
    scope: &'a Scope,
    preconditioner: Option<&'a Preconditioner>,
    /// The next update and how it is clipped, where the optimizer is known.
    adam: Option<(Limits, Clip)>,
}

impl Part<'_> {
    /// Calls `work` on the matrix, without the coordinates at the floor of ε where it is to be `masked`.
    fn with_matrix<T>(
        &self,
        curvature: &Curvature,
        masked: bool,
        work: impl FnOnce(&dyn LinearOperator) -> Result<T>,
    ) -> Result<T> {
        let (hessian, ggn) = (operator::Hessian(curvature), GaussNewton(curvature));
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
    fn random(&self, snapshot: &Snapshot, purpose: &str) -> Random {
        let purpose = format!("hessian/{}/{}{purpose}", self.kind.prefix(), self.scope.name);
        random::stream(snapshot.settings().seed, snapshot.step(), &purpose)
    }

    /// All rows, and the measures of its density where that was asked for.
    fn measure(
        &self,
        snapshot: &Snapshot,
        curvature: &Curvature,
        job: &Job,
        request: &Request,
        group: usize,
        observer: &dyn Observer,
    ) -> Result<(Vec<Row>, Option<Vec<Measure>>)> {
        let prefix = self.kind.prefix();
        let solve = |masked: bool, request: &Request, hint: Option<Vectors>, of: &str| {
            self.with_matrix(curvature, masked, |matrix| -> Result<Eigenpairs> {
                let found = if job.exact {
                    linalg::spectrum(matrix, request.bottom, request.tol, observer)?
                } else {
                    let random = &mut self.random(snapshot, "");
                    linalg::eigsh(matrix, request, hint.as_ref(), random, observer)?
                };
                snapshot.remark(&format!("completeness.{of}"), extremes::completeness(&found));
                Ok(found)
            })
        };
        let (mut rows, mut known) = (Vec::new(), Known::of(self.scope.n(), snapshot.settings().dtype));
        if self.kind == Kind::Ggn {
            known.semidefinite();
        }
        if job.exact || request.top + request.bottom > 0 {
            let name = format!("{prefix}/{}", self.scope.name);
            let n = self.scope.n();
            let mut found = solve(false, request, snapshot.hint(&name, n), &name)?;
            if !job.exact {
                // the sum says enough to start near, and the vectors are not held beside the next search
                snapshot.leave_hint(&name, found.take_warm_start());
            }
            rows.extend(extremes::list(&found, format!("{prefix}/lambda"), &found.top));
            rows.extend(extremes::list(&found, format!("{prefix}/lambda_min"), &found.bottom));
            if let Some(preconditioner) = self.preconditioner {
                let share = preconditioner.masked_fraction(&self.scope.ranges);
                let quantity = format!("{prefix}/lambda_masked");
                rows.extend(if share > 0.0 {
                    let request = Request { bottom: 0, ..request.clone() };
                    let near = if job.exact { None } else { snapshot.hint(&name, n) };
                    let masked = solve(true, &request, near, &format!("{name}/masked"))?;
                    extremes::list(&masked, quantity, &masked.top)
                } else {
                    extremes::list(&found, quantity, &found.top)
                });
                rows.push(extremes::masked_fraction(self.kind, share, n));
                if let Some((limits, clip)) = self.adam.filter(|_| self.scope.name == "all") {
                    let prefix = self.kind.of_limits();
                    rows.extend(limits.thresholds(prefix));
                    rows.extend(extremes::first(&found).and_then(|first| limits.margin(prefix, first, clip)));
                }
            }
            known.eigenvalues(&found, job.exact);
        }
        if job.trace && !job.exact {
            self.with_matrix(curvature, false, |matrix| {
                let random = &mut self.random(snapshot, "/trace");
                rows.extend(traces::rows(
                    matrix, self.scope, snapshot, job.probes, group, random, &mut known, observer, prefix,
                )?);
                Ok(())
            })?;
        }
        let mut density = None;
        if job.density {
            let measures = self.with_matrix(curvature, false, |matrix| {
                let random = &mut self.random(snapshot, "/density");
                linalg::quadrature(matrix, job.probes, job.depth, group, random, observer)
            })?;
            rows.extend(density::rows(prefix, &measures.0, measures.1));
            known.measures = measures.0.clone();
            density = Some(measures.0);
        }
        rows.extend(known.rows(prefix));
        // P is made of the stored moments
        let trusted = match (self.preconditioner, snapshot.optimizer()) {
            (Some(_), Some(o)) => o.moments_status(),
            _ => Status::Ok,
        };
        let place = |row: Row| {
            let own = if &*row.scope == "all" { row.scope(self.scope.name.as_str()) } else { row };
            let own = own.no_better_than(trusted);
            Row { layer: own.layer.or(self.scope.layer), head: own.head.or(self.scope.head), ..own }
        };
        Ok((rows.into_iter().map(place).collect(), density))
    }
}
