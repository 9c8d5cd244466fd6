//! SGD with momentum: its updates, runs and measurements, against PyTorch's numbers and closed forms.

use std::fs;
use std::path::Path;
use std::process::Output;

use safetensors::SafeTensors;
use warmlab::base::row::Row;
use warmlab::base::values::{DType, Values};
use warmlab::data::{Corpus, Split, sampling};
use warmlab::optim::{Optimizer, Part, Updater};
use warmlab::report::read_parquet;
use warmlab::run;
use warmlab::snapshot::Snapshot;

use crate::optimizers::{resumes, says_what_it_does, train};
use crate::support::{analysis, measure, report_of, settings, stderr, warmlab};

const HEAVY: &[&str] = &[
    "--optimizer",
    "sgd:momentum=0.9,weight_decay=0.01",
    "--schedule",
    "constant:peak=0.05",
    "--dtype",
    "f64",
];

#[test]
fn every_kind_is_pytorchs() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sgd.safetensors");
    let bytes = fs::read(path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let read = |name: &str| -> Vec<f64> {
        let data = tensors.tensor(name).unwrap().data();
        data.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect()
    };
    let (gradients, start) = (read("gradients"), read("start"));
    let n = start.len();
    for (name, text) in [
        ("plain", "sgd:weight_decay=0.1"),
        ("momentum", "sgd:weight_decay=0.1,momentum=0.9"),
        ("nesterov", "sgd:weight_decay=0.1,momentum=0.9,nesterov=true"),
    ] {
        let rule = Optimizer::parse(text, None).unwrap();
        let mut sgd = Updater::new(rule, vec![Part { decay: 1.0, ..Part::vector("p", n) }], DType::F64);
        let (mut p, truth) = (Values::F64(start.clone()), read(name));
        for (g, truth) in gradients.chunks(n).zip(truth.chunks(n)) {
            sgd.update(&mut p, &Values::F64(g.to_vec()), 1.0, 1e-2);
            for (i, truth) in truth.iter().enumerate() {
                assert!((p.get(i) - truth).abs() < 1e-13, "{name} {i}: {} {truth}", p.get(i));
            }
        }
        if let Some(buffer) = sgd.vector("momentum_buffer") {
            for (i, truth) in read(&format!("{name}.momentum_buffer")).iter().enumerate() {
                assert!((buffer.get(i) - truth).abs() < 1e-12, "{name} {i}");
            }
        }
    }
}

#[test]
fn every_kind_does_what_it_says_and_resumes_to_the_bit() {
    for text in
        ["sgd:momentum=0.9,weight_decay=0.1", "sgd:momentum=0.8,nesterov=true", "sgd:weight_decay=0.1"]
    {
        says_what_it_does(&Optimizer::parse(text, None).unwrap());
        resumes(&["--optimizer", text]);
    }
}

fn command(folder: &Path, arguments: &[&str]) -> Output {
    warmlab(folder, &[arguments, &["--run", "runs/r", "--batch-size", "2", "--dtype", "f64"]].concat())
}

fn value(rows: &[Row], quantity: &str, scope: &str) -> Option<f64> {
    rows.iter().find(|row| &*row.quantity == quantity && &*row.scope == scope).and_then(|row| row.value)
}

#[test]
fn a_run_is_measured_as_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let output = train(folder.path(), "r", HEAVY);
    assert!(output.status.success(), "{output:?}");
    for (name, more) in [
        ("attention", &[][..]),
        ("angular", &[]),
        ("snr", &[]),
        ("sharpness", &[]),
        ("hessian", &["--top", "1", "--no-completeness"]),
        ("hessian", &["--operator", "ggn", "--top", "1", "--no-completeness"]),
    ] {
        let output = command(folder.path(), &[&[name, "--ckpt", "step_4"], more].concat());
        assert!(output.status.success(), "{name}: {output:?}");
    }
    let rows =
        |name: &str| read_parquet(&report_of(&folder.path().join("reports/r").join(name), 4)).unwrap().rows;
    // 2(1+μ)/η, and λ adds to the curvature
    let sharpness = rows("sharpness");
    let near = |rows: &[Row], quantity: &str, truth: f64| {
        let found = value(rows, quantity, "all").unwrap();
        assert!((found / truth - 1.0).abs() < 1e-9, "{quantity}: {found} {truth}");
    };
    near(&sharpness, "sharpness/threshold", 76.0);
    near(&sharpness, "sharpness/threshold_decay", 75.99);
    near(&sharpness, "sharpness/two_over_lr", 40.0);
    for adams in ["sharpness/threshold_t", "sharpness/gradient_adam"] {
        assert!(value(&sharpness, adams, "all").is_none(), "{adams}");
    }
    assert!(value(&sharpness, "sharpness/directional", "all").is_some());

    // the last update as the weights before and after it have it
    let at = |step: u64| {
        let path = folder.path().join(format!("runs/r/checkpoints/step_{step}"));
        run::open(&path, DType::F64).unwrap()
    };
    let (three, four) = (at(3), at(4));
    let angular = rows("angular");
    for part in Part::all(&four.config.parameters()) {
        let range = part.start..part.start + part.len();
        let (a, b) = (&three.parameters, &four.parameters);
        let (aa, bb, ab) = (a.dot(a, range.clone()), b.dot(b, range.clone()), a.dot(b, range.clone()));
        let angle = (aa * bb - ab * ab).max(0.0).sqrt().atan2(ab);
        let found = value(&angular, "update/angle", &part.name).unwrap();
        assert!((found - angle).abs() < 1e-6 * angle + 1e-7, "{}: {found} {angle}", part.name);
    }
    // √(2ηλ/(1+μ))
    near(&angular, "update/angle_equilibrium", (2.0f64 * 0.05 * 0.01 / 1.9).sqrt());

    // decay is part of this buffer, which is then no sum of gradients
    assert!(value(&rows("snr"), "snr/gradient_momentum_cos", "all").is_none());
}

#[test]
fn the_gradient_is_compared_with_the_buffer() {
    let folder = tempfile::tempdir().unwrap();
    let told =
        ["--optimizer", "sgd:momentum=0.9", "--learning-rate", "0.05", "--warmup", "2", "--dtype", "f64"];
    assert!(train(folder.path(), "r", &told).status.success());
    let checkpoint = run::open(&folder.path().join("runs/r/checkpoints/step_4"), DType::F64).unwrap();
    let buffer = checkpoint.optimizer.as_ref().unwrap().vectors["momentum_buffer"].clone();
    let corpus = Corpus::open("synthetic", &[]).unwrap();
    let batch = sampling::sequential(corpus.tokens(Split::Val), 0, 2, 16).unwrap();
    let snapshot = Snapshot::new(checkpoint, batch, settings(DType::F64, None, 1));
    let (_, g) = snapshot.gradient().unwrap();
    let dot = |x: &Values, y: &Values| x.dot(y, 0..g.len());
    let cosine = dot(g, &buffer) / (dot(g, g) * dot(&buffer, &buffer)).sqrt();
    let snr = measure(analysis("snr"), &snapshot, &[("no-curvature", "true")]);
    let found = value(&snr, "snr/gradient_momentum_cos", "all").unwrap();
    assert!((found - cosine).abs() < 1e-9, "{found} {cosine}");
    assert!(value(&snr, "snr/phi_momentum", "all").is_none());
    assert!(measure(analysis("angular"), &snapshot, &[]).iter().any(|row| &*row.quantity == "update/rrc"));
}

#[test]
fn what_is_adams_alone_is_refused_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    assert!(train(folder.path(), "r", HEAVY).status.success());
    for arguments in [
        &["adam"][..],
        &["hessian", "--operator", "preconditioned", "--top", "1"],
        &["hessian", "--operator", "preconditioned-next", "--top", "1"],
    ] {
        let output = command(folder.path(), &[arguments, &["--ckpt", "step_4"]].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {output:?}");
        assert!(stderr(&output).contains("the checkpoint's optimizer is sgd, which "), "{output:?}");
    }
    for tracked in ["adam", "preconditioned"] {
        let output = train(folder.path(), "other", &[HEAVY, &["--track", tracked]].concat());
        assert_eq!(output.status.code(), Some(2), "{tracked} {output:?}");
        assert!(stderr(&output).contains("the run's optimizer is sgd, which "), "{output:?}");
        assert!(!folder.path().join("runs/other").exists());
    }
    let output =
        train(folder.path(), "tracked", &[HEAVY, &["--track", "angular,snr,hessian,attention"]].concat());
    assert!(output.status.success(), "{output:?}");
}
