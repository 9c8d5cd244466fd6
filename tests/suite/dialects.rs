//! Checkpoints in every dialect of nanoGPT, its forks and PyTorch's optimizers, written by PyTorch
//! (tests/fixtures/checkpoints.py) with what the last update really was beside them.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::LazyLock;

use flate2::read::GzDecoder;
use serde_json::Value;
use warmlab::base::row::{Row, Status};
use warmlab::base::values::DType;
use warmlab::data::Batch;
use warmlab::run::{self, Checkpoint};
use warmlab::snapshot::Snapshot;

use crate::support::{analysis, batch, measure, settings, stderr, stdout, warmlab};

static FIXTURES: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let (folder, source) = (tempfile::tempdir().unwrap(), source());
    let packed = std::fs::File::open(source.join("nanogpt.tar.gz")).unwrap();
    tar::Archive::new(GzDecoder::new(packed)).unpack(folder.path()).unwrap();
    std::fs::copy(source.join("legacy.pt"), folder.path().join("legacy.pt")).unwrap();
    folder
});

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn path(name: &str) -> PathBuf {
    FIXTURES.path().join(format!("{name}.pt"))
}

fn open(name: &str) -> Checkpoint {
    run::open(&path(name), DType::F64).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn truth(name: &str, key: &str) -> f64 {
    let text = std::fs::read_to_string(source().join("nanogpt.json")).unwrap();
    let numbers: Value = serde_json::from_str(&text).unwrap();
    let name = if name == "legacy" { "plain" } else { name };
    numbers[name][key].as_f64().unwrap_or_else(|| panic!("{name} {key}"))
}

fn rows(name: &str, of: &str) -> Vec<Row> {
    let checkpoint = open(name);
    let batch = batch(&checkpoint.config, 3, 3, 1);
    let snapshot = Snapshot::new(checkpoint, batch, settings(DType::F64, None, 1));
    measure(analysis(of), &snapshot, &[])
}

/// The row of the whole model.
fn whole<'a>(rows: &'a [Row], quantity: &str) -> Option<&'a Row> {
    rows.iter().find(|row| &*row.quantity == quantity && &*row.scope == "all")
}

/// The binary on a dialect, with a batch of its own.
fn command(name: &str, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t.bin"), [0, 0, 1, 0, 2, 0, 3, 0].repeat(20)).unwrap();
    let ckpt = path(name).display().to_string();
    let common = ["--ckpt", &ckpt, "--data", "t.bin", "--batch-size", "2", "--format", "json"];
    warmlab(folder.path(), &[arguments, &common].concat())
}

const LIKE_PLAIN: [&str; 16] = [
    "legacy",
    "prefix-module",
    "prefix-_orig_mod",
    "prefix-module-_orig_mod",
    "prefix-_orig_mod-module",
    "no-bias-key",
    "no-vocab",
    "head-only",
    "step-int",
    "step-float",
    "step-shape1",
    "lr-numpy",
    "lr-tensor",
    "sizes-numpy",
    "strided",
    "no-optimizer",
];

#[test]
fn what_says_the_same_in_other_words_is_read_as_the_same() {
    let plain = open("plain");
    for name in LIKE_PLAIN {
        let other = open(name);
        assert_eq!(other.config, plain.config, "{name}");
        assert_eq!((other.step, &other.parameters), (10, &plain.parameters), "{name}");
        if name != "no-optimizer" {
            assert_eq!(other.optimizer, plain.optimizer, "{name}");
        }
    }
    assert!(open("old-order").notes.iter().any(|note| note.contains("before May 2023")));
    assert!(open("plain").notes.is_empty(), "{:?}", plain.notes);
}

#[test]
fn last_updates_agree_with_the_weights_pytorch_had_before_and_after() {
    let names = [
        "plain",
        "legacy",
        "nobias",
        "old-order",
        "skipped",
        "law-old",
        "law-third",
        "two-rates",
        "one-group",
        "amsgrad",
        "adam",
        "lr-numpy",
    ];
    for name in names {
        let rows = rows(name, "angular");
        for (quantity, key) in [("update/relative", "relative"), ("update/angle", "angle")] {
            let (found, truth) = (whole(&rows, quantity).unwrap(), truth(name, key));
            let error = (found.value.unwrap() / truth - 1.0).abs();
            assert!(error < 2e-4, "{name} {quantity}: {found:?}, PyTorch {truth}");
            assert_eq!(found.status, Status::Ok, "{name} {quantity}");
        }
    }
}

#[test]
fn the_second_moment_is_corrected_by_adams_own_count() {
    for name in ["plain", "nobias", "old-order", "skipped", "amsgrad", "adam", "radam", "nadam", "two-rates"]
    {
        let rows = rows(name, "adam");
        let (found, truth) =
            (whole(&rows, "adam/v_hat_mean").unwrap().value.unwrap(), truth(name, "v_hat_mean"));
        assert!((found / truth - 1.0).abs() < 1e-6, "{name}: {found}, PyTorch {truth}");
    }
    let skipped = open("skipped");
    assert_eq!((skipped.step, skipped.optimizer.unwrap().updates), (10, 7));
    assert!(skipped.notes.contains(&"optimizer made 7 of 10 updates (3 skipped)".to_string()));
}

/// The second moment that updates divide by, corrected by Adam's own count.
#[test]
fn preconditioned_curvature_agrees_with_pytorchs_dense_matrix() {
    for name in ["plain", "nobias", "skipped", "amsgrad", "adam", "two-rates", "old-order"] {
        let checkpoint = open(name);
        let batch = Batch::new(vec![0, 1, 2, 3, 0, 1], vec![1, 2, 3, 0, 1, 2], 3);
        let snapshot = Snapshot::new(checkpoint, batch, settings(DType::F64, None, 1));
        let options = [("operator", "preconditioned"), ("exact", "true"), ("top", "1")];
        let rows = measure(analysis("hessian"), &snapshot, &options);
        let first = rows.iter().find(|row| &*row.quantity == "preconditioned/lambda").unwrap();
        let (found, truth) = (first.value.unwrap(), truth(name, "preconditioned"));
        assert!((found / truth - 1.0).abs() < 1e-8, "{name}: {found}, PyTorch {truth}");
    }
}

#[test]
fn an_optimizer_that_is_not_adam_is_refused_by_name_where_its_rule_matters() {
    for (name, called) in [("radam", "radam"), ("nadam", "nadam"), ("sgd", "sgd"), ("momentum", "sgd")] {
        for arguments in [&["angular"][..], &["hessian", "--operator", "preconditioned", "--top", "1"]] {
            let output = command(name, arguments);
            let text = stderr(&output);
            assert_eq!(output.status.code(), Some(2), "{name} {arguments:?}: {text}");
            assert!(
                text.contains(&format!("error: the checkpoint's optimizer is {called}")),
                "{name}: {text}"
            );
        }
        let output = command(name, &["hessian", "--top", "1", "--bottom", "0", "--no-completeness"]);
        assert!(output.status.success(), "{name}: {}", stderr(&output));
    }
    let rows = rows("radam", "adam");
    assert!(whole(&rows, "adam/v_mean").is_some() && whole(&rows, "adam/update_rms").is_none());
}

#[test]
fn an_optimizer_that_cannot_be_used_does_not_take_the_weights_along() {
    let plain = open("plain");
    for (name, reason) in [
        ("three-groups", "groups of 6, 10, 10 parameters"),
        ("no-state-for-one", "has no state in the optimizer"),
        ("disagreeing", "was updated 9 times"),
        ("nan-moment", "holds NaN at [1, 0]: 2 of its numbers are not finite"),
        ("two-betas", "different betas"),
        ("no-optimizer", "holds no optimizer state"),
        ("untied", "holds no optimizer state"),
        ("build-nanogpt", "holds no optimizer state"),
    ] {
        let checkpoint = open(name);
        assert!(checkpoint.optimizer.is_none(), "{name}");
        assert!(checkpoint.notes.iter().any(|note| note.contains(reason)), "{name}: {:?}", checkpoint.notes);
        if !["two-betas", "untied"].contains(&name) {
            assert_eq!(checkpoint.parameters, plain.parameters, "{name}");
        }
        let output = command(name, &["adam"]);
        assert_eq!(output.status.code(), Some(2), "{name}");
        let text = stderr(&output);
        let error = text.lines().find(|line| line.starts_with("error:")).unwrap();
        assert!(error.contains(reason) && !text.contains("state.json"), "{name}: {text}");
        let output = command(name, &["hessian", "--top", "1", "--bottom", "0", "--no-completeness"]);
        assert!(output.status.success(), "{name}: {}", stderr(&output));
    }
}

#[test]
fn a_rate_that_had_to_be_guessed_is_unresolved_and_said() {
    for name in ["rate-unknown", "warmup-is-decay"] {
        let rows = rows(name, "angular");
        for quantity in
            ["update/angle", "update/relative", "update/angle_neuron_rms", "update/angle_equilibrium"]
        {
            let row = rows.iter().find(|row| &*row.quantity == quantity).unwrap();
            assert!(row.value.is_some() && row.status == Status::Unresolved, "{name}: {row:?}");
        }
        // the direction of the next update does not hang on the last rate
        assert_eq!(whole(&rows, "gradient/norm").unwrap().status, Status::Ok);
    }
    let output = command("rate-unknown", &["angular"]);
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let notes = report["meta"]["warmlab.checkpoint_notes"].as_str().unwrap();
    assert!(notes.contains("the rate of the last update is not known"), "{notes}");
    assert!(stderr(&output).contains("is not known"), "{}", stderr(&output));
}

#[test]
fn moments_that_vanished_in_half_precision_are_unresolved() {
    let checkpoint = open("half");
    assert!(checkpoint.notes.iter().any(|note| note.contains("float16") && note.contains("vanished")));
    for (of, quantity) in
        [("adam", "adam/update_rms"), ("angular", "update/angle"), ("snr", "snr/phi_momentum")]
    {
        let rows = rows("half", of);
        assert_eq!(whole(&rows, quantity).unwrap().status, Status::Unresolved, "{quantity}");
    }
    let rows = rows("bfloat16", "adam");
    assert_eq!(whole(&rows, "adam/update_rms").unwrap().status, Status::Ok);
}

#[test]
fn rates_that_differ_have_no_one_threshold() {
    let rows = rows("two-rates", "sharpness");
    assert!(whole(&rows, "sharpness/threshold").is_none() && whole(&rows, "sharpness/gradient").is_some());
}

#[test]
fn heads_and_activations_are_read_as_they_are() {
    let (plain, untied, build) = (open("plain"), open("untied"), open("build-nanogpt"));
    assert!(!untied.config.tied_lm_head && plain.config.tied_lm_head);
    assert_eq!(untied.config.num_parameters(), plain.config.num_parameters() + 4 * 2);
    let tanh = warmlab::architecture::Activation::GeluTanh;
    assert_eq!(build.config, warmlab::architecture::GptConfig { activation: tanh, ..plain.config });
    assert_eq!(build.step, 10);
}

#[test]
fn other_files_are_named_for_what_they_are_and_their_tensors_listed() {
    for (name, words) in [("hugging-face", "Hugging Face GPT-2"), ("bark", "two vocabularies")] {
        let output = command(name, &["hessian"]);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(words), "{name}: {}", stderr(&output));
        let output = warmlab(FIXTURES.path(), &["inspect", &format!("{name}.pt")]);
        assert!(output.status.success() && stderr(&output).contains(words));
        let text = stdout(&output);
        assert!(
            text.contains("transformer.wte.weight") && text.contains("float32") && text.contains("4 x 2"),
            "{text}"
        );
    }
}
