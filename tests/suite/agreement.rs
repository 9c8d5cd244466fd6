//! What training says of its steps is what the checkpoints of those steps say.

use std::collections::BTreeMap;

use warmlab::base::random::stream;
use warmlab::base::row::Row;
use warmlab::base::values::DType;
use warmlab::data::{Corpus, Split, sampling};
use warmlab::report::read_parquet;
use warmlab::run;
use warmlab::snapshot::Snapshot;
use warmlab::train::TrainConfig;

use crate::support::{analysis, measure, settings, train};

type Key = (u64, String, String, [Option<u32>; 2], Option<u64>);

fn keyed(rows: Vec<Row>) -> BTreeMap<Key, Row> {
    let key = |r: &Row| {
        let parameter = r.parameter.map(|p| (p * 1e6) as u64);
        (r.step, r.quantity.to_string(), r.scope.to_string(), [r.layer, r.head], parameter)
    };
    let count = rows.len();
    let keyed: BTreeMap<Key, Row> = rows.into_iter().map(|r| (key(&r), r)).collect();
    assert_eq!(keyed.len(), count, "two rows have one key");
    keyed
}

/// An analysis, its options for a checkpoint, and what only a checkpoint is asked for.
type BothWays = (&'static str, &'static [(&'static str, &'static str)], &'static [&'static str]);

const BOTH_WAYS: [BothWays; 4] = [
    ("adam", &[], &["adam/var_psi"]),
    ("angular", &[("rrc-rows", "5")], &[]),
    ("attention", &[], &[]),
    (
        "snr",
        &[("no-curvature", "true")],
        &[
            "snr/trace_covariance",
            "snr/mean_gradient_sq",
            "snr/phi",
            "snr/noise_scale",
            "snr/noise_scale_curvature",
            "snr/phi_microbatch",
        ],
    ),
];

/// With gradients accumulated over three micro-batches.
const ACCUMULATED: [BothWays; 1] = [(
    "snr",
    &[("no-curvature", "true"), ("micro-batches", "3")],
    &[
        "snr/trace_covariance",
        "snr/mean_gradient_sq",
        "snr/phi",
        "snr/noise_scale",
        "snr/noise_scale_curvature",
    ],
)];

#[test]
fn what_training_says_is_what_its_checkpoints_say() {
    agree(&BOTH_WAYS, &[]);
}

#[test]
fn what_training_says_of_its_micro_batches_is_what_its_checkpoints_say() {
    agree(&ACCUMULATED, &["--grad-accumulation", "3"]);
}

/// Trains a few steps with the flags `more` and compares what was tracked with analyses of the checkpoints.
fn agree(both_ways: &[BothWays], more: &[&str]) {
    for (dtype, close) in [("f64", 1e-9), ("f32", 2e-4)] {
        let folder = tempfile::tempdir().unwrap();
        let track =
            "adam:quantile-every=1,angular:rrc-every=1:rrc-rows=5,attention:qk-every=1:detail-every=1,snr";
        let arguments = [
            "--steps",
            "6",
            "--save-early",
            "6",
            "--track",
            track,
            "--dtype",
            dtype,
            "--grad-clip",
            "0.3",
            "--bias",
        ];
        let output = train(folder.path(), "r", &[&arguments[..], more].concat());
        assert!(output.status.success(), "{output:?}");
        let run = folder.path().join("runs/r");
        let config = TrainConfig::read(&run.join("run.toml")).unwrap();
        let corpus = Corpus::open(&config.data, &[]).unwrap();
        for &(name, options, aside) in both_ways {
            let mut told = Vec::new();
            for entry in std::fs::read_dir(folder.path().join("reports/r").join(name)).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_some_and(|e| e == "parquet") {
                    told.extend(read_parquet(&path).unwrap().rows);
                }
            }
            let mut told = keyed(told);
            let mut compared = BTreeMap::new();
            for step in 0..=6u64 {
                let path = run.join(format!("checkpoints/step_{step}"));
                let checkpoint = run::open(&path, config.dtype).unwrap();
                // layers and layer norms as one, which a checkpoint alone is asked for
                let tensors: Vec<String> =
                    checkpoint.config.parameters().into_iter().map(|p| p.name).collect();
                let random = &mut stream(config.seed, step + 1, "training batch");
                let tokens = corpus.tokens(Split::Train);
                let sequences = config.batch_size * config.grad_accumulation;
                let batch = sampling::random(tokens, sequences, config.model.block_size, random).unwrap();
                let settings = settings(config.dtype, Some(config.batch_size), config.seed);
                let snapshot = Snapshot::new(checkpoint, batch, settings);
                for (key, row) in keyed(measure(analysis(name), &snapshot, options)) {
                    let joined = name == "snr" && key.2 != "all" && !tensors.contains(&key.2);
                    if joined || aside.contains(&key.1.as_str()) {
                        continue;
                    }
                    let Some(other) = told.remove(&key) else {
                        // the last step's gradient was never computed in training, nor spectra before any update
                        let before = step == 0 && key.1.contains("qk_");
                        assert!(before || step == 6, "{dtype}: training did not say {row:?}");
                        continue;
                    };
                    let (a, b) = (row.value.unwrap(), other.value.unwrap());
                    let size = b.abs().max(if key.1.contains("cos") { 1.0 } else { 0.0 });
                    assert!((a - b).abs() <= close * size, "{dtype}: {row:?}\n{other:?}");
                    assert_eq!((row.n, row.status), (other.n, other.status));
                    if let (Some(a), Some(b)) = (row.uncertainty, other.uncertainty) {
                        assert!((a - b).abs() <= close * b.abs(), "{dtype}: {row:?}\n{other:?}");
                    }
                    *compared.entry(key.1).or_insert(0) += 1;
                }
            }
            assert!(told.is_empty(), "{dtype}: only training said {:?}", told.values().next());
            for quantity in analysis(name).quantities().iter().map(|q| q.name) {
                let enough = compared.get(quantity).is_some_and(|n| *n >= 2);
                assert!(enough != aside.contains(&quantity), "{quantity}: {compared:?}");
            }
        }
    }
}

/// The paths above share their formulas. Here they are written out again, over the numbers in the files: what an update
/// changed is the difference of two checkpoints, and what Adam's state says is in the second.
#[test]
fn what_training_says_of_updates_follows_from_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let more = [
        "--steps",
        "6",
        "--save-early",
        "6",
        "--track",
        "adam,angular",
        "--dtype",
        "f64",
        "--grad-clip",
        "0.3",
    ];
    assert!(train(folder.path(), "r", &more).status.success());
    let told = |name: &str| {
        let mut rows = Vec::new();
        for entry in std::fs::read_dir(folder.path().join("reports/r").join(name)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "parquet") {
                rows.extend(read_parquet(&path).unwrap().rows);
            }
        }
        rows
    };
    let (adam, angular) = (told("adam"), told("angular"));
    let open = |step: u64| {
        run::open(&folder.path().join(format!("runs/r/checkpoints/step_{step}")), DType::F64).unwrap()
    };
    let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
    let mut compared = BTreeMap::new();
    let mut compare = |rows: &[Row], quantity: &str, scope: &str, step: u64, expected: f64| {
        let row = rows.iter().find(|r| &*r.quantity == quantity && &*r.scope == scope && r.step == step);
        let value = row.unwrap_or_else(|| panic!("{quantity} of {scope} at {step}")).value.unwrap();
        assert!((value / expected - 1.0).abs() < 1e-7, "{quantity} of {scope} at {step}: {value} {expected}");
        *compared.entry(quantity.to_string()).or_insert(0) += 1;
    };
    for step in 1..=6u64 {
        let (before, after) = (open(step - 1), open(step));
        let (w, u) = (before.parameters.to_f64(), after.parameters.to_f64());
        for p in after.config.parameters() {
            let (w, u) = (&w[p.range()], &u[p.range()]);
            // a bias that starts at zero has no direction
            if norm(w) == 0.0 {
                continue;
            }
            let change: Vec<f64> = u.iter().zip(w).map(|(u, w)| u - w).collect();
            compare(&angular, "update/relative", &p.name, step, norm(&change) / norm(w));
            let (long, short) = (norm(u), norm(w));
            let across: Vec<f64> = u.iter().zip(w).map(|(u, w)| u / long - w / short).collect();
            // from the chord of the unit vectors
            compare(&angular, "update/angle", &p.name, step, 2.0 * (norm(&across) / 2.0).asin());
        }
        let optimizer = after.optimizer.unwrap();
        let (m, v) = (optimizer.vectors["exp_avg"].to_f64(), optimizer.vectors["exp_avg_sq"].to_f64());
        let correct = |beta: f64| 1.0 - beta.powi(step as i32);
        let root = |v: f64| (v / correct(optimizer.constant("beta2"))).sqrt() + optimizer.constant("eps");
        let update: Vec<f64> =
            m.iter().zip(&v).map(|(m, v)| m / correct(optimizer.constant("beta1")) / root(*v)).collect();
        let count =
            |f: &dyn Fn(usize) -> bool| (0..v.len()).filter(|&i| f(i)).count() as f64 / v.len() as f64;
        let mean = v.iter().sum::<f64>() / v.len() as f64;
        let spread = (v.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / v.len() as f64).sqrt();
        compare(&adam, "adam/v_mean", "all", step, mean);
        compare(&adam, "adam/v_hat_mean", "all", step, mean / correct(optimizer.constant("beta2")));
        compare(&adam, "adam/v_std_over_mean", "all", step, spread / mean);
        compare(&adam, "adam/update_rms", "all", step, norm(&update) / (v.len() as f64).sqrt());
        compare(&adam, "adam/sign_like_fraction", "all", step, count(&|i| update[i].abs() > 0.9));
    }
    assert!(compared.len() == 7 && compared.values().all(|n| *n >= 6), "{compared:?}");
}
