//! Adam's state and its updates: against PyTorch, against plain loops, against theory.

use std::collections::BTreeMap;
use std::path::Path;

use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use safetensors::SafeTensors;
use serde_json::Value;
use warmlab::architecture::{Initial, Parameter, Role};
use warmlab::base::random::stream;
use warmlab::base::row::Row;
use warmlab::base::values::{DType, Values};
use warmlab::data::{Corpus, Split, read_batch, sampling};
use warmlab::optim::{Optimizer, Part, UpdateStatistics, Updater};
use warmlab::report::read_parquet;
use warmlab::run;
use warmlab::snapshot::Snapshot;

use crate::support::{analysis, golden, measure, numbers, references, report_of, settings, train, warmlab};

fn value(rows: &[Row], quantity: &str, scope: &str) -> Option<f64> {
    rows.iter().find(|r| &*r.quantity == quantity && &*r.scope == scope)?.value
}

/// `last_update` and `second_moment` of a reference, tensor by tensor.
fn agree(rows: &[Row], reference: &Value, close: f64, name: &str) {
    let keys = [
        ("last_update", "angle_rad", "update/angle"),
        ("last_update", "relative_update", "update/relative"),
        ("last_update", "update_rms", "adam/update_rms"),
        ("second_moment", "mean", "adam/v_mean"),
        ("second_moment", "std_over_mean", "adam/v_std_over_mean"),
    ];
    for (section, key, quantity) in keys {
        for (tensor, truth) in reference[section].as_object().unwrap() {
            let Some(truth) = truth[key].as_f64() else { continue };
            let found = value(rows, quantity, tensor).unwrap();
            assert!((found / truth - 1.0).abs() < close, "{name} {quantity} {tensor}: {found} {truth}");
        }
    }
}

#[test]
fn last_updates_and_second_moments_agree_with_pytorch() {
    for path in references() {
        for (dtype, close) in [(DType::F64, 1e-9), (DType::F32, 1e-5)] {
            let checkpoint = run::open(&path, dtype).unwrap();
            let batch = read_batch(&path.join("batch.safetensors")).unwrap();
            let snapshot = Snapshot::new(checkpoint, batch, settings(dtype, None, 1));
            let rows: Vec<Row> =
                ["adam", "angular"].iter().flat_map(|a| measure(analysis(a), &snapshot, &[])).collect();
            let text = std::fs::read_to_string(path.join("reference.json")).unwrap();
            let reference: Value = serde_json::from_str(&text).unwrap();
            agree(&rows, &reference, close, &path.display().to_string());
        }
    }
}

#[test]
fn a_nanogpt_checkpoint_gives_its_last_update() {
    let Some(run) = golden("nanogpt-run") else { return };
    for (step, dtype, close) in [(500, "f64", 1e-9), (500, "f32", 1e-4), (100, "f64", 1e-9)] {
        let folder = tempfile::tempdir().unwrap();
        let ckpt = run.join(format!("warm/step_{step}.pt")).display().to_string();
        let data = run.display().to_string();
        for name in ["adam", "angular"] {
            let arguments = [name, "--ckpt", &ckpt, "--data", &data, "--dtype", dtype, "--batch-size", "2"];
            let output = warmlab(folder.path(), &arguments);
            assert!(output.status.success(), "{output:?}");
        }
        let report = |name: &str| {
            let path = folder.path().join(format!("reports/warm-step_{step}/{name}"));
            read_parquet(&report_of(&path, step)).unwrap().rows
        };
        let rows = [report("adam"), report("angular")].concat();
        let text = std::fs::read_to_string(run.join(format!("warm/step_{step}.reference.json"))).unwrap();
        agree(&rows, &serde_json::from_str(&text).unwrap(), close, &format!("step {step} {dtype}"));
    }
}

#[test]
fn adamw_is_pytorchs() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/optimizers.safetensors");
    let bytes = std::fs::read(path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let read = |name: &str| -> Vec<f64> {
        tensors
            .tensor(name)
            .unwrap()
            .data()
            .as_chunks::<8>()
            .0
            .iter()
            .map(|b| f64::from_le_bytes(*b))
            .collect()
    };
    let (gradients, start) = (read("gradients"), read("start"));
    let n = start.len();
    let mut adamw = Updater::new(adamw(HYPER), vec![Part { decay: 1.0, ..Part::vector("p", n) }], DType::F64);
    let mut p = Values::F64(start);
    let truth = read("adamw");
    for (t, g) in gradients.chunks(n).enumerate() {
        adamw.update(&mut p, &Values::F64(g.to_vec()), 1.0, 1e-2);
        for i in 0..n {
            let a = truth[t * n + i];
            assert!((p.get(i) - a).abs() < 1e-13, "adamw {t} {i}: {} {a}", p.get(i));
        }
    }
}

/// β1, β2, λ; ε is 1e-8.
type Constants = (f64, f64, f64);

const HYPER: Constants = (0.9, 0.95, 0.1);

fn adamw((beta1, beta2, decay): Constants) -> Optimizer {
    let text = format!("adamw:beta1={beta1},beta2={beta2},eps=1e-8,weight_decay={decay}");
    Optimizer::parse(&text, None).unwrap()
}

pub fn shapes(shapes: &[&[usize]]) -> Vec<Parameter> {
    let mut offset = 0;
    let make = |(i, shape): (usize, &&[usize])| {
        let parameter = Parameter {
            name: format!("p{i}"),
            shape: shape.to_vec(),
            offset,
            role: Role::MlpInput,
            bias: shape.len() == 1,
            layer: None,
            module: "".into(),
            initial: Initial::Zeros,
            decayed: shape.len() > 1,
        };
        offset += parameter.len();
        parameter
    };
    shapes.iter().enumerate().map(make).collect()
}

#[test]
fn the_tracked_pass_updates_to_the_same_bits_and_its_sums_are_plain_loops() {
    // rows shorter and longer than a block, remainders of every kind, more rows than are folded at once
    let parameters =
        shapes(&[&[70, 6], &[5], &[3, 1000], &[33, 129], &[40, 16], &[1, 1], &[2000], &[600, 40]]);
    let parts = Part::all(&parameters);
    let n = parameters.last().unwrap().range().end;
    for dtype in [DType::F64, DType::F32] {
        let close = if dtype == DType::F64 { 1e-11 } else { 1e-4 };
        let random = &mut stream(5, 0, "updates");
        let mut plain = Updater::new(adamw(HYPER), parts.clone(), dtype);
        let mut tracked = plain.clone();
        let start = Values::F64(numbers(random, n)).cast(dtype);
        let (mut p, mut q) = (start.clone(), start);
        let mut last: Option<Vec<f64>> = None;
        for t in 1..=4 {
            let g = Values::F64(numbers(random, n)).cast(dtype);
            let moment = |of: &Updater, name: &str| of.vector(name).unwrap().to_f64();
            let (before, m) = (q.to_f64(), moment(&tracked, "exp_avg"));
            let lr = 1e-2 * f64::from(t);
            plain.update(&mut p, &g, 0.5, lr);
            let found = tracked.update_tracked(&mut q, &g, 0.5, lr, lr - 1e-2);
            assert!(p == q && plain.state() == tracked.state());
            let (m1, v1, g) = (moment(&tracked, "exp_avg"), moment(&tracked, "exp_avg_sq"), g.to_f64());
            let (c1, c2) = (1.0 - 0.9f64.powi(t), 1.0 - 0.95f64.powi(t));
            let root: Vec<f64> = v1.iter().map(|v| (v / c2).sqrt()).collect();
            let u: Vec<f64> = (0..n).map(|i| m1[i] / c1 / (root[i] + 1e-8)).collect();
            for (parameter, (part, sums)) in parameters.iter().zip(&found.parts) {
                let sum = |f: &dyn Fn(usize) -> f64| parameter.range().map(f).sum::<f64>();
                let size = |f: &dyn Fn(usize) -> f64| parameter.range().map(|i| f(i).abs()).sum::<f64>();
                let check = |name: &str, found: f64, f: &dyn Fn(usize) -> f64| {
                    let truth = sum(f);
                    assert!(
                        (found - truth).abs() <= close * size(f),
                        "{dtype} {t} {} {name}: {found} {truth}",
                        part.name
                    );
                };
                check("weight_sq", sums.weight_sq, &|i| before[i] * before[i]);
                check("weight_direction", sums.weight_direction, &|i| before[i] * u[i]);
                check("direction_sq", sums.direction_sq, &|i| u[i] * u[i]);
                check("second_moment", sums.second_moment, &|i| v1[i]);
                check("second_moment_sq", sums.second_moment_sq, &|i| v1[i] * v1[i]);
                check("gradient_sq", sums.gradient_sq, &|i| 0.25 * g[i] * g[i]);
                check("direction_gradient", sums.direction_gradient, &|i| 0.5 * g[i] * u[i]);
                check("momentum_gradient", sums.momentum_gradient, &|i| 0.5 * g[i] * m[i]);
                check("momentum_sq", sums.momentum_sq, &|i| m[i] * m[i]);
                check("ratio_sq", sums.ratio_sq, &|i| 0.25 * g[i] * g[i] / root[i].max(1e-8).powi(2));
                assert_eq!(sums.n, parameter.len() as f64);
                if let Some(last) = &last {
                    check("previous_sq", sums.previous_sq, &|i| last[i] * last[i]);
                    check("direction_previous", sums.direction_previous, &|i| last[i] * u[i]);
                    check("weight_previous", sums.weight_previous, &|i| last[i] * before[i]);
                }
                let decay = if part.matrix { 0.1 } else { 0.0 };
                let after = |i: usize| before[i] - lr * (decay * before[i] + u[i]);
                let cosine = sum(&|i| before[i] * after(i))
                    / (sum(&|i| before[i].powi(2)) * sum(&|i| after(i).powi(2))).sqrt();
                let angle = found.motion(part, sums).angle().unwrap();
                assert!((angle - cosine.min(1.0).acos()).abs() < 1e-5, "{angle} {}", cosine.acos());
            }
            last = Some(u);
        }
    }
}

/// The statistics of `steps` updates of one matrix by normal gradients times `scale(t)`.
fn simulate(
    constants: Constants,
    lr: f64,
    shape: [usize; 2],
    steps: u64,
    scale: impl Fn(u64) -> f64,
    mut see: impl FnMut(u64, &UpdateStatistics),
) {
    let parameters = shapes(&[&shape]);
    let (parts, n) = (Part::all(&parameters), shape[0] * shape[1]);
    let random = &mut stream(9, 0, "simulation");
    let mut normal = |scale: f64| -> Values {
        let draw = |_| {
            let x: f64 = StandardNormal.sample(random);
            (scale * x) as f32
        };
        Values::F32((0..n).map(draw).collect())
    };
    let mut p = normal(0.02);
    let mut adam = Updater::new(adamw(constants), parts, DType::F32);
    for t in 1..=steps {
        let g = normal(scale(t));
        see(t, &adam.update_tracked(&mut p, &g, 1.0, lr, lr));
    }
}

#[test]
fn weights_turn_by_the_equilibrium_angle() {
    for (lr, decay, beta1, expected) in [(1e-2, 1.0, 0.9, 0.03244), (1e-2, 1.0, 0.0, 0.14142)] {
        let constants = (beta1, 0.99, decay);
        let predicted = adamw(constants).equilibrium_angle(lr).unwrap();
        assert!((predicted - expected).abs() < 1e-5);
        let (mut sum, mut count, mut whole) = (0.0, 0.0, vec![]);
        simulate(
            constants,
            lr,
            [8, 1024],
            1200,
            |_| 1.0,
            |t, update| {
                if t > 800 {
                    let total = update.total();
                    sum += total.angle_sq;
                    count += total.neurons;
                    whole.push(update.whole_motion().angle().unwrap());
                }
            },
        );
        let measured = (sum / count).sqrt();
        assert!((measured / predicted - 1.0).abs() < 0.02, "β1 {beta1}: {measured} {predicted}");
        let mean = whole.iter().sum::<f64>() / whole.len() as f64;
        assert!((mean / predicted - 1.0).abs() < 0.02, "β1 {beta1}: {mean} {predicted}");
    }
    assert!((adamw((0.98, 0.99, 1.0)).equilibrium_angle(1e-2).unwrap() - 0.01421).abs() < 1e-5);
}

#[test]
fn independent_gradients_make_updates_of_the_predicted_size() {
    let constants = (0.9, 0.999, 0.1);
    let expected =
        BTreeMap::from([(1, 1.0), (2, 0.7081), (3, 0.5795), (5, 0.4521), (10, 0.3301), (20, 0.2592)]);
    simulate(
        constants,
        1e-3,
        [100, 1000],
        20,
        |_| 1.0,
        |t, update| {
            let Some(expected) = expected.get(&t) else { return };
            let total = update.total();
            let rms = (total.direction_sq / total.n).sqrt();
            assert!((rms - expected).abs() < 0.01, "{t}: {rms} {expected}");
            assert!(t > 1 || total.sign_like == total.n);
        },
    );
}

#[test]
fn rms_ratio_after_a_jump_is_the_closed_form() {
    for (beta2, c, expected) in
        [(0.99, 10.0, 7.089), (0.95, 2.0, 1.865), (0.95, 5.0, 3.371), (0.95, 10.0, 4.100)]
    {
        let mut adam = Updater::new(adamw((0.9, beta2, 0.1)), vec![Part::vector("p", 32)], DType::F64);
        let mut p = Values::F64(vec![1.0; 32]);
        let mut ratio = 0.0;
        for t in 1..=3000 {
            let size = if t == 3000 { c } else { 1.0 };
            let g = (0..32).map(|i| if (i + t) % 2 == 0 { size } else { -size }).collect();
            let total = adam.update_tracked(&mut p, &Values::F64(g), 1.0, 1e-4, 1e-4).total();
            ratio = (total.ratio_sq / total.n).sqrt();
            assert!(t == 3000 || (ratio - 1.0).abs() < 1e-9);
        }
        assert!(
            (ratio - expected).abs() < 1e-3 && ratio < 1.0 / (1.0 - beta2).sqrt(),
            "{beta2} {c}: {ratio}"
        );
    }
}

/// σ²·Var ψ of streams drawn here: each coordinate's own, then the mean over coordinates.
fn resampled(gradients: &[Vec<f64>], updates: usize, beta2: f64, streams: usize) -> f64 {
    let random = &mut stream(77, 0, "streams of a test");
    let (sequences, n) = (gradients.len(), gradients[0].len());
    let (mut square, mut rates) = (vec![0.0; n], vec![vec![]; n]);
    for _ in 0..streams {
        let mut v = vec![0.0; n];
        for _ in 0..updates {
            let mut g = vec![0.0; n];
            for _ in 0..sequences {
                let drawn = &gradients[random.random_range(0..sequences)];
                g.iter_mut().zip(drawn).for_each(|(g, x)| *g += x / sequences as f64);
            }
            for i in 0..n {
                v[i] = beta2 * v[i] + (1.0 - beta2) * g[i] * g[i];
                square[i] += g[i] * g[i] / (streams * updates) as f64;
            }
        }
        let correction = 1.0 - beta2.powf(updates as f64);
        (0..n).for_each(|i| rates[i].push((v[i] / correction).powf(-0.5)));
    }
    let seen: Vec<usize> =
        (0..n).filter(|&i| square[i] > 0.0 && rates[i].iter().all(|x| x.is_finite())).collect();
    let variance = |&i: &usize| {
        let mean = rates[i].iter().sum::<f64>() / streams as f64;
        square[i] * rates[i].iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (streams as f64 - 1.0)
    };
    seen.iter().map(variance).sum::<f64>() / seen.len() as f64
}

#[test]
fn the_rate_varies_over_streams_as_streams_drawn_here_do() {
    let folder = tempfile::tempdir().unwrap();
    assert!(train(folder.path(), "r", &["--steps", "12"]).status.success());
    let path = folder.path().join("runs/r/checkpoints/step_12");
    let corpus = Corpus::open("synthetic", &[]).unwrap();
    let batch = sampling::sequential(corpus.tokens(Split::Val), 0, 16, 8).unwrap();
    let snapshot = Snapshot::new(run::open(&path, DType::F64).unwrap(), batch, settings(DType::F64, None, 1));
    let gpt = snapshot.gpt().unwrap();
    let sequences = snapshot.batch().unwrap().micro_batches(1);
    let gradients: Vec<Vec<f64>> = sequences.iter().map(|s| gpt.gradient(s, 1).unwrap().1.to_f64()).collect();
    let truth = resampled(&gradients, 12, snapshot.optimizer().unwrap().constant("beta2"), 600);
    let rows = measure(analysis("adam"), &snapshot, &[("resample", "100")]);
    let row = rows.iter().find(|r| &*r.quantity == "adam/var_psi").unwrap();
    let (found, half_width) = (row.value.unwrap(), row.uncertainty.unwrap());
    // half of the half-width again is what the 600 streams leave open
    assert!((found - truth).abs() < 4.5 * half_width, "{found} ± {half_width}: {truth}");
    assert!(half_width < 0.2 * found, "{found} ± {half_width}");
}
