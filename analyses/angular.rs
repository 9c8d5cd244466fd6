//! How far updates turn the weights, and how far they move what the layers put out.
//!
//! **What.** The angle between the weights before and after an update, per tensor and per neuron, beside
//! the angle at which decay and updates balance; relative updates; the cosine of consecutive updates; the
//! relative representation change of each linear layer with its alignments; gradient norms.
//!
//! **Formulas.** Angles by atan2, which is exact for tiny ones ([`crate::optim::UpdateStatistics`]); the
//! equilibrium √(2ηλ(1−β1)/(1+β1)) for AdamW ([`crate::optim::Rule::equilibrium_angle`]); ‖ΔW X‖/‖W X‖ with the layers'
//! true inputs ([`crate::optim::representation_change`]).
//!
//! **Estimator and error.** Exact sums, of the change before it is rounded to the parameters' precision. From
//! one checkpoint the last update is rebuilt from Adam's state. The representation change samples
//! `--rrc-rows` tokens and gives a 68% interval over them.
//!
//! **Cost.** One pass over the parameters, a gradient and a forward pass; in training, sums in the optimizer's
//! own pass, and the representation change every `--rrc-every` updates.
//!
//! **References.** Kosson, Messmer and Jaggi, arXiv 2305.17212 (equilibrium) and 2410.23922 (warmup).

use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use crate::base::error::Result;
use crate::base::figure::{Column, Figure, Lines, Series, Style, Subject};
use crate::base::observer::Observer;
use crate::base::row::{Row, Status};
use crate::base::takes::{Takes, whole};
use crate::model::LayerInputs;
use crate::optim::{Made, Optimizer, UpdateStatistics, representation_change};
use crate::run::OptimizerState;
use crate::snapshot::analysis::{Analysis, Quantity, Session, Training, falls_due};
use crate::snapshot::options::{Choices, Flags, Options};
use crate::snapshot::{Needs, Snapshot};

/// Angles of updates.
pub struct Angular;

const QUANTITIES: &[Quantity] = &[
    Quantity {
        name: "update/angle",
        unit: "rad",
        about: "angle between the weights before and after the last update; absent where they came from zero",
    },
    Quantity {
        name: "update/angle_neuron_rms",
        unit: "rad",
        about: "root mean square over neurons (rows of matrices) of their angles",
    },
    Quantity {
        name: "update/angle_equilibrium",
        unit: "rad",
        about: "angle per update where decay and updates of random direction balance, at the last learning rate",
    },
    Quantity {
        name: "update/relative", unit: "", about: "‖Δw‖/‖w‖ of the last update, w before it"
    },
    Quantity {
        name: "update/cos_previous",
        unit: "",
        about: "cosine of the next update (with the batch's gradient) and the last one",
    },
    Quantity {
        name: "update/rrc",
        unit: "",
        about: "‖ΔW X‖/‖W X‖ of a linear layer: next update ΔW, its inputs X on the batch",
    },
    Quantity { name: "update/rrc_alpha_update", unit: "", about: "alignment ‖ΔW X‖/(‖ΔW‖‖X‖)" },
    Quantity { name: "update/rrc_alpha_weight", unit: "", about: "alignment ‖W X‖/(‖W‖‖X‖)" },
    Quantity {
        name: "gradient/norm",
        unit: "nats",
        about: "Euclidean norm of the gradient of the mean loss, before clipping",
    },
];

/// What the analysis can be told.
#[derive(Debug, Clone, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
struct AngularChoices {
    /// Tokens sampled for the relative representation change; 0 is all
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = whole::<usize>(Takes::COUNT))]
    rrc_rows: usize,
    /// In training, updates between representation changes; 0 is off; a checkpoint always has them
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = whole::<u64>(Takes::COUNT))]
    rrc_every: u64,
}

impl Choices for AngularChoices {}

/// How the angle is shown.
const FIGURES: &[Figure] = &[Figure {
    subject: Subject::Update,
    title: "Angle of the update",
    about: "Angle between the weights before and after the last update.",
    values: "angle, radians",
    series: &[Series::new("update/angle", "update", Style::Points)],
    log: true,
    command: "warmlab angular --run RUN",
}];

const COLUMNS: &[Column] = &[Column::new(Subject::Update, "angle", "update/angle").with(Lines::Every)];

impl Analysis for Angular {
    fn name(&self) -> &'static str {
        "angular"
    }

    fn about(&self) -> &'static str {
        "Angles and relative sizes of updates, beside their equilibrium, and the change of representations"
    }

    fn example(&self) -> &'static str {
        "warmlab angular --ckpt step_200"
    }

    fn quantities(&self) -> &'static [Quantity] {
        QUANTITIES
    }

    fn options(&self) -> Flags {
        Flags::of::<AngularChoices>()
    }

    fn figures(&self) -> &'static [Figure] {
        FIGURES
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn notes(&self) -> &'static str {
        "angles in radians, of update N, by atan2, of the change before it is rounded; decay is part of the \
         change; cos_previous and rrc: of update N+1, formed with the batch's gradient, clipped as the run \
         did, against N; rrc: W before the update, biases left out; its uncertainty: half-width of \
         a 68% interval over sampled tokens (Student's t); n: coordinates, neurons or tokens"
    }

    fn tracks(&self) -> bool {
        true
    }

    fn begin(&self, options: &Options, training: Option<&Training>) -> Result<Box<dyn Session>> {
        let AngularChoices { rrc_rows, rrc_every } = *options.of();
        Ok(Box::new(Turns { rows: rrc_rows, every: training.map(|_| rrc_every) }))
    }
}

/// The options, understood.
struct Turns {
    /// Tokens sampled for the representation change; 0 is all.
    rows: usize,
    /// Updates between representation changes, in training.
    every: Option<u64>,
}

impl Turns {
    /// Whether the representation change of the update after `step` is wanted.
    fn is_due(&self, step: u64) -> bool {
        self.every.is_none_or(|every| falls_due(every, step + 1))
    }
}

impl Session for Turns {
    fn needs(&self, step: u64) -> Needs {
        Needs { token_rows: self.is_due(step).then_some(self.rows), ..Needs::default() }
    }

    fn measure(&mut self, snapshot: &Snapshot, observer: &dyn Observer) -> Result<Vec<Row>> {
        let (optimizer, rule) = snapshot.rule()?;
        let mut rows = Vec::new();
        let trusted = optimizer.moments_status();
        match snapshot.last_update()? {
            Some(last) => {
                let known = if trusted == Status::Ok { optimizer.last_rate().1 } else { trusted };
                let balance = rule.equilibrium_angle(last.lr).filter(|_| is_uniform(last, optimizer));
                rows.extend(state_rows(last, balance).into_iter().map(|row| row.no_better_than(known)));
            }
            None if optimizer.updates > 0 => observer.note(&format!(
                "the state of {} does not tell its last update: only what the next one will be is known",
                optimizer.name()
            )),
            None => observer.note("no update has been applied yet: only what the first one will be is known"),
        }
        let trust = |row: Row| row.no_better_than(trusted);
        if let Err(reason) = snapshot.next_update_is_known() {
            observer
                .note(&format!("{reason}: update/cos_previous, update/rrc and gradient/norm are left out"));
            return Ok(rows.into_iter().map(trust).collect());
        }
        let next = snapshot.next_update()?;
        rows.extend(gradient_rows(&next.statistics));
        if self.is_due(snapshot.step()) {
            let (made, inputs) = (snapshot.made()?, snapshot.inputs(self.rows)?);
            rows.extend(representation_rows(&next.statistics, &rule, &made, inputs));
        }
        Ok(rows.into_iter().map(trust).collect())
    }
}

/// Whether all matrices have the one rate and decay that an angle of equilibrium is for.
fn is_uniform(update: &UpdateStatistics, optimizer: &OptimizerState) -> bool {
    let mut matrices = update.parts.iter().map(|(part, _)| part).filter(|part| part.matrix);
    let decays = optimizer.constant("weight_decay") != 0.0;
    matrices.all(|part| part.rate == 1.0 && (part.decay == 1.0 || !decays))
}

/// What the state after the update determines; no batch enters.
fn state_rows(update: &UpdateStatistics, balance: Option<f64>) -> Vec<Row> {
    let mut rows = Vec::new();
    rows.extend(balance.map(|angle| Row::new("update/angle_equilibrium", angle)));
    let total = update.total();
    let whole = ("all".into(), update.whole_motion(), &total);
    let parts = update.parts.iter().map(|(part, sums)| (part.name.clone(), update.motion(part, sums), sums));
    for (scope, motion, sums) in std::iter::once(whole).chain(parts) {
        let scope: Arc<str> = scope;
        let mut add = |quantity: &'static str, value: Option<f64>, n: f64| {
            rows.extend(value.map(|value| Row::new(quantity, value).scope(scope.clone()).n(n as u64)));
        };
        add("update/angle", motion.angle(), sums.n);
        let neurons = (sums.neurons > 0.0).then(|| (sums.angle_sq / sums.neurons).sqrt());
        add("update/angle_neuron_rms", neurons, sums.neurons);
        add("update/relative", motion.relative(), sums.n);
    }
    rows.into_iter().map(Row::without_batch).collect()
}

/// What needs the gradient that the update is made of.
fn gradient_rows(update: &UpdateStatistics) -> Vec<Row> {
    let mut rows = Vec::new();
    let total = update.total();
    let whole = ("all".into(), update.whole_cos_previous(), &total);
    let parts = update.parts.iter().map(|(part, s)| (part.name.clone(), update.cos_previous(part, s), s));
    for (scope, cosine, sums) in std::iter::once(whole).chain(parts) {
        let scope: Arc<str> = scope;
        let mut add = |quantity: &'static str, value: f64| {
            rows.push(Row::new(quantity, value).scope(scope.clone()).n(sums.n as u64));
        };
        add("gradient/norm", sums.gradient_sq.sqrt() / update.clip);
        if let Some(cosine) = cosine {
            add("update/cos_previous", cosine);
        }
    }
    rows
}

/// The change of each linear layer's outputs, from the state after the update.
fn representation_rows(
    update: &UpdateStatistics,
    rule: &Optimizer,
    made: &Made,
    inputs: &LayerInputs,
) -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, x) in &inputs.layers {
        let Some(part) = update.parts.iter().position(|(part, _)| *part.name == **name) else { continue };
        let change = representation_change(update, rule, part, made, x, inputs.tokens);
        let Some(change) = change else { continue };
        let mut add = |quantity: &'static str, value: f64| {
            let scope = update.parts[part].0.name.clone();
            rows.push(Row::new(quantity, value).scope(scope).n(inputs.rows as u64));
        };
        add("update/rrc_alpha_update", change.alpha_update);
        add("update/rrc_alpha_weight", change.alpha_weight);
        add("update/rrc", change.relative);
        if let Some(row) = rows.last_mut() {
            row.uncertainty = change.half_width;
        }
    }
    rows
}
