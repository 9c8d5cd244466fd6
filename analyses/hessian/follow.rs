//! The largest eigenvalue at every training step.
//!
//! **What.** λ1 of each operator at the weights of step N, on the same probe batch at every step, from the first update
//! on. For `preconditioned-next` λ1 on the batch of update N+1, with v as that update leaves it (its gradient added as it
//! is clipped), for N+1 < 2/(1−β2): Adam's first steps, in which the gradient of the batch itself is much of its own
//! preconditioner. Its rows, products included, are its own, and its thresholds carry its name in front.
//!
//! **Margin.** threshold_t/(c λ1) with c the clip factor of update N+1; not told after the last update of a run that
//! clips.
//!
//! **Estimator and error.** [`crate::linalg::follow`]: each step starts from the vectors of the last; the residual
//! is the uncertainty. Beside it the overlap with the last step's vector, the share of the gradient in it and in
//! the space that is kept, and `condition/rms` from random probes beside the search's own products. Where some
//! coordinates are at the floor of ε the matrix without them is followed too.
//!
//! **Cost.** Per step one primal pass on the probe batch for all operators together (one more on the training
//! batch), two to six products each, as many for a masked matrix, and one for each probe.

use std::collections::BTreeMap;

use super::choices::HessianChoices;
use super::condition::SpectralSummary;
use super::job::Job;
use super::kind::Kind;
use super::matrix::Matrix;
use crate::base::error::{Error, Result};
use crate::base::random;
use crate::base::row::{Row, Status};
use crate::base::values::{DType, Values};
use crate::base::vectors::Vectors;
use crate::data::Batch;
use crate::linalg::{Followed, Follower, Following};
use crate::operator::{Demand, Plan};
use crate::optim::limits::Lambda;
use crate::snapshot::Snapshot;
use crate::snapshot::analysis::Training;

/// What is remembered of every matrix, and what they are followed on.
pub struct Follow {
    /// By the names of their states.
    followers: BTreeMap<String, Follower>,
    following: Following,
    probe: Batch,
    n: usize,
    dtype: DType,
    basis: usize,
}

impl Follow {
    /// Nothing followed yet; checks that the search fits the memory.
    ///
    /// # Errors
    /// [`Error::Usage`] where an option is impossible or the memory too small.
    pub fn new(job: &Job, choices: &HessianChoices, training: &Training) -> Result<Self> {
        if job.scope != "all" {
            return Err(Error::usage_hint(
                format!("scope {} cannot be followed in training", job.scope),
                "leave it out, and measure checkpoints with `warmlab hessian --scope`",
            ));
        }
        let HessianChoices { track_tol, track_max_matvecs, track_guards, track_probes, .. } = *choices;
        let (max_matvecs, retained, probes) = (track_max_matvecs, track_guards, track_probes);
        let following = Following { tol: track_tol, max_matvecs, retained, probes };
        let mut followers = BTreeMap::new();
        for kind in &job.kinds {
            followers.insert(kind.prefix().to_string(), Follower::new(following));
            if kind.is_preconditioned() {
                let without_norm = Following { probes: 0, ..following };
                followers.insert(masked_name(*kind), Follower::new(without_norm));
            }
        }
        // the search space and its products, and what is kept of every matrix
        let basis = 2 * (max_matvecs + probes) + retained + followers.len() * (retained + 1);
        let (n, dtype) = (training.config.num_parameters(), training.settings.dtype);
        // the trainer's parameters twice, its gradient and moments, and P
        let demand = Demand::new(1, basis, basis).holding(6);
        Plan::new(training.config, training.probe, training.settings, demand)?;
        Ok(Follow { followers, following, probe: training.probe.clone(), n, dtype, basis })
    }

    /// The batch that is the same at every step.
    pub fn probe(&self) -> &Batch {
        &self.probe
    }

    /// Whether a matrix of this kind is followed at the snapshot.
    pub fn applies(&self, kind: Kind, snapshot: &Snapshot) -> bool {
        let next = (snapshot.step() + 1) as f64;
        let rule = snapshot.optimizer().and_then(|o| o.rule().ok());
        match kind {
            Kind::PreconditionedNext => {
                snapshot.batch().is_some() && rule.is_some_and(|rule| next < rule.settling())
            }
            _ => snapshot.step() > 0,
        }
    }

    /// How products fit the memory.
    ///
    /// # Errors
    /// Where they do not.
    pub fn plan(&self, snapshot: &Snapshot) -> Result<Plan> {
        // beside the moments: the trainer's parameters twice, its gradient, and P
        snapshot.plan(Demand::new(1, self.basis, self.basis).holding(4))
    }

    /// What its checks may miss, in words.
    pub fn completeness(&self) -> String {
        self.following.describe_check(self.n)
    }

    /// All that is remembered, by name.
    pub fn state(&self) -> BTreeMap<String, Vectors> {
        let mut state = BTreeMap::new();
        for (name, follower) in &self.followers {
            if let Some((vectors, values, steps)) = follower.state() {
                let values: Vec<f64> = values.iter().copied().chain([steps as f64]).collect();
                state.insert(format!("{name}.vectors"), vectors.clone());
                state.insert(format!("{name}.values_steps"), numbers(values));
            }
        }
        state
    }

    /// Goes on from a [`state`](Self::state).
    ///
    /// # Errors
    /// Where it is another run's.
    pub fn restore(&mut self, mut state: BTreeMap<String, Vectors>) -> Result<()> {
        let fits = |vectors: &Vectors, values: &[f64]| {
            vectors.n() == self.n && vectors.dtype() == self.dtype && vectors.k() == values.len()
        };
        for (name, follower) in &mut self.followers {
            let mut part = |part: &str| state.remove(&format!("{name}.{part}"));
            let (Some(vectors), Some(values)) = (part("vectors"), part("values_steps")) else { continue };
            let mut values = values.row(0);
            let steps = values.pop().unwrap_or(0.0);
            if !fits(&vectors, &values) {
                return Err(Error::usage(format!(
                    "the kept vectors of {name} are those of another run: remove state_*.safetensors from the reports",
                )));
            }
            follower.restore(vectors, values, steps as u64);
        }
        Ok(())
    }
}

fn masked_name(kind: Kind) -> String {
    format!("{}.masked", kind.prefix())
}

impl Matrix<'_> {
    /// The rows of its largest eigenvalue, near where it was at the step before.
    pub fn follow(&self, snapshot: &Snapshot, follow: &mut Follow) -> Result<Vec<Row>> {
        let prefix = self.kind.prefix();
        // the next update's matrix belongs to that update
        let t = snapshot.step() + u64::from(self.kind == Kind::PreconditionedNext);
        let random = &mut random::stream(snapshot.settings().seed, t, &format!("track/{prefix}"));
        let Some(follower) = follow.followers.get_mut(prefix) else { return Ok(vec![]) };
        let found = self.with(false, |matrix| follower.step(matrix, random))?;
        let g = self.curvature.gradient();
        let gradient: Vec<f64> = match self.preconditioner {
            Some(p) => (0..g.len()).map(|i| g.get(i) * p.inverse_root().get(i)).collect(),
            None => g.to_f64(),
        };
        let mut rows = describe(prefix, follower, &found, &gradient, snapshot.settings().dtype);
        if let Some(share) = self.masked_share() {
            let lambda = |found: &Followed| {
                let row = Row::new(format!("{prefix}/lambda_masked"), found.value).index(1);
                row.uncertainty(found.residual).n(found.matvecs as u64).status(status(found))
            };
            rows.push(match follow.followers.get_mut(&masked_name(self.kind)) {
                Some(masked) if share > 0.0 => {
                    lambda(&self.with(true, |matrix| masked.step(matrix, random))?)
                }
                _ => lambda(&found),
            });
            rows.push(self.masked_fraction(share));
        }
        let Followed { value, residual, matvecs, .. } = found;
        rows.extend(self.limits(Some(Lambda { value, residual, matvecs, status: status(&found) })));
        Ok(self.place(rows, snapshot))
    }
}

/// A few numbers as one vector.
fn numbers(values: Vec<f64>) -> Vectors {
    let n = values.len();
    Vectors::new(Values::F64(values), n)
}

/// Eigenvalue, overlap and the gradient's energy; `gradient` in the operator's geometry.
fn describe(prefix: &str, follower: &Follower, found: &Followed, gradient: &[f64], dtype: DType) -> Vec<Row> {
    let status = status(found);
    let row = |name: &str, value: f64| {
        Row::new(format!("{prefix}/{name}"), value).index(1).n(found.matvecs as u64).status(status)
    };
    let mut rows = vec![row("lambda", found.value).uncertainty(found.residual)];
    rows.extend(found.overlap.map(|overlap| row("overlap", overlap)));
    let mut summary = SpectralSummary::of(gradient.len(), dtype);
    summary.largest(found.value, found.residual, status);
    summary.norm(&found.frobenius_sq);
    rows.extend(summary.rows(prefix));
    let Some((kept, ..)) = follower.state() else { return rows };
    let whole: f64 = gradient.iter().map(|g| g * g).sum();
    let part = |i: usize| {
        let product: f64 = kept.row(i).iter().zip(gradient).map(|(v, g)| v * g).sum();
        product * product / whole
    };
    let energy = |k: usize, share: f64, status: Status| {
        let row = Row::new(format!("{prefix}/gradient_energy"), share).parameter(k as f64);
        row.n(gradient.len() as u64).status(status)
    };
    let first = part(0);
    rows.push(energy(1, first, status));
    if kept.k() > 1 {
        let all = first + (1..kept.k()).map(part).sum::<f64>();
        rows.push(energy(kept.k(), all, Status::Unresolved));
    }
    rows
}

fn status(found: &Followed) -> Status {
    if found.converged { Status::Ok } else { Status::Unconverged }
}
