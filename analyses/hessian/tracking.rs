//! The largest eigenvalue at every training step.
//!
//! **What.** λ1 of each operator after update t, on the same probe batch at every step, stamped t. For
//! `preconditioned-next` λ1 on the batch of update t at the parameters before it, with v as update t leaves it
//! (its gradient added as it was clipped), stamped t−1, for t < 2/(1−β2): Adam's first steps, in which the
//! gradient of the batch itself is much of its own preconditioner. Its rows, products included, are its own, and
//! its thresholds carry its name in front.
//!
//! **Estimator and error.** [`crate::linalg::follow`]: each step starts from the vectors of the last; the residual
//! is the uncertainty. Beside it the overlap with the last step's vector, the share of the gradient in it and in
//! the space that is kept, and `condition/rms` from random probes beside the search's own products.
//!
//! **Cost.** Per step one primal pass on the probe batch for all operators together (one more on the training
//! batch), two to six products each, and one for each probe.

use std::collections::BTreeMap;

use super::condition::Known;
use super::extremes;
use super::job::Kind;
use crate::analysis::{Opening, Options, StepTracker};
use crate::config::GptConfig;
use crate::data::Batch;
use crate::error::{Error, Result};
use crate::linalg::{Followed, Follower, Following, LinearOperator};
use crate::model::Gpt;
use crate::operator::{self, Curvature, GaussNewton, Plan, Preconditioned, Preconditioner};
use crate::random;
use crate::row::{Row, Status};
use crate::settings::Settings;
use crate::step::Step;
use crate::values::{DType, Values};
use crate::vectors::Vectors;

/// Follows the largest eigenvalue of each operator.
pub struct CurvatureTracker {
    followed: Vec<(Kind, Follower)>,
    following: Following,
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
        let (guards, probes): (usize, usize) = (options.get("track-guards")?, options.get("track-probes")?);
        if probes == 1 {
            return Err(Error::usage("track-probes 1 gives a norm without an error: use 0, or 2 or more"));
        }
        let following = Following { tol, max_matvecs, guards, probes };
        let kept = kinds.len() * (guards + 1);
        let tracker = CurvatureTracker {
            followed: kinds.into_iter().map(|kind| (kind, Follower::new(following))).collect(),
            following,
            probe: opening.probe.clone(),
            config: opening.config.clone(),
            settings: opening.settings.clone(),
            // the search space and its products, and what is kept of every operator
            basis: 2 * (max_matvecs + probes) + guards + kept,
        };
        tracker.plan(&tracker.probe)?;
        Ok(tracker)
    }

    fn plan(&self, batch: &Batch) -> Result<Plan> {
        Plan::new(&self.config, batch, &self.settings, 1, self.basis, self.basis)
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
            self.followed.iter().any(|(k, _)| if next { due(*k) } else { *k != Kind::PreconditionedNext })
        };
        let next = if wanted(true) { Some(self.curvature(step.gpt.clone(), step.batch)?) } else { None };
        let probe = if wanted(false) {
            let gpt = Gpt::new(&self.config, step.parameters, &self.settings.device.burn())?;
            Some(self.curvature(gpt, &self.probe)?)
        } else {
            None
        };
        let adam = |kind: Kind| match kind {
            Kind::PreconditionedNext => {
                let (v, gradient) = (step.exp_avg_sq, step.gradient);
                Preconditioner::unclipped(v, gradient, update.clip, hyper.beta2, t, hyper.eps)
            }
            _ => Preconditioner::of(step.exp_avg_sq, hyper.beta2, t, hyper.eps),
        };
        let dtype = self.settings.dtype;
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for (kind, follower) in &mut self.followed {
            let random = &mut random::stream(self.settings.seed, t, &format!("track/{}", kind.prefix()));
            let (curvature, rows, lr, state) = match (*kind, &next, &probe) {
                (Kind::PreconditionedNext, Some(next), _) => (next, &mut before, update.lr, t - 1),
                (Kind::PreconditionedNext, None, _) | (_, _, None) => continue,
                (_, _, Some(probe)) => (probe, &mut after, step.next_lr, t),
            };
            let (hessian, ggn) = (operator::Hessian(curvature), GaussNewton(curvature));
            let base: &dyn LinearOperator = if *kind == Kind::Ggn { &ggn } else { &hessian };
            if matches!(kind, Kind::Hessian | Kind::Ggn) {
                let found = follower.step(base, random)?;
                rows.extend(describe(*kind, follower, &found, &curvature.gradient().to_f64(), dtype));
                continue;
            }
            let adam = adam(*kind);
            let found = follower.step(&Preconditioned::new(base, &adam), random)?;
            let gradient = curvature.gradient().to_f64();
            let scaled: Vec<f64> = gradient.iter().zip(adam.inverse_root()).map(|(g, f)| g * f).collect();
            rows.extend(describe(*kind, follower, &found, &scaled, dtype));
            let n = gradient.len();
            let share = adam.masked_fraction(std::slice::from_ref(&(0..n)));
            rows.push(extremes::masked_fraction(*kind, share, n));
            let first = Some((found.value, found.residual, found.matvecs, status(&found)));
            rows.extend(extremes::limits(*kind, first, hyper.beta1, lr, state + 1));
        }
        let probe = self.probe.id();
        let after = after.into_iter().map(|row: Row| row.on_batch(probe.as_str())).collect();
        Ok(step.stamp("hessian", before, after))
    }

    fn remarks(&self) -> Vec<(String, String)> {
        vec![("completeness".into(), self.following.describe_check(self.config.num_parameters()))]
    }

    fn state(&self) -> BTreeMap<String, Vectors> {
        let mut state = BTreeMap::new();
        for (kind, follower) in &self.followed {
            if let Some((vectors, values, steps)) = follower.state() {
                let values: Vec<f64> = values.iter().copied().chain([steps as f64]).collect();
                let n = values.len();
                state.insert(format!("{}.vectors", kind.prefix()), vectors.clone());
                state.insert(format!("{}.values_steps", kind.prefix()), Vectors::new(Values::F64(values), n));
            }
        }
        state
    }

    fn restore(&mut self, mut state: BTreeMap<String, Vectors>) -> Result<()> {
        for (kind, follower) in &mut self.followed {
            let mut part = |name: &str| state.remove(&format!("{}.{name}", kind.prefix()));
            let (Some(vectors), Some(values)) = (part("vectors"), part("values_steps")) else { continue };
            let mut values = values.row(0);
            let steps = values.pop().unwrap_or(0.0);
            let fits = vectors.n() == self.config.num_parameters()
                && vectors.dtype() == self.settings.dtype
                && vectors.k() == values.len();
            if !fits {
                return Err(Error::usage(format!(
                    "the kept vectors of {} are those of another run: remove state_*.safetensors from the reports",
                    kind.prefix()
                )));
            }
            follower.restore(vectors, values, steps as u64);
        }
        Ok(())
    }
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
