//! `--memory` is kept: the peak of a process that fills what its plan allows.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{train, warmlab};

/// The peak that the newest command of `folder` wrote down, in MiB.
fn peak(folder: &Path) -> f64 {
    let mut found = None;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found = found.or(Some(peak(&path)).filter(|peak| *peak > 0.0));
        } else if path.extension().is_some_and(|e| e == "json") {
            let command: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            found = command["peak_memory_bytes"].as_f64().map(|bytes| bytes / f64::from(1 << 20));
        }
    }
    found.unwrap_or(0.0)
}

/// 1.7M parameters and few tokens: memory is vectors, and the basis takes all there is.
#[test]
fn the_peak_of_every_operator_is_what_was_planned() {
    let folder = tempfile::tempdir().unwrap();
    let shape = ["--n-layer", "2", "--n-embd", "256", "--n-head", "4", "--steps", "1", "--save-at", "1"];
    let output = train(folder.path(), "r", &shape);
    assert!(output.status.success(), "{output:?}");
    for operator in ["hessian", "ggn", "preconditioned", "preconditioned-next"] {
        let out = folder.path().join(operator);
        let search =
            ["--top", "8", "--bottom", "0", "--tol", "1e-9", "--max-matvecs", "45", "--no-completeness"];
        let arguments = ["hessian", "--ckpt", "step_1", "--operator", operator, "--memory", "300MiB"];
        let more = ["--batch-size", "2", "--allow-unconverged", "--out", out.to_str().unwrap()];
        let output = warmlab(folder.path(), &[&arguments[..], &search, &more].concat());
        assert!(output.status.success(), "{output:?}");
        // the plan leaves a sixteenth to what the allocator cannot hand out
        let planned = 300.0 * 15.0 / 16.0;
        let peak = peak(&out);
        // 20 MiB more or less of the process itself, which weighs less in a plan of more
        assert!(
            (planned - 30.0..planned + 30.0).contains(&peak),
            "{operator}: {peak} MiB of {planned} planned"
        );
    }
}
