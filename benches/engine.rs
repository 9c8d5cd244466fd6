//! Gradient, products with the Hessian and training step against the time their matrix products alone
//! take.
//!
//! The floor is flops over the GEMM rate measured in the same run, on the shapes of the model's own layers,
//! with the same threads. Rounds of all measurements alternate, and medians are printed, because the
//! machine's speed drifts.
//!
//!     cargo bench --bench engine [-- small|large] [--threads N] [--rounds N] [--json]
#![allow(missing_docs, clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)]

use std::borrow::Cow;
use std::time::Instant;

use burn::tensor::Device;
use rand::RngExt;
use warmlab::analyses::ANALYSES;
use warmlab::architecture::GptConfig;
use warmlab::base::random::stream;
use warmlab::base::settings::Settings;
use warmlab::base::values::{DType, Values};
use warmlab::data::Batch;
use warmlab::linalg::{LinearOperator, probes};
use warmlab::measure::{Measurement, Tracker};
use warmlab::model::{Gpt, Look};
use warmlab::operator::{Curvature, GaussNewton, Hessian, Keep};
use warmlab::optim::{Optimizer, Part, Updater, clip_factor};
use warmlab::run::{Checkpoint, OptimizerState};
use warmlab::snapshot::analysis::{Analysis, Training};
use warmlab::snapshot::{NextUpdate, Snapshot, sample_tokens};
use warmlab::train::{Cadence, Held, Listener, Ring, initial_parameters};

#[global_allocator]
static ALLOCATOR: warmlab::base::allocator::Allocator = warmlab::base::allocator::Allocator;

/// Training steps per round.
const STEPS: u32 = 10;

struct Size {
    name: &'static str,
    config: &'static str,
    batch: usize,
    rounds: usize,
}

const SIZES: [Size; 2] = [
    Size {
        name: "small",
        config: r#"{"n_layer": 4, "n_head": 4, "n_embd": 128, "block_size": 64, "vocab_size": 65, "bias": false}"#,
        batch: 12,
        rounds: 25,
    },
    Size {
        name: "large",
        config: r#"{"n_layer": 6, "n_head": 6, "n_embd": 384, "block_size": 256, "vocab_size": 65, "bias": false}"#,
        batch: 4,
        rounds: 7,
    },
];

/// Analyses that spend products at every step: what they cost is a number of products.
const EXPENSIVE: [&str; 1] = ["hessian"];

fn main() {
    warmlab::base::allocator::keep_freed_memory();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let after = |flag: &str| {
        arguments.iter().position(|a| a == flag).and_then(|i| arguments.get(i + 1)?.parse().ok())
    };
    let threads =
        after("--threads").unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().unwrap();
    let named: Vec<&Size> = SIZES.iter().filter(|s| arguments.iter().any(|a| a == s.name)).collect();
    let chosen = if named.is_empty() { SIZES.iter().collect() } else { named };
    eprintln!("{threads} threads, {}", warmlab::base::simd::level().as_str());
    let (rounds, json) = (after("--rounds"), arguments.iter().any(|a| a == "--json"));
    // on a thread of the pool, as the command line works
    rayon::scope(|_| chosen.into_iter().for_each(|size| bench(size, rounds.unwrap_or(size.rounds), json)));
}

/// (rows, inner, columns) of every linear layer of a forward pass, for `n` tokens.
fn linear_shapes(c: &GptConfig, n: usize) -> Vec<(usize, usize, usize)> {
    let e = c.n_embd;
    let block = [(n, e, 3 * e), (n, e, e), (n, e, 4 * e), (n, 4 * e, e)];
    let mut shapes: Vec<_> = (0..c.n_layer).flat_map(|_| block).collect();
    shapes.push((n, e, c.vocab_size));
    shapes
}

/// Flops of one GEMM of every layer, and of one attention product (lower triangle) of every layer.
fn flops(c: &GptConfig, batch: &Batch) -> (f64, f64) {
    let linear = linear_shapes(c, batch.num_tokens()).iter().map(|(m, k, n)| 2.0 * (m * k * n) as f64).sum();
    let t = batch.seq() as f64;
    let attention = (c.n_layer * batch.batch_size()) as f64 * t * (t + 1.0) * c.n_embd as f64;
    (linear, attention)
}

/// Seconds of one GEMM of every linear layer.
fn gemms(shapes: &[(usize, usize, usize)], buffers: &mut [(Vec<f32>, Vec<f32>, Vec<f32>)]) {
    for ((m, k, n), (a, b, c)) in shapes.iter().zip(buffers) {
        // SAFETY: the buffers have m·k, n·k and m·n numbers
        #[allow(unsafe_code)]
        unsafe {
            gemm::gemm(
                *m,
                *n,
                *k,
                c.as_mut_ptr(),
                1,
                *n as isize,
                false,
                a.as_ptr(),
                1,
                *k as isize,
                b.as_ptr(),
                1,
                *n as isize,
                0.0,
                1.0,
                false,
                false,
                false,
                gemm::Parallelism::Rayon(rayon::current_num_threads()),
            );
        }
    }
}

fn bench(size: &Size, rounds: usize, json: bool) {
    let config: GptConfig = serde_json::from_str(size.config).unwrap();
    let seq = config.block_size;
    let random = &mut stream(1, 0, "bench");
    let mut ids =
        || (0..size.batch * seq).map(|_| random.random_range(0..config.vocab_size as u32)).collect();
    let batch = Batch::new(ids(), ids(), seq);
    let mut values = initial_parameters(&config, 1, DType::F32);
    let n = config.num_parameters();
    let gpt = || Gpt::new(&config, &values, &Device::flex()).unwrap();
    let mut model = gpt();
    let curvature = Curvature::new(gpt(), &batch, size.batch, Keep::Kept).unwrap();
    let hessian = Hessian(&curvature);
    let ggn = GaussNewton(&curvature);
    let one = probes::sphere(1, n, DType::F32, &mut stream(2, 0, "bench"));
    let eight = probes::sphere(8, n, DType::F32, &mut stream(3, 0, "bench"));
    let adamw = Optimizer::parse("adamw", None).unwrap();
    let mut adam = Updater::new(adamw.clone(), Part::all(&config.parameters()), DType::F32);
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        dtype: DType::F32,
        device: Default::default(),
        micro_batch: Some(size.batch),
        memory: 4 << 30,
        seed: 1,
    };
    let training = Training { config: &config, optimizer: &adamw, probe: &batch, settings: &settings };
    let tracking = |analysis: &&'static dyn Analysis| {
        let options = analysis.options().defaults().unwrap();
        Measurement {
            analysis: *analysis,
            session: analysis.begin(&options, Some(&training)).unwrap(),
            cadence: Cadence { early: 0, every: 1, at: vec![] },
            meta: Default::default(),
        }
    };
    // as in training, whether it is measured or not
    let mut ring = Ring::new(3);
    let about = |steps: u64| Checkpoint {
        path: Default::default(),
        run: "bench".into(),
        format: "native",
        step: steps,
        config: config.clone(),
        parameters: Values::F32(vec![]),
        optimizer: Some(OptimizerState {
            told: adamw.specification().clone(),
            updates: steps,
            lr: 1e-6,
            last_lr: Some(1e-6),
            grad_clip: Some(1.0),
            ..OptimizerState::default()
        }),
        next_grad_norm: None,
        without_optimizer: None,
        loss: None,
        seed: None,
        notes: vec![],
        sha256: String::new(),
    };
    let tracked =
        ANALYSES.iter().filter(|a| a.tracks() && !EXPENSIVE.contains(&a.name())).map(tracking).collect();
    let mut tracker = Tracker::open(folder.path(), Default::default(), Default::default(), tracked).unwrap();
    let mut steps = 0;

    let shapes = linear_shapes(&config, batch.num_tokens());
    let mut buffers: Vec<_> =
        shapes.iter().map(|(m, k, n)| (vec![0.5; m * k], vec![0.25; k * n], vec![0.0; m * n])).collect();

    let mut times: Vec<(&str, f64, Vec<f64>)> = vec![
        ("one GEMM per layer", 1.0, vec![]),
        ("gradient", 3.0, vec![]),
        ("Hessian product", 6.0, vec![]),
        ("Gauss-Newton product", 4.0, vec![]),
        ("8 Hessian products", 48.0, vec![]),
        ("training step", 3.0, vec![]),
        ("tracked step", 3.0, vec![]),
    ];
    for _ in 0..=rounds {
        let mut record = |i: usize, start: Instant| times[i].2.push(start.elapsed().as_secs_f64());
        let start = Instant::now();
        gemms(&shapes, &mut buffers);
        record(0, start);
        let start = Instant::now();
        model.gradient(&batch, size.batch).unwrap();
        record(1, start);
        let start = Instant::now();
        hessian.apply(&one).unwrap();
        record(2, start);
        let start = Instant::now();
        ggn.apply(&one).unwrap();
        record(3, start);
        let start = Instant::now();
        hessian.apply(&eight).unwrap();
        record(4, start);
        // ten steps of each, so that what is measured on a cadence counts
        for tracked in [false, true] {
            let start = Instant::now();
            for _ in 0..STEPS {
                let needs = if tracked { tracker.needs(steps) } else { None };
                let asked = needs.unwrap_or_default();
                let rows = asked.token_rows.map(|rows| sample_tokens(1, steps, batch.num_tokens(), rows));
                let look = Look {
                    tokens: rows.as_deref(),
                    statistics: asked.statistics,
                    // a batch of one micro-batch
                    micro_batches: false,
                };
                let (loss, gradient, seen) = model.gradient_observed(&batch, size.batch, look).unwrap();
                let (_, factor) = clip_factor(&gradient, 1.0);
                let state = ring.push(about(steps), Held { parameters: &values, state: adam.state() });
                if tracked {
                    let mut update = adam.update_tracked(&mut values, &gradient, factor, 1e-6, 1e-6);
                    steps += 1;
                    update.step = steps;
                    let next = NextUpdate {
                        statistics: update.clone(),
                        parameters: Cow::Borrowed(&values),
                        vectors: adam.vectors().map(|(name, v)| (name, Cow::Borrowed(v))).collect(),
                    };
                    let snapshot =
                        Snapshot::new(state, batch.clone(), settings.clone()).with_model(model.clone());
                    let snapshot = snapshot.with_pass(loss, gradient, seen).with_next_update(next);
                    tracker.measure(snapshot).unwrap();
                    tracker.updated(update);
                } else {
                    adam.update(&mut values, &gradient, factor, 1e-6);
                }
                model.set_parameters(&values);
            }
            times[5 + usize::from(tracked)].2.push(start.elapsed().as_secs_f64() / f64::from(STEPS));
        }
    }
    let (linear, attention) = flops(&config, &batch);
    // the first round warms caches and allocator up
    let median = |list: &[f64]| {
        let mut list = list[1..].to_vec();
        list.sort_by(f64::total_cmp);
        list[list.len() / 2]
    };
    if json {
        let seconds = times.iter().map(|(name, _, list)| (name.to_string(), median(list).into()));
        println!("{}", serde_json::Value::Object(seconds.collect()));
        return;
    }
    let rate = linear / median(&times[0].2);
    let gradient = median(&times[1].2);
    println!(
        "\n{}: n = {n}, {} tokens; GEMM of its layers {:.0} GFLOP/s",
        size.name,
        batch.num_tokens(),
        rate / 1e9
    );
    println!("{:<22} {:>9} {:>9} {:>8} {:>10}", "", "ms", "floor ms", "/ floor", "/ gradient");
    for (name, units, list) in &times[1..] {
        // attention has two products where a linear layer has one
        let floor = (units * linear + 2.0 * units * attention) / rate;
        let time = median(list);
        println!(
            "{name:<22} {:>9.2} {:>9.2} {:>8.2} {:>10.2}",
            time * 1e3,
            floor * 1e3,
            time / floor,
            time / gradient
        );
    }
}
