//! What training says of its steps is what the checkpoints of those steps say.

use std::collections::BTreeMap;

use warmlab::data::{Corpus, Split, sampling};
use warmlab::random::stream;
use warmlab::report::read_parquet;
use warmlab::row::Row;
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
