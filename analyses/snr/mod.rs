//! How much of a gradient is signal.
//!
//! **What.** Of the gradients g_i of single sequences: tr Σ, their covariance's trace; ‖G‖², the squared mean;
//! φ = ‖G‖²/tr Σ; and the simple noise scale B = tr Σ/‖G‖², the batch size in sequences at which noise and signal
//! are equal. For the whole model, per layer, per tensor, and for the layer norms alone, which tell the rest. With
//! products with the Hessian also B = tr(HΣ)/(GᵀHG), the batch size that matters to one step of descent. Early in
//! training φ is high, batches agree, and updates change what the model represents fast.
//!
//! **Formulas.** tr Σ = Σ‖g_i − ḡ‖²/(B−1), ‖G‖² = ‖ḡ‖² − tr Σ/B. From optimizer state alone, with r = ‖m̂‖²/Σv̂
//! (v̂ is Adam's own mean of g²) and c_t = (1−β1)(1+β1^t)/((1+β1)(1−β1^t)), φ of a training batch is (r−c_t)/(1−r).
//!
//! **Estimator and error.** Unbiased, which lets ‖G‖² be negative; 68% jackknife intervals over sequences, corrected
//! where there is little signal or the noise has few directions ([`crate::stats::noise`]). Numerator and denominator are estimated apart. Where ‖G‖² is not twice the half-width of
//! its interval above 0, the status is unresolved, and B, whose interval would have no end, has none.
//!
//! **Cost.** The gradient of the batch and some 40 % of it more: the moments ‖g_i‖² and g_i·ḡ follow from each
//! layer's inputs and output gradients, without the gradients g_i (Goodfellow 2015, arXiv 1510.01799), and the same
//! again with `--micro-batches`. Unless `--no-curvature`, a gradient and a product with the Hessian per sequence.
//! In training nothing but sums; with gradients accumulated over A micro-batches those are kept until the update,
//! A·n numbers, or computed a second time where that is more than 1 GiB in f32.
//!
//! **References.** McCandlish et al. 2018, arXiv 1812.06162 (both noise scales); Gray et al. 2024, arXiv 2411.00999
//! (layer norms tell the total); Kosson, Messmer and Jaggi 2024, arXiv 2410.23922 (φ and warmup).

mod figures;
mod momenta;
mod rows;
mod samples;

use clap::Args;
use serde::Serialize;

use crate::architecture::{GptConfig, Parameter, Role};
use crate::base::error::{Error, Result};
use crate::base::figure::{Column, Figure};
use crate::base::observer::Observer;
use crate::base::row::Row;
use crate::base::takes::{Takes, whole};
use crate::base::values::Values;
use crate::base::vectors::Vectors;
use crate::data::Batch;
use crate::linalg::LinearOperator;
use crate::operator::{self, Curvature, Demand, Hessian, Scope};
use crate::snapshot::analysis::{Analysis, Quantity, Session, Training};
use crate::snapshot::options::{Choices, Flags, Options};
use crate::snapshot::{Needs, Snapshot};
use crate::stats::noise::Moments;

use momenta::Momenta;
pub use rows::noise;
use rows::{curvature, microbatch};
pub use samples::TensorMoments;

/// Signal and noise of gradients.
pub struct Snr;

const QUANTITIES: &[Quantity] = &[
    Quantity {
        name: "snr/trace_covariance",
        unit: "nats²",
        about: "tr Σ: trace of the covariance of the gradients of single sequences",
    },
    Quantity {
        name: "snr/mean_gradient_sq",
        unit: "nats²",
        about: "‖G‖²: squared norm of the expected gradient, without the part that is noise",
    },
    Quantity { name: "snr/phi", unit: "", about: "‖G‖²/tr Σ: signal-to-noise ratio of one sequence" },
    Quantity {
        name: "snr/noise_scale",
        unit: "sequences",
        about: "tr Σ/‖G‖²: batch size at which noise and signal are equal",
    },
    Quantity {
        name: "snr/noise_scale_curvature",
        unit: "sequences",
        about: "tr(HΣ)/(GᵀHG): the same as the Hessian weighs it",
    },
    Quantity {
        name: "snr/phi_microbatch",
        unit: "",
        about: "‖G‖²/tr Σ of one sequence, from micro-batches: in training those whose gradients accumulate",
    },
    Quantity {
        name: "snr/phi_momentum",
        unit: "",
        about: "‖G‖²/tr Σ of one training batch, from ‖m̂‖² over Adam's mean of ‖g‖² alone",
    },
    Quantity {
        name: "snr/gradient_momentum_cos",
        unit: "",
        about: "cosine between the gradient of the batch and the first moment after N updates",
    },
];

/// What the analysis can be told.
#[derive(Debug, Clone, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
struct SnrChoices {
    /// Estimate φ from M micro-batches too; M divides the batch; training takes those of the step
    #[arg(long, value_name = "M", default_value_t = 0, value_parser = whole::<usize>(Takes::NONE_OR_SEVERAL))]
    micro_batches: usize,
    /// Skip the noise scale that takes products with the Hessian
    #[arg(long)]
    no_curvature: bool,
}

impl Choices for SnrChoices {}

impl Analysis for Snr {
    fn name(&self) -> &'static str {
        "snr"
    }

    fn about(&self) -> &'static str {
        "Signal-to-noise ratio and noise scale of the gradient, from exact per-sequence gradients"
    }

    fn example(&self) -> &'static str {
        "warmlab snr --ckpt step_200 --batch-size 32 --micro-batches 4"
    }

    fn quantities(&self) -> &'static [Quantity] {
        QUANTITIES
    }

    fn options(&self) -> Flags {
        Flags::of::<SnrChoices>()
    }

    fn figures(&self) -> &'static [Figure] {
        figures::FIGURES
    }

    fn columns(&self) -> &'static [Column] {
        figures::COLUMNS
    }

    fn notes(&self) -> &'static str {
        "samples are sequences, each with its mean loss over tokens; uncertainty: half-width of a 68% interval, \
         jackknife over samples with Student's t; unresolved: the squared mean gradient is not twice its uncertainty \
         above 0, and a noise scale has none then; a tied embedding is counted once, its gradient the sum of both uses; phi_momentum is per training batch, others per sequence; \
         n: samples"
    }

    fn tracks(&self) -> bool {
        true
    }

    fn begin(&self, options: &Options, training: Option<&Training>) -> Result<Box<dyn Session>> {
        let SnrChoices { micro_batches, no_curvature } = *options.of();
        Ok(Box::new(Signal { micro_batches, curvature: !no_curvature, in_training: training.is_some() }))
    }
}

/// The options, understood.
struct Signal {
    /// Micro-batches to estimate φ from too; 0 is none.
    micro_batches: usize,
    /// The noise scale that takes products with the Hessian too.
    curvature: bool,
    /// Whether a step is to cost sums alone: no pass is made but that of training.
    in_training: bool,
}

impl Session for Signal {
    fn needs(&self, _step: u64) -> Needs {
        Needs { micro_batches: true, ..Needs::default() }
    }

    fn measure(&mut self, snapshot: &Snapshot, observer: &dyn Observer) -> Result<Vec<Row>> {
        if self.in_training {
            let micro_batches = snapshot.batch().zip(snapshot.micro_batches());
            let pieces = micro_batches.map(|(batch, moments)| {
                let size = batch.batch_size() / moments.samples();
                (TensorMoments::new(snapshot.config().parameters(), moments), size)
            });
            let gradient = snapshot.batch().map(|_| snapshot.gradient()).transpose()?.map(|(_, g)| g);
            let mut scopes = operator::scopes("all", snapshot.config())?;
            scopes.extend(operator::scopes("blocks", snapshot.config())?);
            return Ok(rows_of(&scopes, None, pieces.as_ref(), self.momenta(snapshot, gradient, observer)));
        }
        let batch = snapshot.measured_on()?;
        let count = batch.batch_size();
        if count < 2 {
            return Err(Error::usage_hint("one sequence has no covariance", "use --batch-size 8 or more"));
        }
        let micro_batches = self.micro_batches;
        if micro_batches == 1 || micro_batches > 0 && !count.is_multiple_of(micro_batches) {
            return Err(Error::usage(format!(
                "--micro-batches {micro_batches} must be 2 or more and divide the {count} sequences of the batch"
            )));
        }
        let size = count.checked_div(micro_batches).unwrap_or(1);
        let mut plan = snapshot.plan(Demand::new(1, 4, 4))?;
        if plan.micro_batch >= size {
            // whole micro-batches of the estimate in each pass
            plan.micro_batch -= plan.micro_batch % size;
        }
        let curvature = snapshot.curvature(&plan)?;
        observer.check()?;
        let moments = |size: usize| -> Result<TensorMoments> {
            Ok(TensorMoments::new(snapshot.config().parameters(), &curvature.moments(size)?))
        };
        let sequences = moments(1)?;
        let pieces = if micro_batches > 0 { Some((moments(size)?, size)) } else { None };
        let momenta = self.momenta(snapshot, Some(curvature.gradient()), observer);
        let mut rows = rows_of(&scopes(snapshot.config())?, Some(&sequences), pieces.as_ref(), momenta);
        if self.curvature {
            let n = snapshot.config().num_parameters();
            let curved = curved(batch, &curvature, observer)?;
            let plain = sequences.within(std::slice::from_ref(&(0..n)));
            rows.extend(curved.noise_in_metric(&plain).iter().map(self::curvature));
        }
        Ok(rows)
    }
}

impl Signal {
    /// What Adam's state says, where it can be taken at its word.
    fn momenta<'a>(
        &self,
        snapshot: &'a Snapshot,
        gradient: Option<&'a Values>,
        observer: &dyn Observer,
    ) -> Option<Momenta<'a>> {
        let optimizer = snapshot.optimizer()?;
        if let Err(reason) = optimizer.moments_are_of_gradients() {
            observer.note(&format!("{reason}: snr/phi_momentum and snr/gradient_momentum_cos are left out"));
            return None;
        }
        Momenta::new(optimizer, gradient, &snapshot.config().parameters())
    }
}

/// Every number of every scope.
fn rows_of(
    scopes: &[Scope],
    sequences: Option<&TensorMoments>,
    pieces: Option<&(TensorMoments, usize)>,
    momenta: Option<Momenta>,
) -> Vec<Row> {
    let of = |scope: &Scope| {
        let mut here = Vec::new();
        let sequences = sequences.and_then(|sequences| sequences.within(&scope.ranges).noise(1.0));
        here.extend(sequences.iter().flat_map(noise));
        let pieces = pieces.and_then(|(pieces, size)| pieces.within(&scope.ranges).noise(*size as f64));
        here.extend(pieces.iter().map(microbatch));
        here.extend(momenta.as_ref().map(|momenta| momenta.rows(scope)).unwrap_or_default());
        let place = |row: Row| Row { layer: scope.layer, ..row.scope(scope.name.as_str()) };
        here.into_iter().map(place).collect::<Vec<Row>>()
    };
    scopes.iter().flat_map(of).collect()
}

/// The whole model, its layers, its tensors, and its layer norms.
fn scopes(config: &GptConfig) -> Result<Vec<Scope>> {
    let mut scopes = operator::scopes("all", config)?;
    let parameters = config.parameters();
    let norms: Vec<&Parameter> = parameters.iter().filter(|p| p.role == Role::Norm).collect();
    scopes.push(Scope::of("layer_norm", &norms));
    scopes.extend(operator::scopes("layers", config)?);
    scopes.extend(operator::scopes("blocks", config)?);
    Ok(scopes)
}

/// Moments of the gradients of sequences in the metric of the Hessian, which takes each gradient itself.
fn curved(batch: &Batch, curvature: &Curvature, observer: &dyn Observer) -> Result<Moments> {
    let (gpt, mean) = (curvature.gpt(), curvature.gradient());
    let n = mean.len();
    let product = |v: Values| Hessian(curvature).apply(&Vectors::new(v, n)).map(Vectors::into_values);
    let curved_mean = product(mean.clone())?;
    let count = batch.batch_size();
    let mut moments = Moments::default();
    for (i, sequence) in batch.micro_batches(1).iter().enumerate() {
        observer.check()?;
        observer.progress(i as u64, count as u64, "products with gradients of sequences");
        let (_, gradient) = gpt.gradient(sequence, 1)?;
        let curved = product(gradient.clone())?;
        moments.push(gradient.dot(&curved, 0..n), gradient.dot(&curved_mean, 0..n));
    }
    Ok(moments)
}
