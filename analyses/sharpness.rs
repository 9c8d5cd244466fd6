//! Curvature along the directions training moves in, from two products and a few forward passes.
//!
//! **What.** The Rayleigh quotient of the gradient, gᵀHg/gᵀg; the same in Adam's geometry,
//! (1−β1)/((1+β1)(1−β1^t)) · gᵀP⁻¹Hg/gᵀg, whose crossing of 2/η for several steps in a row precedes loss
//! spikes; the directional sharpness dᵀHd/dᵀg of the next update d = m̂/(√v̂+ε); and the critical sharpness
//! 2/η_c, η_c the learning rate at which a step along d no longer lowers the loss.
//!
//! **Estimator and error.** Products are exact to rounding: no error is stated. η_c is known to a bracket of a
//! sixteenth; half of it is the uncertainty. m, v and P are those of the next update, formed with this batch's
//! gradient after clipping; without an optimizer in the checkpoint d is the gradient.
//!
//! **Cost.** Two products, five to ten forward passes.
//!
//! **References.** Bai et al. 2025, arXiv 2506.04805 (the quotient that foretells spikes); Kalra et al. 2026,
//! arXiv 2601.16979 (directional and critical sharpness); Cohen et al. 2022, arXiv 2207.14484 (thresholds).

use crate::analysis::{Analysis, OptionSpec, Options, Quantity};
use crate::error::Result;
use crate::linalg::LinearOperator;
use crate::model::Gpt;
use crate::observer::Observer;
use crate::operator::{self, Curvature, critical_rate};
use crate::optim::stability;
use crate::row::{Row, Status};
use crate::snapshot::Snapshot;
use crate::values::Values;
use crate::vectors::Vectors;

/// Curvature along the directions training moves in.
pub struct Sharpness;

const QUANTITIES: &[Quantity] = &[
    Quantity { name: "loss/mean", unit: "nats", about: "mean cross-entropy over all targets of the batch" },
    Quantity { name: "sharpness/gradient", unit: "nats", about: "gᵀHg/gᵀg" },
    Quantity {
        name: "sharpness/gradient_adam",
        unit: "nats",
        about: "(1−β1)/((1+β1)(1−β1^t)) · gᵀP⁻¹Hg/gᵀg at the next update t, to be compared with 2/η",
    },
    Quantity {
        name: "sharpness/directional",
        unit: "nats",
        about: "dᵀHd/dᵀg, d the next update's direction",
    },
    Quantity {
        name: "sharpness/critical",
        unit: "nats",
        about: "2/η_c, η_c the smallest η with L(θ − η d) > L(θ)",
    },
    Quantity {
        name: "sharpness/threshold",
        unit: "nats",
        about: "(2+2β1)/((1−β1)η) for Adam, 2/η for SGD, at the next learning rate η: asymptotic, P frozen",
    },
    Quantity {
        name: "sharpness/threshold_t",
        unit: "nats",
        about: "threshold·(1−β1^t) at the next update t = N+1",
    },
    Quantity {
        name: "sharpness/threshold_decay",
        unit: "nats",
        about: "(2/η − γ)(1+β1)/(1−β1): with decoupled weight decay γ everywhere",
    },
    Quantity {
        name: "sharpness/two_over_lr",
        unit: "nats",
        about: "2/η: what gradient_adam, directional and critical are compared with",
    },
];

impl Analysis for Sharpness {
    fn name(&self) -> &'static str {
        "sharpness"
    }

    fn about(&self) -> &'static str {
        "Curvature along the gradient and the next update, critical sharpness, stability thresholds"
    }

    fn example(&self) -> &'static str {
        "warmlab sharpness --ckpt step_500"
    }

    fn quantities(&self) -> &'static [Quantity] {
        QUANTITIES
    }

    fn options(&self) -> &'static [OptionSpec] {
        &[]
    }

    fn notes(&self) -> &'static str {
        "t = N+1; P, m and v of the next update with this batch's clipped gradient; thresholds are asymptotic \
         and assume a frozen P"
    }

    fn run(&self, snapshot: &Snapshot, _: &Options, observer: &dyn Observer) -> Result<Vec<Row>> {
        let plan = snapshot.plan(1, 4, 4)?;
        observer.note(&format!("plan: {}", plan.describe(snapshot.batch())));
        let curvature = snapshot.curvature(&plan)?;
        let g = curvature.gradient().to_f64();
        let hg = product(curvature, curvature.gradient())?;
        let tokens = snapshot.batch().num_tokens() as u64;
        let mut rows = vec![Row::new("loss/mean", curvature.loss()).n(tokens)];
        let square = dot(&g, &g);
        rows.push(Row::new("sharpness/gradient", dot(&g, &hg) / square).n(1));

        let next = Next::of(snapshot, &g)?;
        if let Some(p) = &next.preconditioner {
            let turned: f64 = g.iter().zip(p).zip(&hg).map(|((g, p), hg)| g / p * hg).sum();
            rows.push(Row::new("sharpness/gradient_adam", next.memory * turned / square).n(1));
        }
        let direction = Values::F64(next.direction).cast(snapshot.settings().dtype);
        observer.check()?;
        let d = direction.to_f64();
        let downhill = dot(&d, &g);
        let bent = dot(&d, &product(curvature, &direction)?);
        let status = if downhill > 0.0 { Status::Ok } else { Status::Unresolved };
        rows.push(Row::new("sharpness/directional", bent / downhill).n(1).status(status));
        rows.extend(critical(snapshot, curvature, plan.micro_batch, &d, bent / downhill, observer)?);
        rows.extend(thresholds(snapshot));
        Ok(snapshot.stamp(self.name(), rows))
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn product(curvature: &Curvature, x: &Values) -> Result<Vec<f64>> {
    Ok(operator::Hessian(curvature).apply(&Vectors::new(x.clone(), x.len()))?.row(0))
}

/// The next update, as far as the checkpoint tells.
struct Next {
    /// Its direction; the step is minus the learning rate times this.
    direction: Vec<f64>,
    /// diag P.
    preconditioner: Option<Vec<f64>>,
    /// (1−β1)/((1+β1)(1−β1^t)).
    memory: f64,
}

impl Next {
    fn of(snapshot: &Snapshot, g: &[f64]) -> Result<Self> {
        let Some(o) = snapshot.optimizer().filter(|o| o.name.starts_with("adam")) else {
            return Ok(Next { direction: g.to_vec(), preconditioner: None, memory: 1.0 });
        };
        let next = snapshot.next_update()?;
        let t = (o.updates + 1) as f64;
        let (correction1, correction2) = (1.0 - o.beta1.powf(t), 1.0 - o.beta2.powf(t));
        let v = next.exp_avg_sq.to_f64();
        let p: Vec<f64> = v.iter().map(|v| (v / correction2).sqrt() + o.eps).collect();
        let m = next.exp_avg.to_f64();
        let direction = m.iter().zip(&p).map(|(m, p)| m / correction1 / p).collect();
        let memory = (1.0 - o.beta1) / ((1.0 + o.beta1) * correction1);
        Ok(Next { direction, preconditioner: Some(p), memory })
    }
}

/// 2/η_c along `d`, unresolved where the loss rises at once or never.
fn critical(
    snapshot: &Snapshot,
    curvature: &Curvature,
    micro_batch: usize,
    d: &[f64],
    directional: f64,
    observer: &dyn Observer,
) -> Result<Option<Row>> {
    let settings = snapshot.settings();
    let start = snapshot.checkpoint().parameters.to_f64();
    let at = |eta: f64| -> Result<f64> {
        observer.check()?;
        let moved: Vec<f64> = start.iter().zip(d).map(|(x, d)| x - eta * d).collect();
        let values = Values::F64(moved).cast(settings.dtype);
        Gpt::new(snapshot.config(), &values, &settings.device.burn())?.loss(snapshot.batch(), micro_batch)
    };
    // the same pass at 0, so that both sides round alike
    let base = curvature.gpt().loss(snapshot.batch(), micro_batch)?;
    let lr = snapshot.optimizer().map(|o| o.lr).filter(|lr| *lr > 0.0).unwrap_or(1e-3);
    let guess = if directional > 0.0 { 2.0 / directional } else { lr };
    Ok(critical_rate(base, guess, at)?.map(|bracket| {
        let (high, low) = (2.0 / bracket.low, 2.0 / bracket.high);
        let row = Row::new("sharpness/critical", 0.5 * (high + low)).uncertainty(0.5 * (high - low));
        row.n(bracket.passes as u64)
    }))
}

/// The limits of the optimizer in use at its next learning rate; no batch enters.
fn thresholds(snapshot: &Snapshot) -> Vec<Row> {
    let Some(o) = snapshot.optimizer().filter(|o| o.lr > 0.0) else { return vec![] };
    let row = |name: &'static str, value: f64| Row::new(name, value).without_batch();
    let two = row("sharpness/two_over_lr", 2.0 / o.lr);
    if !o.name.starts_with("adam") {
        return vec![row("sharpness/threshold", 2.0 / o.lr), two];
    }
    let t = o.updates + 1;
    vec![
        row("sharpness/threshold", stability::threshold(o.beta1, o.lr)),
        row("sharpness/threshold_t", stability::threshold_at(o.beta1, o.lr, t)),
        row("sharpness/threshold_decay", stability::threshold_with_decay(o.beta1, o.lr, o.weight_decay)),
        two,
    ]
}
