//! The checkpoints of a real nanoGPT run, against ARPACK on PyTorch's exact products in float64.

use serde_json::Value;

use crate::support::{golden, stdout, warmlab};

/// The reference of a step and the rows of an analysis of its checkpoint.
fn measure(step: u64, dtype: &str, analysis: &str, more: &[&str]) -> Option<(Value, Vec<Value>)> {
    let run = golden("nanogpt-run")?;
    let ckpt = run.join(format!("warm/step_{step}.pt"));
    let folder = tempfile::tempdir().unwrap();
    let (ckpt, data) = (ckpt.display().to_string(), run.display().to_string());
    let arguments = [analysis, "--ckpt", &ckpt, "--data", &data, "--dtype", dtype, "--format", "json"];
    // nanoGPT keeps no log of gradient norms: what contains the clip factor is unresolved
    let arguments = [&arguments[..], &["--allow-unconverged"]].concat();
    let output = warmlab(folder.path(), &[&arguments[..], more].concat());
    assert!(output.status.success(), "{output:?}");
    let reference = std::fs::read_to_string(run.join(format!("warm/step_{step}.reference.json"))).unwrap();
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    Some((serde_json::from_str(&reference).unwrap(), report["rows"].as_array().unwrap().clone()))
}

fn values(rows: &[Value], quantity: &str) -> Vec<f64> {
    rows.iter().filter(|r| r["quantity"] == quantity).map(|r| r["value"].as_f64().unwrap()).collect()
}

fn check(step: u64, dtype: &str, close: f64) {
    let tol = if dtype == "f64" { "1e-6" } else { "1e-4" };
    let operators = ["--operator", "hessian", "--operator", "preconditioned", "--tol", tol];
    let Some((reference, rows)) = measure(step, dtype, "hessian", &operators) else { return };
    let compare = |quantity: &str, name: &str, size: f64| {
        let list = |v: &Value| v.as_array().map_or(vec![v.clone()], Clone::clone);
        let truth: Vec<f64> = list(&reference[name]).iter().map(|v| v.as_f64().unwrap()).collect();
        for (found, truth) in values(&rows, quantity).iter().zip(&truth) {
            assert!((found - truth).abs() < close * size, "step {step} {dtype} {quantity}: {found} {truth}");
        }
        assert!(values(&rows, quantity).len() >= truth.len());
    };
    let first = |name: &str| reference[name][0].as_f64().unwrap();
    compare("loss/mean", "loss", reference["loss"].as_f64().unwrap());
    compare("gradient/norm", "grad_norm", reference["grad_norm"].as_f64().unwrap());
    compare("hessian/lambda", "hessian_top5", first("hessian_top5"));
    compare("hessian/lambda_min", "hessian_min", first("hessian_top5"));
    compare("preconditioned/lambda", "preconditioned_top3", first("preconditioned_top3"));
    compare("sharpness/threshold", "stability_threshold", reference["stability_threshold"].as_f64().unwrap());
}

#[test]
fn single_precision_agrees_at_both_steps() {
    check(500, "f32", 1e-4);
    check(100, "f32", 1e-4);
}

#[test]
fn double_precision_agrees() {
    check(500, "f64", 1e-7);
}

/// gᵀHg/gᵀg, and the thresholds at the rate of the next update.
#[test]
fn curvature_along_the_gradient_agrees() {
    for (step, dtype, close) in [(100, "f64", 1e-9), (500, "f64", 1e-9), (500, "f32", 1e-4)] {
        let Some((reference, rows)) = measure(step, dtype, "sharpness", &[]) else { return };
        for (quantity, name) in [
            ("sharpness/gradient", "gradient_rayleigh"),
            ("sharpness/threshold", "stability_threshold"),
            ("loss/mean", "loss"),
        ] {
            let (found, truth) = (values(&rows, quantity)[0], reference[name].as_f64().unwrap());
            assert!((found / truth - 1.0).abs() < close, "{step} {dtype} {quantity}: {found} {truth}");
        }
    }
}

#[test]
fn a_checkpoint_is_described_without_pytorch() {
    let Some(run) = golden("nanogpt-run") else { return };
    let output = warmlab(&run, &["inspect", "warm/step_500.pt"]);
    let text = stdout(&output);
    for expected in [
        "nanogpt",
        "804096",
        "500 (updates applied)",
        "n_layer 4",
        "beta2 0.99",
        "tied to wte",
        "with moments",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    // the reference's rates of the last and the next update
    assert!(text.contains("9.0511322922837") && text.contains("9.05569755569060"), "{text}");
}
