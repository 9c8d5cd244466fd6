//! Curvature along the directions training moves in, from two products and a few forward passes.
//!
//! **What.** The Rayleigh quotient of the gradient, gᵀHg/gᵀg; the same in Adam's geometry,
//! (1−β1)/((1+β1)(1−β1^t)) · c·gᵀP⁻¹Hg/gᵀg with c the clip factor of the next update, whose crossing of 2/η for
//! several steps in a row precedes loss spikes; the directional sharpness dᵀHd/dᵀg of the next update d = m̂/(√v̂+ε);
//! and the critical sharpness 2/η_c, η_c the learning rate at which a step along d no longer lowers the loss. Without
//! Adam's state there is no d: the critical sharpness along the gradient has a name of its own.
//!
//! **Estimator and error.** Products are exact to rounding: no error is stated. η_c is known to a bracket of a
//! sixteenth; half of it is the uncertainty. m, v and P are those of the next update, formed with this batch's
//! gradient after clipping; c is that of update N+1 where the run's log has it, else unresolved.
//!
//! **Cost.** Two products, five to ten forward passes.
//!
//! **References.** Bai et al. 2025, arXiv 2506.04805 (the quotient that foretells spikes); Kalra et al. 2026,
//! arXiv 2601.16979 (directional and critical sharpness); Cohen et al. 2022, arXiv 2207.14484 (thresholds).

use crate::base::error::Result;
use crate::base::observer::Observer;
use crate::base::row::{Row, Status};
use crate::base::values::Values;
use crate::base::vectors::Vectors;
use crate::linalg::LinearOperator;
use crate::operator::{self, Curvature, Demand, critical_rate};
use crate::optim::{Optimizer, limits};
use crate::snapshot::Snapshot;
use crate::snapshot::analysis::{Analysis, Quantity, Session, Training};
use crate::snapshot::options::{Flags, NoChoices, Options};

/// Curvature along the directions training moves in.
pub struct Sharpness;

const QUANTITIES: &[Quantity] = &[
    Quantity { name: "loss/mean", unit: "nats", about: "mean cross-entropy over all targets of the batch" },
    Quantity { name: "sharpness/gradient", unit: "nats", about: "gᵀHg/gᵀg" },
    Quantity {
        name: "sharpness/gradient_adam",
        unit: "nats",
        about: "(1−β1)/((1+β1)(1−β1^t)) · c·gᵀP⁻¹Hg/gᵀg at the next update t, c its clip factor, to be compared with 2/η",
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
        name: "sharpness/critical_gradient",
        unit: "nats",
        about: "2/η_c along the gradient, where no optimizer's state says what the next update is",
    },
    Quantity {
        name: "sharpness/clip_factor",
        unit: "",
        about: "c: what clipping leaves of the gradient of update N+1; unresolved where it is not that update's own",
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
        "warmlab sharpness --ckpt step_200"
    }

    fn quantities(&self) -> &'static [Quantity] {
        QUANTITIES
    }

    fn options(&self) -> Flags {
        Flags::of::<NoChoices>()
    }

    fn notes(&self) -> &'static str {
        "t = N+1; P, m and v of the next update with this batch's clipped gradient; gradient_adam contains the clip \
         factor c of update N+1, held frozen like P; thresholds are asymptotic and assume a frozen P"
    }

    fn begin(&self, _: &Options, _: Option<&Training>) -> Result<Box<dyn Session>> {
        Ok(Box::new(Sharpness))
    }
}

impl Session for Sharpness {
    fn measure(&mut self, snapshot: &Snapshot, observer: &dyn Observer) -> Result<Vec<Row>> {
        // H g, P, P⁻¹x twice, a moved model twice, and the next update's gradient, parameters and moments
        let plan = snapshot.plan(Demand::new(1, 4, 4).holding(10))?;
        let batch = snapshot.measured_on()?;
        observer.note(&format!("plan: {}", plan.describe(batch)));
        let curvature = &*snapshot.curvature(&plan)?;
        let g = curvature.gradient();
        let n = g.len();
        let hg = product(curvature, g)?;
        let tokens = batch.num_tokens() as u64;
        let mut rows = vec![Row::new("loss/mean", curvature.loss()).n(tokens)];
        let square = g.dot(g, 0..n);
        rows.push(Row::new("sharpness/gradient", g.dot(&hg, 0..n) / square).n(1));
        let along =
            |d: &Values, guess: f64| critical(snapshot, curvature, plan.micro_batch, d, guess, observer);

        let limits = snapshot.limits(Some(square.sqrt()), observer);
        let rule = direction(snapshot);
        let (Ok(rule), Some((_, Some(clip)))) = (&rule, limits) else {
            let why = format!(
                "{}: gradient_adam, directional and critical are left out, critical_gradient is along the gradient",
                rule.err().unwrap_or_else(|| "the update is not known".into())
            );
            observer.note(&why);
            snapshot.remark("direction", why);
            let quotient = g.dot(&hg, 0..n) / square;
            rows.extend(
                along(g, quotient)?.map(|row| Row { quantity: "sharpness/critical_gradient".into(), ..row }),
            );
            rows.extend(thresholds(snapshot));
            return Ok(rows);
        };
        rows.push(limits::clip_row(clip));

        let (made, update) = (snapshot.made()?, snapshot.next_update()?.update());
        let p = rule.preconditioner(&made.state, update.t);
        if let Some((p, memory)) = p.zip(rule.memory(update.t)) {
            let turned = p.divide(&hg, 1.0).dot(g, 0..n);
            let row = Row::new("sharpness/gradient_adam", memory * clip.factor * turned / square).n(1);
            rows.push(row.status(limits::status(clip)));
        }

        let parts: Vec<_> =
            snapshot.next_update()?.statistics.parts.iter().map(|(part, _)| part.clone()).collect();
        let d = rule.direction(&update, &parts, &made);
        observer.check()?;
        let downhill = d.dot(g, 0..n);
        let quotient = d.dot(&product(curvature, &d)?, 0..n) / downhill;
        let status = if downhill > 0.0 { Status::Ok } else { Status::Unresolved };
        rows.push(Row::new("sharpness/directional", quotient).n(1).status(status));
        rows.extend(along(&d, quotient)?);
        rows.extend(thresholds(snapshot));
        Ok(rows)
    }
}

fn product(curvature: &Curvature, x: &Values) -> Result<Values> {
    Ok(operator::Hessian(curvature).apply(&Vectors::new(x.clone(), x.len()))?.into_values())
}

/// 2/η_c along `d`; said where the loss rises at once or never.
fn critical(
    snapshot: &Snapshot,
    curvature: &Curvature,
    micro_batch: usize,
    d: &Values,
    directional: f64,
    observer: &dyn Observer,
) -> Result<Option<Row>> {
    let batch = snapshot.measured_on()?;
    let start = &snapshot.checkpoint().parameters;
    let at = |eta: f64| -> Result<f64> {
        observer.check()?;
        let moved = |i: usize| start.get(i) - eta * d.get(i);
        let values = match start {
            Values::F32(x) => Values::F32((0..x.len()).map(|i| moved(i) as f32).collect()),
            Values::F64(x) => Values::F64((0..x.len()).map(moved).collect()),
        };
        curvature.gpt().at(&values).loss(batch, micro_batch)
    };
    // the same pass at 0, so that both sides round alike
    let base = curvature.gpt().loss(batch, micro_batch)?;
    let lr = snapshot.optimizer().map(|o| o.lr).filter(|lr| *lr > 0.0).unwrap_or(1e-3);
    let guess = if directional > 0.0 { 2.0 / directional } else { lr };
    let Some(bracket) = critical_rate(base, guess, at)? else {
        let why = "no learning rate is critical: along the next update the loss rises at once, or never";
        observer.note(why);
        snapshot.remark("critical", why);
        return Ok(None);
    };
    let (high, low) = (2.0 / bracket.low, 2.0 / bracket.high);
    let row = Row::new("sharpness/critical", 0.5 * (high + low)).uncertainty(0.5 * (high - low));
    Ok(Some(row.n(bracket.passes as u64)))
}

/// The optimizer, where its state says what the next update is, with one rate.
///
/// # Errors
/// Why not, a sentence.
fn direction(snapshot: &Snapshot) -> std::result::Result<Optimizer, String> {
    let o = snapshot.optimizer().ok_or("no Adam's state says what the next update is")?;
    if o.only_rate().is_none() {
        return Err("learning rates differ between parameters".into());
    }
    let rule = o.next_update()?;
    let state = o.state();
    let is_there = o.updates == 0 || rule.vectors().iter().all(|name| state.contains_key(name));
    if is_there { Ok(rule) } else { Err("the checkpoint has no moments".into()) }
}

/// The limits of the optimizer in use at its next learning rate; no batch enters.
fn thresholds(snapshot: &Snapshot) -> Vec<Row> {
    let Some(o) = snapshot.optimizer() else { return vec![] };
    let row = |name: &'static str, value: f64| limits::at_rate(o.lr, Row::new(name, value)).without_batch();
    let two = row("sharpness/two_over_lr", 2.0 / o.lr);
    let Some(rule) = o.rule().ok().filter(|_| o.only_rate().is_some()) else { return vec![two] };
    let limits = rule.limits(o.lr, o.updates + 1);
    let mut rows = limits.thresholds("");
    rows.extend([row("sharpness/threshold_decay", limits.threshold_decay), two]);
    rows
}
