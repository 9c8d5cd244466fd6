//! The state of Adam: how noisy its adaptive rate is, and how large its updates are.
//!
//! **What.** Mean, spread and quantiles of the second moment v; the variance of the adaptive rate
//! ψ = 1/√v̂ in theory and by resampling; the size of updates beside what independent gradients would give;
//! the shares of coordinates at the floor of ε and of sign-like updates; RMS_t, which rises when gradients
//! outgrow v; the cosine of update and gradient.
//!
//! **Formulas.** u = m̂/(√v̂ + ε); ρ_t, r_t and Var ψ as in [`crate::stats::radam`]; the RMS of u for
//! independent gradients as in [`crate::stats::momentum`]; RMS_t = √(mean g²/max(v̂_t, ε²)) with g in v̂_t,
//! which after a jump of the gradient's scale saturates at 1/√(1−β2).
//!
//! **Estimator and error.** Exact sums; quantiles from exponent bins, with half a bin as uncertainty;
//! `--resample` draws streams of batches from the batch's sequences, with a 68% interval over streams.
//!
//! **Cost.** One pass over the parameters and one gradient; in training, sums in the optimizer's own pass.
//! `--resample R` costs a gradient per sequence and R·N passes over B gradients.
//!
//! **References.** Liu et al. 2020, arXiv 1908.03265 (ρ_t, r_t, Var ψ); Kosson, Messmer and Jaggi 2024,
//! arXiv 2410.23922 (size of early updates); Wortsman et al. 2023, arXiv 2304.13013 (RMS_t); Molybog et al.
//! 2023, arXiv 2304.09871 (updates that lose the gradient's direction).

mod quantities;
mod resample;

use clap::Args;
use serde::Serialize;

use crate::base::error::{Error, Result};
use crate::base::figure::{Column, Figure};
use crate::base::observer::Observer;
use crate::base::row::{Row, Status};
use crate::base::takes::{Numbers, Takes, numbers, whole};
use crate::base::values::Values;
use crate::optim::{Distribution, Hyperparameters, Part, Sums, UpdateStatistics, distributions};
use crate::snapshot::Snapshot;
use crate::snapshot::analysis::{Analysis, Quantity, Session, Training, falls_due};
use crate::snapshot::options::{Choices, Flags, Options};
use crate::stats::radam::Convention;
use crate::stats::{momentum, radam};

/// The state of Adam.
pub struct Adam;

/// What the analysis can be told.
#[derive(Debug, Clone, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
struct AdamChoices {
    /// Levels of the quantiles of v
    #[arg(long, value_name = "LIST", default_value = "0.01,0.25,0.5,0.75,0.99", value_parser = numbers(Takes::SHARE))]
    quantiles: Numbers,
    /// In training, updates between quantiles (and psi_spread); a checkpoint always has them
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = whole::<u64>(Takes::COUNT))]
    quantile_every: u64,
    /// Streams of resampled batches to measure the variance of the adaptive rate with; 0 is off
    #[arg(long, value_name = "R", default_value_t = 0, value_parser = whole::<usize>(STREAMS))]
    resample: usize,
}

impl Choices for AdamChoices {}

const STREAMS: Takes = Takes::Whole("0, or a whole number from 2 to 10000", |r| r <= 10_000 && r != 1);

impl Analysis for Adam {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn about(&self) -> &'static str {
        "Adam's second moment, the variance of its adaptive rate and the size of its updates"
    }

    fn example(&self) -> &'static str {
        "warmlab adam --ckpt step_200"
    }

    fn quantities(&self) -> &'static [Quantity] {
        quantities::QUANTITIES
    }

    fn options(&self) -> Flags {
        Flags::of::<AdamChoices>()
    }

    fn figures(&self) -> &'static [Figure] {
        quantities::FIGURES
    }

    fn columns(&self) -> &'static [Column] {
        quantities::COLUMNS
    }

    fn notes(&self) -> &'static str {
        "v: exp_avg_sq as stored, population standard deviation; u = m_hat/(sqrt(v_hat)+eps), without the \
         learning rate and without decay; t: the update that led to the step, N; rms_ratio and \
         cos_update_gradient: of update N+1, formed with the batch's gradient, clipped as the run did; \
         uncertainty of a quantile: half its bin, of var_psi: half-width of a 68% interval over streams (Student's t \
         on the logarithm); n: coordinates or streams"
    }

    fn tracks(&self) -> bool {
        true
    }

    fn begin(&self, options: &Options, training: Option<&Training>) -> Result<Box<dyn Session>> {
        let AdamChoices { quantiles, quantile_every, resample } = options.of::<AdamChoices>().clone();
        if resample > 0 && training.is_some() {
            return Err(Error::usage_hint(
                "resample takes a gradient per sequence, and is measured at checkpoints",
                "warmlab adam --resample",
            ));
        }
        if let Some(other) =
            training.map(|training| training.optimizer).filter(|rule| rule.moments().is_none())
        {
            let name = other.entry().name;
            return Err(Error::usage(format!("the run's optimizer is {name}, which is not Adam")));
        }
        let quantile_every = training.map(|_| quantile_every);
        Ok(Box::new(State { levels: quantiles.0, quantile_every, streams: resample }))
    }
}

/// The options, understood.
struct State {
    /// Of the quantiles of v.
    levels: Vec<f64>,
    /// Updates between quantiles, in training.
    quantile_every: Option<u64>,
    /// Streams of resampled batches; 0 is none.
    streams: usize,
}

impl Session for State {
    fn measure(&mut self, snapshot: &Snapshot, observer: &dyn Observer) -> Result<Vec<Row>> {
        let (o, hyper) = snapshot.adam()?;
        let mut rows = Vec::new();
        if let (Some(last), Some(v)) = (snapshot.last_update()?, o.vector("exp_avg_sq")) {
            rows.extend(state_rows(last, &hyper));
            if self.quantile_every.is_none_or(|every| falls_due(every, last.step)) {
                rows.extend(distribution_rows(last, &hyper, v, &self.levels));
            }
            if let Err(reason) = o.rule() {
                observer.note(&format!("{reason}: only what v alone says is measured"));
                rows.retain(|row| OF_V.contains(&&*row.quantity));
            }
        } else {
            observer.note("no update has been applied yet: only what the first one will be is known");
        }
        match snapshot.next_update_is_known() {
            Ok(()) => rows.extend(gradient_rows(&snapshot.next_update()?.statistics)),
            Err(reason) => {
                observer.note(&format!("{reason}: adam/rms_ratio and adam/cos_update_gradient are left out"))
            }
        }
        let trusted = o.moments_status();
        rows = rows.into_iter().map(|row| row.no_better_than(trusted)).collect();
        if self.streams > 0 {
            if o.updates == 0 || self.streams == 1 {
                return Err(Error::usage("--resample needs at least 2 streams, and an update to resample"));
            }
            rows.extend(resample::rows(snapshot, hyper.beta2, o.updates, self.streams, observer)?);
        }
        Ok(rows)
    }
}

/// What holds for any optimizer that keeps Adam's second moment.
const OF_V: [&str; 8] = [
    "adam/v_mean",
    "adam/v_hat_mean",
    "adam/v_std_over_mean",
    "adam/v_quantile",
    "adam/psi_spread",
    "adam/rho",
    "adam/rectification",
    "adam/var_psi_theory",
];

/// What the state after the update determines; no batch enters.
fn state_rows(update: &UpdateStatistics, hyper: &Hyperparameters) -> Vec<Row> {
    let mut rows = theory_rows(update.step, hyper);
    let total = update.total();
    let correction = 1.0 - hyper.beta2.powf(update.step as f64);
    let mut of = |scope: &std::sync::Arc<str>, s: &Sums| {
        let mut add = |quantity: &'static str, value: f64| {
            rows.push(Row::new(quantity, value).scope(scope.clone()).n(s.n as u64));
        };
        let mean = s.second_moment / s.n;
        add("adam/v_mean", mean);
        if mean > 0.0 {
            add("adam/v_std_over_mean", (s.second_moment_sq / s.n / (mean * mean) - 1.0).max(0.0).sqrt());
        }
        add("adam/v_hat_mean", mean / correction);
        add("adam/update_rms", (s.direction_sq / s.n).sqrt());
        add("adam/eps_floor_fraction", s.at_floor / s.n);
        add("adam/sign_like_fraction", s.sign_like / s.n);
    };
    of(&"all".into(), &total);
    update.parts.iter().for_each(|(part, sums)| of(&part.name, sums));
    rows.into_iter().map(Row::without_batch).collect()
}

/// What theory says of update t.
fn theory_rows(t: u64, hyper: &Hyperparameters) -> Vec<Row> {
    let (rho, _) = radam::rho(hyper.beta2, t);
    let mut rows = vec![
        Row::new("adam/rho", rho),
        Row::new("adam/update_rms_iid", momentum::independent_rms(hyper.beta1, t)),
        Row::new("adam/bias_correction_excess", momentum::excess(hyper.beta1, t)),
    ];
    for (parameter, convention) in [(4.0, Convention::Paper), (5.0, Convention::Code)] {
        if let Some(r) = radam::rectification(hyper.beta2, t, convention) {
            rows.push(Row::new("adam/rectification", r).parameter(parameter));
        }
    }
    if let Some(variance) = radam::variance_of_rate(rho) {
        rows.push(Row::new("adam/var_psi_theory", variance));
    }
    rows
}

/// What needs the gradient that the update is made of.
fn gradient_rows(update: &UpdateStatistics) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut of = |scope: &std::sync::Arc<str>, s: &Sums| {
        let mut add = |quantity: &'static str, value: f64| {
            rows.push(Row::new(quantity, value).scope(scope.clone()).n(s.n as u64));
        };
        add("adam/rms_ratio", (s.ratio_sq / s.n).sqrt());
        if s.direction_sq > 0.0 && s.gradient_sq > 0.0 {
            let cosine = s.direction_gradient / (s.direction_sq.sqrt() * s.gradient_sq.sqrt());
            add("adam/cos_update_gradient", cosine);
        }
    };
    of(&"all".into(), &update.total());
    update.parts.iter().for_each(|(part, sums)| of(&part.name, sums));
    rows
}

/// Quantiles of v, and the spread of ψ over coordinates; no batch enters.
fn distribution_rows(
    update: &UpdateStatistics,
    hyper: &Hyperparameters,
    v: &Values,
    levels: &[f64],
) -> Vec<Row> {
    let parts: Vec<Part> = update.parts.iter().map(|(part, _)| part.clone()).collect();
    let correction = 1.0 - hyper.beta2.powf(update.step as f64);
    let each = distributions(v, &parts, correction, hyper.eps);
    let mut all = Distribution::default();
    each.iter().for_each(|one| all.join(one));
    let scopes = std::iter::once("all".into()).chain(parts.iter().map(|part| part.name.clone()));
    let rows = scopes.zip(std::iter::once(&all).chain(&each)).flat_map(|(scope, one)| {
        let n = one.histogram.total();
        let quantile = |level: &f64| {
            let (value, error) = one.histogram.quantile(*level)?;
            let row = Row::new("adam/v_quantile", value).parameter(*level).uncertainty(error);
            Some(row.scope(scope.clone()).n(n))
        };
        let mut rows: Vec<Row> = levels.iter().filter_map(quantile).collect();
        rows.push(Row::new("adam/psi_spread", one.psi_spread()).scope(scope.clone()).n(n));
        rows
    });
    rows.filter(|row| row.status != Status::Nonfinite).map(Row::without_batch).collect()
}
