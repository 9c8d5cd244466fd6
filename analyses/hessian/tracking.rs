//! The largest eigenvalue at every training step.
//!
//! **What.** λ1 of each operator after update t, on the same probe batch at every step, stamped t. For
//! `preconditioned-next` λ1 on the batch of update t at the parameters before it, with v as update t leaves it (its
//! gradient added as it was clipped), stamped t−1, for t < 2/(1−β2): Adam's first steps, in which the gradient of the
//! batch itself is much of its own preconditioner. Its rows, products included, are its own, and its thresholds carry
//! its name in front.
//!
//! **Margin.** threshold_t/(c λ1) with c the clip factor of the update after the state that λ1 is of: known at once for
//! `preconditioned-next`, one update later for the others, whose margin is therefore told with that update (which is
//! heard for it even where the cadence leaves it out), and not at all after the last update.
//!
//! **Estimator and error.** [`crate::linalg::follow`]: each step starts from the vectors of the last; the residual
//! is the uncertainty. Beside it the overlap with the last step's vector, the share of the gradient in it and in
//! the space that is kept, and `condition/rms` from random probes beside the search's own products. Where some
//! coordinates are at the floor of ε the matrix without them is followed too.
//!
//! **Cost.** Per step one primal pass on the probe batch for all operators together (one more on the training
//! batch), two to six products each, as many for a masked matrix, and one for each probe.

use std::collections::BTreeMap;

use super::condition::Known;
use super::extremes;
use super::job::Kind;
use crate::architecture::GptConfig;
use crate::base::error::{Error, Result};
use crate::base::random::{self, Random};
use crate::base::row::{Row, Status};
use crate::base::settings::Settings;
use crate::base::values::{DType, Values};
use crate::base::vectors::Vectors;
use crate::data::Batch;
use crate::linalg::{Followed, Follower, Following, LinearOperator};
use crate::model::Gpt;
use crate::operator::{self, Curvature, Demand, GaussNewton, Plan, Preconditioned, Preconditioner};
use crate::optim::Clip;
use crate::optim::limits::{self, Lambda, Limits};
use crate::snapshot::analysis::{Opening, Options, StepTracker};
use crate::snapshot::step::Step;

/// A matrix that is followed.
struct Matrix {
    kind: Kind,
    follower: Follower,
    /// Of the matrix without the coordinates at the floor of ε, where it has one.
    masked: Option<Follower>,
}

impl Matrix {
    fn new(kind: Kind, following: Following) -> Self {
        let masked = kind.is_preconditioned().then(|| Follower::new(Following { probes: 0, ..following }));
        Matrix { kind, follower: Follower::new(following), masked }
    }

    /// Its followers by the names of their states, that of the masked matrix second.
    fn followers(&self) -> impl Iterator<Item = (String, &Follower)> {
        let masked = self.masked.as_ref().map(|follower| (self.masked_name(), follower));
        std::iter::once((self.kind.prefix().to_string(), &self.follower)).chain(masked)
    }

    /// The same, to be changed.
    fn followers_mut(&mut self) -> impl Iterator<Item = (String, &mut Follower)> {
        let name = self.masked_name();
        let masked = self.masked.as_mut().map(|follower| (name, follower));
        std::iter::once((self.kind.prefix().to_string(), &mut self.follower)).chain(masked)
    }

    fn masked_name(&self) -> String {
        format!("{}.masked", self.kind.prefix())
    }
}

/// A margin that waits for the clip factor of the next update.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    limits: Limits,
    lambda: Lambda,
}

/// Follows the largest eigenvalue of each operator.
pub struct CurvatureTracker {
    followed: Vec<Matrix>,
    following: Following,
    waiting: Option<Waiting>,
    probe: Batch,
    config: GptConfig,
    settings: Settings,
    basis: usize,
}

impl CurvatureTracker {
    /// Reads the options and checks that the search fits the memory.
    ///
    /// # Errors
    /// [`Error::Usage`] where an option is impossible or the memory too small.
    pub fn new(opening: &Opening, options: &Options) -> Result<Self> {
        let kinds =
            options.all("operator").iter().map(|text| Kind::parse(text)).collect::<Result<Vec<_>>>()?;
        let scope: String = options.get("scope")?;
        if scope != "all" {
            return Err(Error::usage_hint(
                format!("scope {scope} cannot be followed in training"),
                "leave it out, and measure checkpoints with `warmlab hessian --scope`",
            ));
        }
        let tol: f64 = options.get("track-tol")?;
        if tol.is_nan() || tol <= 0.0 {
            return Err(Error::usage(format!("track-tol {tol} must be positive")));
        }
        let max_matvecs: usize = options.get("track-max-matvecs")?;
        if max_matvecs < 2 {
            return Err(Error::usage(format!("track-max-matvecs {max_matvecs} must be at least 2")));
        }
        let (retained, probes): (usize, usize) = (options.get("track-guards")?, options.get("track-probes")?);
        if probes == 1 {
            return Err(Error::usage("track-probes 1 gives a norm without an error: use 0, or 2 or more"));
        }
        let following = Following { tol, max_matvecs, retained, probes };
        let followed: Vec<Matrix> = kinds.iter().map(|kind| Matrix::new(*kind, following)).collect();
        let kept = followed.iter().map(|matrix| 1 + usize::from(matrix.masked.is_some())).sum::<usize>()
            * (retained + 1);
        let tracker = CurvatureTracker {
            followed,
            following,
            waiting: None,
            probe: opening.probe.clone(),
            config: opening.config.clone(),
            settings: opening.settings.clone(),
            // the search space and its products, and what is kept of every operator
            basis: 2 * (max_matvecs + probes) + retained + kept,
        };
        tracker.plan(&tracker.probe)?;
        Ok(tracker)
    }

    fn plan(&self, batch: &Batch) -> Result<Plan> {
        // the trainer's parameters twice, its gradient and moments, and P
        let demand = Demand::new(1, self.basis, self.basis).holding(6);
        Plan::new(&self.config, batch, &self.settings, demand)
    }

    fn curvature(&self, gpt: Gpt, batch: &Batch) -> Result<Curvature> {
        let plan = self.plan(batch)?;
        Curvature::new(gpt, batch, plan.micro_batch, plan.keep)
    }
}

impl StepTracker for CurvatureTracker {
    fn step(&mut self, step: &Step) -> Result<Vec<Row>> {
        let (update, hyper) = (step.update, step.update.hyper);
        let t = update.step;
        let due = |kind: Kind| kind == Kind::PreconditionedNext && (t as f64) < 2.0 / (1.0 - hyper.beta2);
        let wanted = |next: bool| {
            self.followed.iter().any(|m| if next { due(m.kind) } else { m.kind != Kind::PreconditionedNext })
        };
        let next = if wanted(true) { Some(self.curvature(step.gpt.clone(), step.batch)?) } else { None };
        let probe = if wanted(false) {
            let gpt = Gpt::new(&self.config, step.parameters, &self.settings.device.burn())?;
            Some(self.curvature(gpt, &self.probe)?)
        } else {
            None
        };
        // v after the update: its newest term is of the gradient as it was clipped
        let adam = Preconditioner::of(step.exp_avg_sq, hyper.beta2, t, hyper.eps);
        let dtype = self.settings.dtype;
        let (mut before, mut after) = (self.clipped(step), Vec::new());
        for matrix in &mut self.followed {
            let kind = matrix.kind;
            let random = &mut random::stream(self.settings.seed, t, &format!("track/{}", kind.prefix()));
            let (curvature, rows) = match (kind, &next, &probe) {
                (Kind::PreconditionedNext, Some(next), _) => (next, &mut before),
                (Kind::PreconditionedNext, None, _) | (_, _, None) => continue,
                (_, _, Some(probe)) => (probe, &mut after),
            };
            let (hessian, ggn) = (operator::Hessian(curvature), GaussNewton(curvature));
            let base: &dyn LinearOperator = if kind == Kind::Ggn { &ggn } else { &hessian };
            if !kind.is_preconditioned() {
                let found = matrix.follower.step(base, random)?;
                let gradient = curvature.gradient().to_f64();
                rows.extend(describe(kind, &matrix.follower, &found, &gradient, dtype));
                continue;
            }
            let found = matrix.follower.step(&Preconditioned::new(base, &adam), random)?;
            let gradient = curvature.gradient();
            let scaled: Vec<f64> =
                (0..gradient.len()).map(|i| gradient.get(i) * adam.inverse_root().get(i)).collect();
            rows.extend(describe(kind, &matrix.follower, &found, &scaled, dtype));
            rows.extend(matrix.without_floor(&found, base, &adam, random)?);
            let lambda = Lambda {
                value: found.value,
                residual: found.residual,
                matvecs: found.matvecs,
                status: status(&found),
            };
            let prefix = kind.of_limits();
            if kind == Kind::PreconditionedNext {
                let limits = Limits { beta1: hyper.beta1, lr: update.lr, t };
                rows.extend(limits.thresholds(prefix));
                rows.extend(limits.margin(prefix, lambda, Clip::made(update.clip)));
                continue;
            }
            let limits = Limits { beta1: hyper.beta1, lr: step.next_lr, t: t + 1 };
            rows.extend(limits.thresholds(prefix));
            if step.grad_clip > 0.0 {
                self.waiting = Some(Waiting { limits, lambda });
            } else {
                rows.extend(limits.margin(prefix, lambda, Clip::made(1.0)));
            }
        }
        let probe = self.probe.id();
        let after = after.into_iter().map(|row: Row| row.on_batch(probe.as_str())).collect();
        Ok(step.stamp("hessian", before, after))
    }

    fn remarks(&self) -> Vec<(String, String)> {
        vec![("completeness".into(), self.following.describe_check(self.config.num_parameters()))]
    }

    fn waits(&self) -> bool {
        self.waiting.is_some()
    }

    fn settle(&mut self, step: &Step) -> Result<Vec<Row>> {
        let before = self.clipped(step);
        Ok(step.stamp("hessian", before, vec![]))
    }

    fn state(&self) -> BTreeMap<String, Vectors> {
        let mut state = BTreeMap::new();
        for (name, follower) in self.followed.iter().flat_map(Matrix::followers) {
            if let Some((vectors, values, steps)) = follower.state() {
                let values: Vec<f64> = values.iter().copied().chain([steps as f64]).collect();
                state.insert(format!("{name}.vectors"), vectors.clone());
                state.insert(format!("{name}.values_steps"), numbers(values));
            }
        }
        if let Some(Waiting { limits, lambda }) = self.waiting {
            let matvecs =
                if lambda.status == Status::Ok { lambda.matvecs as f64 } else { -(lambda.matvecs as f64) };
            let values =
                vec![limits.beta1, limits.lr, limits.t as f64, lambda.value, lambda.residual, matvecs];
            state.insert("waiting".into(), numbers(values));
        }
        state
    }

    fn restore(&mut self, mut state: BTreeMap<String, Vectors>) -> Result<()> {
        let fits = |vectors: &Vectors, values: &[f64]| {
            vectors.n() == self.config.num_parameters()
                && vectors.dtype() == self.settings.dtype
                && vectors.k() == values.len()
        };
        for (name, follower) in self.followed.iter_mut().flat_map(Matrix::followers_mut) {
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
        self.waiting = state.remove("waiting").and_then(|values| {
            let [beta1, lr, t, value, residual, matvecs] = values.row(0)[..] else { return None };
            let status = if matvecs > 0.0 { Status::Ok } else { Status::Unconverged };
            let lambda = Lambda { value, residual, matvecs: matvecs.abs() as usize, status };
            Some(Waiting { limits: Limits { beta1, lr, t: t as u64 }, lambda })
        });
        Ok(())
    }
}

impl CurvatureTracker {
    /// Rows of the state before an update, which the update's clip factor completes.
    fn clipped(&mut self, step: &Step) -> Vec<Row> {
        if !self.followed.iter().any(|matrix| matrix.kind.is_preconditioned()) {
            return vec![];
        }
        let clip = Clip::made(step.update.clip);
        // of another state where the update after it was not heard
        let waiting = self.waiting.take().filter(|waiting| waiting.limits.t == step.update.step);
        let margin = waiting.and_then(|waiting| waiting.limits.margin("", waiting.lambda, clip));
        let margin = margin.map(|row| row.on_batch(self.probe.id()));
        std::iter::once(limits::clip_row(clip)).chain(margin).collect()
    }
}

impl Matrix {
    /// λ1 without the coordinates at the floor of ε, and their share; where there are none it is `found`.
    fn without_floor(
        &mut self,
        found: &Followed,
        base: &dyn LinearOperator,
        adam: &Preconditioner,
        random: &mut Random,
    ) -> Result<Vec<Row>> {
        let (prefix, n) = (self.kind.prefix(), base.n());
        let share = adam.masked_fraction(std::slice::from_ref(&(0..n)));
        let lambda = |found: &Followed| {
            let row = Row::new(format!("{prefix}/lambda_masked"), found.value).index(1);
            row.uncertainty(found.residual).n(found.matvecs as u64).status(status(found))
        };
        let row = match &mut self.masked {
            Some(masked) if share > 0.0 => lambda(&masked.step(&Preconditioned::masked(base, adam), random)?),
            _ => lambda(found),
        };
        Ok(vec![row, extremes::masked_fraction(self.kind, share, n)])
    }
}

/// A few numbers as one vector.
fn numbers(values: Vec<f64>) -> Vectors {
    let n = values.len();
    Vectors::new(Values::F64(values), n)
}

/// Eigenvalue, overlap and the gradient's energy; `gradient` in the operator's geometry.
fn describe(kind: Kind, follower: &Follower, found: &Followed, gradient: &[f64], dtype: DType) -> Vec<Row> {
    let prefix = kind.prefix();
    let status = status(found);
    let row = |name: &str, value: f64| {
        Row::new(format!("{prefix}/{name}"), value).index(1).n(found.matvecs as u64).status(status)
    };
    let mut rows = vec![row("lambda", found.value).uncertainty(found.residual)];
    rows.extend(found.overlap.map(|overlap| row("overlap", overlap)));
    let mut known = Known::of(gradient.len(), dtype);
    known.largest(found.value, found.residual, status);
    known.norm(&found.frobenius_sq);
    rows.extend(known.rows(prefix));
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
