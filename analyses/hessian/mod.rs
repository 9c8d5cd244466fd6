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

mod choices;
pub mod condition;
mod declaration;
mod density;
mod extremes;
mod figures;
mod follow;
mod job;
mod kind;
mod matrix;
mod search;
mod traces;

use std::collections::BTreeMap;

use crate::base::error::Result;
use crate::base::figure::{Column, Figure};
use crate::base::observer::Observer;
use crate::base::row::Row;
use crate::base::vectors::Vectors;
use crate::optim::limits;
use crate::run::Moments;
use crate::snapshot::Snapshot;
use crate::snapshot::analysis::{Analysis, Quantity, Session, Training, Variants};
use crate::snapshot::options::{Flags, Options};
use choices::HessianChoices;
use declaration::QUANTITIES;
use follow::Follow;
use job::Job;
use kind::{Kind, OPERATORS};
use matrix::Matrix;

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

    fn options(&self) -> Flags {
        Flags::of::<HessianChoices>()
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
        let mut kinds = options.of::<HessianChoices>().operator.iter();
        if kinds.any(|kind| kind.is_preconditioned()) { Moments::Second } else { Moments::None }
    }

    fn named_by(&self) -> Option<Variants> {
        Some(Variants { option: "operator", values: OPERATORS })
    }

    fn tracks(&self) -> bool {
        true
    }

    fn begin(&self, options: &Options, training: Option<&Training>) -> Result<Box<dyn Session>> {
        let choices: &HessianChoices = options.of();
        let job = Job::new(choices)?;
        if let Some(training) = training
            && let Some(kind) = job.kinds.iter().find(|kind| kind.is_preconditioned())
        {
            kind.exists_for("the run's", training.optimizer)?;
        }
        Ok(match training {
            Some(training) => Box::new(Followed { follow: Follow::new(&job, choices, training)?, job }),
            None => Box::new(Searched { job, warm_starts: BTreeMap::new() }),
        })
    }
}

/// Checkpoints, each searched by itself, near where the search at the one before ended.
struct Searched {
    job: Job,
    /// By the name of a matrix, the sum of the eigenvectors last found.
    warm_starts: BTreeMap<String, Vectors>,
}

impl Session for Searched {
    fn measure(&mut self, snapshot: &Snapshot, observer: &dyn Observer) -> Result<Vec<Row>> {
        let (job, batch) = (&self.job, snapshot.measured_on()?);
        let scopes = job.scopes(snapshot)?;
        let plan = job.plan(snapshot, !self.warm_starts.is_empty())?;
        let n = snapshot.config().num_parameters();
        observer.note(&format!("plan: n = {n}, {}", plan.describe(batch)));
        let curvature = &*snapshot.curvature(&plan)?;
        observer.note(&job.cost(curvature, &scopes));
        let group = job.group().min((plan.max_basis / job.depth).max(1));

        let gradient = curvature.gradient();
        let norm = gradient.dot(gradient, 0..n).sqrt();
        let tokens = batch.num_tokens() as u64;
        let mut rows = vec![
            Row::new("loss/mean", curvature.loss()).n(tokens),
            Row::new("gradient/norm", norm).n(tokens),
        ];
        let preconditioned = job.kinds.iter().any(|kind| kind.is_preconditioned());
        let adam = if preconditioned { snapshot.limits(Some(norm), observer) } else { None };
        rows.extend(adam.and_then(|(_, clip)| clip).map(limits::clip_row));
        for kind in &job.kinds {
            let preconditioner = kind.preconditioner(snapshot, curvature)?;
            let request = job.request(*kind, plan.max_basis);
            let mut densities = Vec::new();
            for scope in &scopes {
                let matrix =
                    Matrix { kind: *kind, scope, curvature, preconditioner: preconditioner.as_ref(), adam };
                let (found, density) =
                    matrix.search(snapshot, job, &request, group, &mut self.warm_starts, observer)?;
                rows.extend(found);
                densities.extend(density.map(|measures| (scope.name.as_str(), measures)));
            }
            rows.extend(density::distances(kind.prefix(), &densities));
        }
        Ok(rows)
    }

    fn remembers(&self) -> bool {
        !self.warm_starts.is_empty()
    }

    fn state(&self) -> BTreeMap<String, Vectors> {
        self.warm_starts.clone()
    }

    fn restore(&mut self, state: BTreeMap<String, Vectors>) -> Result<()> {
        self.warm_starts = state;
        Ok(())
    }
}

/// Training, where the largest eigenvalue is followed from step to step.
struct Followed {
    job: Job,
    follow: Follow,
}

impl Session for Followed {
    fn measure(&mut self, snapshot: &Snapshot, observer: &dyn Observer) -> Result<Vec<Row>> {
        let probed = snapshot.on(self.follow.probe())?;
        let preconditioned = self.job.kinds.iter().any(|kind| kind.is_preconditioned());
        let adam = if preconditioned { snapshot.limits(None, observer) } else { None };
        let mut rows: Vec<Row> = adam.and_then(|(_, clip)| clip).map(limits::clip_row).into_iter().collect();
        let scopes = self.job.scopes(snapshot)?;
        let followed = self.job.kinds.iter().filter(|kind| self.follow.applies(**kind, snapshot));
        let matrices: Vec<_> =
            followed.flat_map(|kind| scopes.iter().map(move |scope| (kind, scope))).collect();
        for (kind, scope) in matrices {
            // the next update's matrix is that of its own batch
            let at = if *kind == Kind::PreconditionedNext { snapshot } else { &probed };
            let curvature = &*at.curvature(&self.follow.plan(at)?)?;
            let preconditioner = kind.preconditioner(at, curvature)?;
            let matrix =
                Matrix { kind: *kind, scope, curvature, preconditioner: preconditioner.as_ref(), adam };
            let found = matrix.follow(at, &mut self.follow)?;
            let batch = at.batch().map_or_else(String::new, |batch| batch.id());
            rows.extend(found.into_iter().map(|row| row.on_batch(batch.as_str())));
        }
        Ok(rows)
    }

    fn remarks(&self) -> Vec<(String, String)> {
        vec![("completeness".into(), self.follow.completeness())]
    }

    fn remembers(&self) -> bool {
        true
    }

    fn state(&self) -> BTreeMap<String, Vectors> {
        self.follow.state()
    }

    fn restore(&mut self, state: BTreeMap<String, Vectors>) -> Result<()> {
        self.follow.restore(state)
    }
}
