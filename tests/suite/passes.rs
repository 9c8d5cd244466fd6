//! What one forward and backward pass says beside the loss: attention, the residual stream, gradient noise;
//! against PyTorch's numbers on tiny checkpoints and on a real run, and against plain definitions.

use std::path::Path;

use burn::tensor::Device;
use safetensors::SafeTensors;
use serde_json::Value;
use warmlab::analyses::{ANALYSES, attention, snr};
use warmlab::architecture::GptConfig;
use warmlab::base::observer::Silent;
use warmlab::base::row::{Row, Status};
use warmlab::base::settings::Settings;
use warmlab::base::values::{DType, Values};
use warmlab::data::{Batch, read_batch};
use warmlab::model::{Gpt, GradientMoments, Look};
use warmlab::operator;
use warmlab::run;
use warmlab::snapshot::Snapshot;

use crate::support::{batch, golden, parameters, references, relative, stdout, tiny, warmlab};

fn measure(
    name: &str,
    path: &Path,
    dtype: DType,
    micro_batch: Option<usize>,
    options: &[(&str, &str)],
) -> Vec<Row> {
    let checkpoint = run::open(path, dtype).unwrap();
    let batch = read_batch(&path.join("batch.safetensors")).unwrap();
    let settings = Settings { dtype, device: Default::default(), micro_batch, memory: 4 << 30, seed: 1 };
    let analysis = ANALYSES.iter().find(|a| a.name() == name).unwrap();
    let chosen = analysis.options().parse(options.iter().copied()).unwrap();
    analysis.run(&Snapshot::new(checkpoint, batch, settings), &chosen, &Silent).unwrap()
}

fn tensor(path: &Path, name: &str) -> Vec<f64> {
    let bytes = std::fs::read(path.join("reference.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let view = tensors.tensor(name).unwrap();
    view.data().as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect()
}

/// The values of a quantity for a scope, in the order of the rows.
fn values(rows: &[Row], quantity: &str, scope: &str, heads: bool) -> Vec<f64> {
    let wanted = |r: &&Row| &*r.quantity == quantity && &*r.scope == scope && r.head.is_some() == heads;
    rows.iter().filter(wanted).map(|r| r.value.unwrap()).collect()
}

fn one(rows: &[Row], quantity: &str, scope: &str) -> f64 {
    let found = values(rows, quantity, scope, false);
    assert_eq!(found.len(), 1, "{quantity} {scope}");
    found[0]
}

fn precisions() -> [(DType, f64); 2] {
    [(DType::F64, 1e-9), (DType::F32, 1e-4)]
}

fn model(config: &GptConfig, values: &Values) -> Gpt {
    Gpt::new(config, values, &Device::flex()).unwrap()
}

#[test]
fn entropies_and_logits_agree_with_pytorch() {
    for path in references() {
        for (dtype, close) in precisions() {
            for micro_batch in [None, Some(2)] {
                let rows = measure("attention", &path, dtype, micro_batch, &[]);
                for (quantity, name) in [
                    ("attention/entropy", "attention_entropy"),
                    ("attention/max_logit", "max_attention_logit"),
                ] {
                    let error = relative(&values(&rows, quantity, "all", true), &tensor(&path, name));
                    assert!(error < close, "{} {dtype} {quantity}: {error}", path.display());
                }
                let heads = tensor(&path, "attention_entropy");
                let mean = heads.iter().sum::<f64>() / heads.len() as f64;
                assert!((one(&rows, "attention/entropy", "all") - mean).abs() < close);
                // the bound is one, and the quantiles go from the one-key rows up
                let bounds = values(&rows, "attention/entropy_bound", "all", true);
                let entropies = values(&rows, "attention/entropy", "all", true);
                assert!(bounds.iter().zip(&entropies).all(|(bound, entropy)| bound <= entropy));
                let lowest = rows.iter().filter(|r| r.parameter == Some(0.0)).map(|r| r.value.unwrap());
                assert!(lowest.clone().count() == heads.len() && lowest.fold(0.0, f64::max) < close);
            }
        }
    }
}

#[test]
fn gradient_noise_agrees_with_pytorch() {
    for path in references() {
        for (dtype, close) in precisions() {
            let text = std::fs::read_to_string(path.join("reference.json")).unwrap();
            let reference: Value = serde_json::from_str(&text).unwrap();
            let truth = |name: &str| reference["gradient_noise"][name].as_f64().unwrap();
            let rows = measure("snr", &path, dtype, Some(3), &[]);
            let trace = truth("trace_covariance_unbiased");
            let signal = truth("squared_mean_gradient_unbiased");
            for (quantity, truth) in [
                ("snr/trace_covariance", trace),
                ("snr/mean_gradient_sq", signal),
                ("snr/phi", signal / trace),
                ("snr/noise_scale", trace / signal),
                ("snr/noise_scale", truth("simple_noise_scale_sequences")),
            ] {
                let found = one(&rows, quantity, "all");
                assert!(
                    (found / truth - 1.0).abs() < close,
                    "{} {dtype} {quantity}: {found} {truth}",
                    path.display()
                );
            }
            // a tensor's moments are those of its columns of the per-sequence gradients
            let all = tensor(&path, "per_sequence_grads");
            let checkpoint = run::open(&path, dtype).unwrap();
            let (n, mut sum) = (checkpoint.config.num_parameters(), 0.0);
            let samples: Vec<&[f64]> = all.chunks(n).collect();
            for p in checkpoint.config.parameters() {
                let count = samples.len() as f64;
                let spread: f64 = p
                    .range()
                    .map(|j| {
                        let mean = samples.iter().map(|g| g[j]).sum::<f64>() / count;
                        samples.iter().map(|g| (g[j] - mean).powi(2)).sum::<f64>() / (count - 1.0)
                    })
                    .sum();
                let found = one(&rows, "snr/trace_covariance", &p.name);
                assert!((found - spread).abs() < close * trace, "{dtype} {}: {found} {spread}", p.name);
                sum += if p.name.contains(".ln_") { spread } else { 0.0 };
            }
            assert!((one(&rows, "snr/trace_covariance", "layer_norm") - sum).abs() < close * trace);
        }
    }
}

#[test]
fn the_curvature_weighted_scale_is_that_of_the_dense_matrix() {
    for path in references() {
        let rows = measure("snr", &path, DType::F64, None, &[]);
        let checkpoint = run::open(&path, DType::F64).unwrap();
        let n = checkpoint.config.num_parameters();
        let gradients =
            warmlab::base::vectors::Vectors::new(Values::F64(tensor(&path, "per_sequence_grads")), n);
        let whole = read_batch(&path.join("batch.safetensors")).unwrap();
        let gpt = model(&checkpoint.config, &checkpoint.parameters);
        let curvature = operator::Curvature::new(gpt, &whole, 2, operator::Keep::Kept).unwrap();
        let curved =
            warmlab::linalg::LinearOperator::apply(&operator::Hessian(&curvature), &gradients).unwrap();
        let dot = |a: Vec<f64>, b: Vec<f64>| a.iter().zip(&b).map(|(a, b)| a * b).sum::<f64>();
        let count = gradients.k();
        let pairs = |i: usize, j: usize| dot(gradients.row(i), curved.row(j));
        let own: f64 = (0..count).map(|i| pairs(i, i)).sum();
        let all: f64 = (0..count * count).map(|i| pairs(i / count, i % count)).sum();
        let k = count as f64;
        let trace = (own - all / k) / (k - 1.0);
        let truth = trace / (all / (k * k) - trace / k);
        let found = one(&rows, "snr/noise_scale_curvature", "all");
        assert!((found / truth - 1.0).abs() < 1e-9, "{found} {truth}");
        let rows = measure("snr", &path, DType::F64, None, &[("no-curvature", "true")]);
        assert!(rows.iter().all(|r| &*r.quantity != "snr/noise_scale_curvature"));
    }
}

#[test]
fn sequences_that_are_all_alike_have_no_noise_and_those_that_share_nothing_no_signal() {
    let config = tiny(true, true, "gelu");
    let values = parameters(&config, 3);
    let gpt = model(&config, &values);
    let noise = |batch: &Batch| {
        let (_, mean) = gpt.gradient(batch, 2).unwrap();
        let mut moments = GradientMoments::new(&config.parameters());
        for sequence in batch.micro_batches(1) {
            moments.push(&config.parameters(), &gpt.gradient(&sequence, 1).unwrap().1, &mean);
        }
        let moments = snr::TensorMoments::new(config.parameters(), &moments);
        snr::noise(&moments.within(&[0..mean.len()]).noise(1.0).unwrap())
    };
    let single = batch(&config, 1, 7, 5);
    let same = noise(&Batch::concatenate(&vec![single; 6]));
    assert!(same.iter().all(|row| row.status == Status::Ok), "{same:?}");
    assert!(same[0].value.unwrap().abs() < 1e-12 && same[3].value.unwrap().abs() < 1e-12);
    // gradients of opposite signs: two samples whose mean is zero
    let mut moments = GradientMoments::new(&config.parameters());
    let (_, g) = gpt.gradient(&batch(&config, 1, 7, 6), 1).unwrap();
    let opposite = Values::F64(g.to_f64().iter().map(|x| -x).collect());
    let zero = Values::zeros(g.len(), DType::F64);
    for sample in [&g, &opposite, &g, &opposite] {
        moments.push(&config.parameters(), sample, &zero);
    }
    let moments = snr::TensorMoments::new(config.parameters(), &moments);
    let nothing = snr::noise(&moments.within(&[0..g.len()]).noise(1.0).unwrap());
    assert_eq!(nothing[0].status, Status::Ok);
    assert!(nothing[1..].iter().all(|row| row.status == Status::Unresolved && row.value.is_some()));
}

#[test]
fn the_pass_of_a_training_step_says_the_same_and_leaves_the_gradient_as_it_was() {
    for (bias, tied) in [(true, false), (false, true)] {
        let config = tiny(bias, tied, "gelu_tanh");
        let gpt = model(&config, &parameters(&config, 4));
        let batch = batch(&config, 5, 6, 8);
        let look = Look { statistics: true, ..Look::default() };
        let (loss, gradient, seen) = gpt.gradient_observed(&batch, 2, look).unwrap();
        let statistics = seen.statistics.unwrap();
        assert_eq!((loss, gradient), gpt.gradient(&batch, 2).unwrap());
        assert_eq!(statistics, gpt.statistics(&batch, 2).unwrap());
        let rows = attention::rows(&statistics, 0.05, true);
        // other micro-batches round differently
        let whole = attention::rows(&gpt.statistics(&batch, 5).unwrap(), 0.05, true);
        let numbers = |rows: &[Row]| rows.iter().map(|r| r.value.unwrap()).collect::<Vec<_>>();
        assert!(relative(&numbers(&rows), &numbers(&whole)) < 1e-13);
        // log Z against the logits themselves
        let logits = gpt.logits(&batch).unwrap();
        let log_z = logits.chunks(config.vocab_size).map(|z| z.iter().map(|z| z.exp()).sum::<f64>().ln());
        let mean = log_z.sum::<f64>() / batch.num_tokens() as f64;
        assert!((one(&rows, "logits/log_z", "all") / mean - 1.0).abs() < 1e-12);
        // the stream that enters the first block is the sum of the two embeddings
        let flat = parameters(&config, 4).to_f64();
        let table = |name: &str| {
            let p = config.parameters().into_iter().find(|p| p.name.contains(name)).unwrap();
            flat[p.range()].to_vec()
        };
        let (wte, wpe, c) = (table("wte"), table("wpe"), config.n_embd);
        let square: f64 = (0..batch.num_tokens() * c)
            .map(|i| (wte[batch.x()[i / c] as usize * c + i % c] + wpe[i / c % 6 * c + i % c]).powi(2))
            .sum();
        let rms = (square / (batch.num_tokens() * c) as f64).sqrt();
        assert!((one(&rows, "residual/rms", "transformer.h.0") / rms - 1.0).abs() < 1e-12);
    }
}

#[test]
fn small_weights_attend_evenly_and_a_zero_residual_branch_adds_nothing() {
    let config = tiny(false, true, "gelu");
    let mut flat = parameters(&config, 9).to_f64();
    for p in config.parameters().iter().filter(|p| p.name.contains("c_attn") || p.name.contains("mlp.c_proj"))
    {
        flat[p.range()].iter_mut().for_each(|x| *x *= if p.name.contains("mlp") { 0.0 } else { 1e-9 });
    }
    let gpt = model(&config, &Values::F64(flat));
    let rows = attention::rows(&gpt.statistics(&batch(&config, 3, 7, 2), 3).unwrap(), 0.05, true);
    // ln(T!)/T
    let even = (1..=7).map(|i| f64::from(i).ln()).sum::<f64>() / 7.0;
    let entropies = values(&rows, "attention/entropy", "all", true);
    assert!(entropies.len() == 4 && entropies.iter().all(|e| (e / even - 1.0).abs() < 1e-9));
    assert!((one(&rows, "attention/entropy_normalized", "all") - 1.0).abs() < 1e-9);
    assert_eq!(one(&rows, "attention/collapsed_fraction", "all"), 0.0);
    assert_eq!(one(&rows, "residual/mlp_rms", "transformer.h.1"), 0.0);
    for (t, mean) in [(8, 1.32558), (64, 3.20575), (256, 4.55960), (1024, 5.93575)] {
        let table = (1..=t).map(|i| f64::from(i).ln()).sum::<f64>() / f64::from(t);
        assert!((table - mean).abs() < 1e-5);
    }
}

#[test]
fn huge_weights_attend_to_one_key() {
    let config = tiny(false, true, "gelu");
    let mut flat = parameters(&config, 9).to_f64();
    for p in config.parameters().iter().filter(|p| p.name.contains("c_attn")) {
        // queries and keys, not values
        flat[p.range()][..2 * 6 * 6].iter_mut().for_each(|x| *x *= 1e6);
    }
    for dtype in [DType::F64, DType::F32] {
        let gpt = model(&config, &Values::F64(flat.clone()).cast(dtype));
        let rows = attention::rows(&gpt.statistics(&batch(&config, 3, 7, 2), 3).unwrap(), 0.05, true);
        assert_eq!(one(&rows, "attention/collapsed_fraction", "all"), 1.0);
        let entropies = values(&rows, "attention/entropy", "all", true);
        assert!(entropies.iter().all(|e| *e < 1e-20), "{entropies:?}");
    }
}

#[test]
fn a_real_run_agrees_with_pytorch() {
    let Some(run) = golden("nanogpt-run") else { return };
    let folder = tempfile::tempdir().unwrap();
    for step in [100, 500] {
        let text = std::fs::read_to_string(run.join(format!("warm/step_{step}.reference.json"))).unwrap();
        let reference: Value = serde_json::from_str(&text).unwrap();
        let rows = |analysis: &str, dtype: &str| {
            let ckpt = run.join(format!("warm/step_{step}.pt"));
            let base = [analysis, "--ckpt", ckpt.to_str().unwrap(), "--data", run.to_str().unwrap()];
            let more = ["--dtype", dtype, "--allow-unconverged", "--format", "json"];
            let output = warmlab(folder.path(), &[&base[..], &more[..]].concat());
            assert!(output.status.success(), "{output:?}");
            let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
            report["rows"].as_array().unwrap().clone()
        };
        for (dtype, close) in [("f64", 1e-9), ("f32", 1e-4)] {
            let found = rows("attention", dtype);
            for (quantity, name) in [
                ("attention/entropy", "attention_entropy_nats"),
                ("attention/max_logit", "max_attention_logit"),
            ] {
                let heads = found.iter().filter(|r| r["quantity"] == quantity && !r["head"].is_null());
                let heads: Vec<f64> = heads.map(|r| r["value"].as_f64().unwrap()).collect();
                let truth: Vec<f64> = reference[name]
                    .as_array()
                    .unwrap()
                    .iter()
                    .flat_map(|layer| layer.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()))
                    .collect();
                assert!(relative(&heads, &truth) < close, "step {step} {dtype} {quantity}");
            }
            let found = rows("snr", dtype);
            for (quantity, name) in [
                ("snr/trace_covariance", "trace_covariance_unbiased"),
                ("snr/mean_gradient_sq", "squared_mean_gradient_unbiased"),
                ("snr/noise_scale", "simple_noise_scale_sequences"),
            ] {
                let row = found.iter().find(|r| r["quantity"] == quantity && r["scope"] == "all").unwrap();
                let truth = reference["gradient_noise"][name].as_f64().unwrap();
                let value = row["value"].as_f64().unwrap();
                assert!(
                    (value / truth - 1.0).abs() < close,
                    "step {step} {dtype} {quantity}: {value} {truth}"
                );
            }
        }
    }
}

#[test]
fn as_many_micro_batches_as_sequences_say_what_the_sequences_say() {
    for path in references() {
        let count = read_batch(&path.join("batch.safetensors")).unwrap().batch_size().to_string();
        let options = [("micro-batches", count.as_str()), ("no-curvature", "true")];
        let rows = measure("snr", &path, DType::F64, None, &options);
        let phi = one(&rows, "snr/phi", "all");
        assert!((one(&rows, "snr/phi_microbatch", "all") / phi - 1.0).abs() < 1e-9);
        // momentum after several updates; its ratio and its cosine are those of the stored state
        let cosine = one(&rows, "snr/gradient_momentum_cos", "all");
        let m = run::open(&path, DType::F64).unwrap().optimizer.unwrap().vectors["exp_avg"].to_f64();
        let g = tensor(&path, "grad");
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        assert!((cosine - dot(&g, &m) / (dot(&g, &g) * dot(&m, &m)).sqrt()).abs() < 1e-9);
        assert!(rows.iter().any(|r| &*r.quantity == "snr/phi_momentum" && r.value.is_some()));
    }
}
