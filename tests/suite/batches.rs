//! `--repeat-batches` and `--sampling random` against batches cut from the tokens here, each measured alone.

use std::fs;
use std::path::Path;

use rand::RngExt;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;
use warmlab::base::random::stream;

use crate::support::{stdout, train, warmlab};

const SEQUENCES: usize = 3;
const SEQ: usize = 8;

/// 400 tokens below 20, as a file and as numbers.
fn tokens(folder: &Path) -> Vec<u16> {
    let random = &mut stream(5, 0, "tokens of a test");
    let ids: Vec<u16> = (0..400).map(|_| random.random_range(0..20)).collect();
    let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    fs::write(folder.join("tokens.bin"), bytes).unwrap();
    ids
}

/// Sequences that begin at `starts`, as a batch file.
fn batch_file(folder: &Path, tokens: &[u16], starts: &[usize]) -> String {
    let ids = |shift: usize| -> Vec<u8> {
        let all = starts.iter().flat_map(|start| &tokens[start + shift..start + shift + SEQ]);
        all.flat_map(|id| i64::from(*id).to_le_bytes()).collect()
    };
    let (x, y) = (ids(0), ids(1));
    let shape = vec![starts.len(), SEQ];
    let x = TensorView::new(Dtype::I64, shape.clone(), &x).unwrap();
    let y = TensorView::new(Dtype::I64, shape, &y).unwrap();
    let path = folder.join(format!("batch-{}.safetensors", starts[0]));
    fs::write(&path, safetensors::serialize([("x", x), ("y", y)], None).unwrap()).unwrap();
    path.display().to_string()
}

fn rows(folder: &Path, analysis: &str, more: &[&str]) -> Vec<Value> {
    let base = [analysis, "--ckpt", "step_12", "--dtype", "f64", "--format", "json", "--allow-unconverged"];
    let output = warmlab(folder, &[&base[..], more].concat());
    assert!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    report["rows"].as_array().unwrap().clone()
}

fn number(row: &Value, column: &str) -> Option<f64> {
    row[column].as_f64()
}

/// A run whose checkpoint is measured.
fn run() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let settings = ["--steps", "12", "--vocab-size", "27", "--save-at", "12"];
    assert!(train(folder.path(), "r", &settings).status.success());
    folder
}

#[test]
fn repeated_batches_are_the_mean_of_each_measured_alone() {
    let folder = run();
    let tokens = tokens(folder.path());
    let starts =
        |batch: usize| -> Vec<usize> { (0..SEQUENCES).map(|i| (batch * SEQUENCES + i) * SEQ).collect() };
    let size = ["--data", "tokens.bin", "--batch-size", "3", "--block-size", "8"];
    let operators = ["--top", "2", "--tol", "1e-9", "--operator", "hessian", "--operator", "preconditioned"];
    for (analysis, own) in
        [("hessian", &operators[..]), ("sharpness", &[]), ("attention", &[]), ("adam", &[]), ("snr", &[])]
    {
        let together = rows(folder.path(), analysis, &[&size[..], &["--repeat-batches", "3"], own].concat());
        let alone: Vec<Vec<Value>> = (0..3)
            .map(|batch| {
                let file = batch_file(folder.path(), &tokens, &starts(batch));
                rows(folder.path(), analysis, &[&["--batch", &file][..], own].concat())
            })
            .collect();
        let mut means = 0;
        for (i, row) in together.iter().enumerate() {
            let each: Vec<&Value> = alone.iter().map(|rows| &rows[i]).collect();
            assert!(
                each.iter().all(|one| one["quantity"] == row["quantity"] && one["scope"] == row["scope"])
            );
            let value = number(row, "value").unwrap();
            if row["batch"].is_null() {
                assert!(row["sampling_error"].is_null(), "{row}");
                assert_eq!(Some(value), number(each[0], "value"), "{row}");
                continue;
            }
            let values: Vec<f64> = each.iter().map(|one| number(one, "value").unwrap()).collect();
            let mean = values.iter().sum::<f64>() / 3.0;
            // of the mean of three: √(Σ(x−x̄)²/(2·3))
            let error = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 6.0).sqrt();
            let size = values.iter().fold(1e-12, |most: f64, x| most.max(x.abs()));
            assert!((value - mean).abs() < 1e-9 * size, "{analysis}: {row} {values:?}");
            let found = number(row, "sampling_error").unwrap();
            assert!((found - error).abs() < 1e-7 * size, "{analysis}: {row} {error}");
            assert_ne!(row["batch"], each[0]["batch"]);
            means += 1;
        }
        assert!(means > 2, "{analysis}");
    }
}

#[test]
fn random_sequences_are_those_at_the_offsets_of_the_seed() {
    let folder = run();
    let tokens = tokens(folder.path());
    let size = ["--data", "tokens.bin", "--batch-size", "3", "--block-size", "8", "--sampling", "random"];
    let mut seen = Vec::new();
    for seed in [1337u64, 3] {
        let random = &mut stream(seed, 0, "measured batch");
        // a start leaves room for the last target
        let starts: Vec<usize> = (0..SEQUENCES).map(|_| random.random_range(0..tokens.len() - SEQ)).collect();
        let file = batch_file(folder.path(), &tokens, &starts);
        let seed = seed.to_string();
        let drawn = rows(folder.path(), "sharpness", &[&size[..], &["--seed", &seed]].concat());
        let cut = rows(folder.path(), "sharpness", &["--batch", &file, "--seed", &seed]);
        assert_eq!(drawn, cut);
        seen.push(drawn[0]["batch"].clone());
    }
    assert_ne!(seen[0], seen[1]);
    let repeated = rows(folder.path(), "sharpness", &[&size[..], &["--repeat-batches", "4"]].concat());
    assert!(repeated.iter().any(|row| number(row, "sampling_error").is_some_and(|error| error > 0.0)));
}
