//! The number of threads changes no number beyond rounding, and the same number of threads changes none at all.

use std::collections::BTreeMap;
use std::fs;

use crate::support::{stdout, train, warmlab};

#[test]
fn numbers_depend_on_the_number_of_threads_by_rounding_alone() {
    let folder = tempfile::tempdir().unwrap();
    let weights = |name: &str, threads: &str| {
        let more = ["--steps", "12", "--dtype", "f64", "--threads", threads, "--track", "adam,hessian"];
        assert!(train(folder.path(), name, &more).status.success());
        fs::read(folder.path().join(format!("runs/{name}/checkpoints/step_12/model.safetensors"))).unwrap()
    };
    let one = weights("a", "1");
    assert!(one == weights("b", "1"));
    assert!(weights("c", "2") == weights("d", "2"));

    let analyses: [&[&str]; 4] = [
        &["hessian", "--operator", "hessian", "--operator", "preconditioned", "--trace"],
        &["adam"],
        &["snr"],
        &["attention"],
    ];
    for analysis in analyses {
        let measure = |threads: &str| {
            let more = ["--ckpt", "runs/a/checkpoints/step_12", "--dtype", "f64", "--format", "csv"];
            let more = [&more[..], &["--threads", threads, "--allow-unconverged"]].concat();
            let output = warmlab(folder.path(), &[analysis, &more].concat());
            assert!(output.status.success(), "{output:?}");
            stdout(&output)
        };
        let (one, two) = (measure("1"), measure("2"));
        assert!(one == measure("1") && two == measure("2"), "{analysis:?}");
        let numbers = |text: &str| -> BTreeMap<String, (f64, f64)> {
            let mut reader = csv::Reader::from_reader(text.as_bytes());
            let columns = reader.headers().unwrap().clone();
            let at = |name: &str| columns.iter().position(|column| column == name).unwrap();
            let places = ["quantity", "scope", "layer", "head", "index", "probe", "parameter"].map(at);
            let (value, uncertainty) = (at("value"), at("uncertainty"));
            let pair = |row: csv::StringRecord| {
                let key: Vec<&str> = places.iter().map(|&i| &row[i]).collect();
                (key.join(" "), (row[value].parse().unwrap(), row[uncertainty].parse().unwrap_or(0.0)))
            };
            reader.records().map(|row| pair(row.unwrap())).collect()
        };
        let (one, two) = (numbers(&one), numbers(&two));
        assert_eq!(one.len(), two.len());
        for (key, (a, error)) in &one {
            let b = two[key].0;
            // sums of a thousand terms in another order; what is known less well differs within that
            assert!((a - b).abs() <= 1e-9 * (1.0 + a.abs()) + error, "{key}: {a} {b}");
        }
    }
}
