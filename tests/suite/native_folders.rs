//! Native folders that differ from what warmlab writes: other optimizers, other names, damaged parts.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;

use crate::support::{stderr, stdout, warmlab};

type Tensor = (Dtype, Vec<usize>, Vec<u8>);

/// A copy of a fixture's checkpoint and its batch.
fn copy() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) =
        (Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiny-bias"), folder.path().join("c"));
    fs::create_dir(&to).unwrap();
    for name in
        ["config.json", "state.json", "model.safetensors", "optimizer.safetensors", "batch.safetensors"]
    {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
    fs::rename(to.join("batch.safetensors"), folder.path().join("batch.safetensors")).unwrap();
    (folder, to)
}

fn change_state(folder: &Path, change: impl Fn(&mut Value)) {
    let path = folder.join("state.json");
    let mut state: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut state);
    fs::write(path, serde_json::to_vec(&state).unwrap()).unwrap();
}

fn change_tensors(path: &Path, change: impl Fn(&mut HashMap<String, Tensor>)) {
    let bytes = fs::read(path).unwrap();
    let mut tensors: HashMap<String, Tensor> = SafeTensors::deserialize(&bytes)
        .unwrap()
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, (view.dtype(), view.shape().to_vec(), view.data().to_vec())))
        .collect();
    change(&mut tensors);
    let views = tensors.iter().map(|(name, (dtype, shape, data))| {
        (name.clone(), TensorView::new(*dtype, shape.clone(), data).unwrap())
    });
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// Rows of an analysis, or its error.
fn run(folder: &Path, arguments: &[&str]) -> Result<(Vec<Value>, String), String> {
    let common = ["--ckpt", "c", "--batch", "batch.safetensors", "--dtype", "f64", "--format", "json"];
    let output = warmlab(folder, &[arguments, &common].concat());
    let text = stderr(&output);
    if output.status.code() == Some(2) {
        return Err(text.lines().find(|line| line.starts_with("error:")).unwrap().to_string());
    }
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    Ok((report["rows"].as_array().unwrap().clone(), text))
}

fn value(rows: &[Value], quantity: &str) -> Option<f64> {
    rows.iter().find(|row| row["quantity"] == quantity && row["scope"] == "all")?["value"].as_f64()
}

const HESSIAN: [&str; 5] = ["hessian", "--top", "1", "--bottom", "0"];

#[test]
fn another_optimizer_is_not_measured_as_adamw() {
    let (folder, checkpoint) = copy();
    let (adamw, _) = run(folder.path(), &["adam"]).unwrap();
    for name in ["radam", "nadam", "stable-adamw"] {
        change_state(&checkpoint, |state| state["optimizer"]["name"] = name.into());
        let called = format!("the checkpoint's optimizer is {name}");
        assert!(run(folder.path(), &["angular"]).unwrap_err().contains(&called));
        let preconditioned = [&HESSIAN[..], &["--operator", "preconditioned"]].concat();
        assert!(run(folder.path(), &preconditioned).unwrap_err().contains(&called));
        let (rows, said) = run(folder.path(), &["adam"]).unwrap();
        assert_eq!(value(&rows, "adam/v_hat_mean"), value(&adamw, "adam/v_hat_mean"));
        assert!(value(&rows, "adam/update_rms").is_none() && said.contains(&called), "{said}");
        assert!(run(folder.path(), &HESSIAN).is_ok());
    }
    // decay in the gradient is in the moments: the last update is known, the next is not
    change_state(&checkpoint, |state| state["optimizer"]["name"] = "adam".into());
    let (rows, _) = run(folder.path(), &["adam"]).unwrap();
    assert_eq!(value(&rows, "adam/update_rms"), value(&adamw, "adam/update_rms"));
    assert!(value(&rows, "adam/rms_ratio").is_none() && value(&adamw, "adam/rms_ratio").is_some());
}

#[test]
fn adams_own_count_may_be_stated() {
    let (folder, checkpoint) = copy();
    let (before, _) = run(folder.path(), &["adam"]).unwrap();
    change_state(&checkpoint, |state| state["optimizer"]["updates"] = 4.into());
    let (after, _) = run(folder.path(), &["adam"]).unwrap();
    let ratio = value(&after, "adam/v_hat_mean").unwrap() / value(&before, "adam/v_hat_mean").unwrap();
    let expected = (1.0 - 0.95f64.powi(7)) / (1.0 - 0.95f64.powi(4));
    assert!((ratio / expected - 1.0).abs() < 1e-12);
    assert_eq!(after[0]["step"], 7);
}

#[test]
fn a_damaged_optimizer_stops_only_what_needs_it() {
    let damages: [(&str, fn(&Path)); 5] = [
        ("optimizer.safetensors", |c| {
            let path = c.join("optimizer.safetensors");
            let bytes = fs::read(&path).unwrap();
            fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("exp_avg_sq.transformer.wpe.weight", |c| {
            change_tensors(&c.join("optimizer.safetensors"), |tensors| {
                let data = &mut tensors.get_mut("exp_avg_sq.transformer.wpe.weight").unwrap().2;
                data[..8].copy_from_slice(&f64::NAN.to_le_bytes());
            });
        }),
        ("exp_avg.transformer.wpe.weight` is missing", |c| {
            change_tensors(&c.join("optimizer.safetensors"), |tensors| {
                tensors.remove("exp_avg.transformer.wpe.weight");
            });
        }),
        ("without `beta2`", |c| {
            change_state(c, |state| {
                state["optimizer"].as_object_mut().unwrap().remove("beta2");
            });
        }),
        ("does not say which optimizer the moments are of", |c| {
            change_state(c, |state| {
                state.as_object_mut().unwrap().remove("optimizer");
            });
        }),
    ];
    for (reason, damage) in damages {
        let (folder, checkpoint) = copy();
        let (whole, _) = run(folder.path(), &HESSIAN).unwrap();
        damage(&checkpoint);
        let (rows, said) = run(folder.path(), &HESSIAN).unwrap();
        assert_eq!(value(&rows, "hessian/lambda"), value(&whole, "hessian/lambda"), "{reason}");
        assert!(said.contains(reason), "{reason}: {said}");
        let error = run(folder.path(), &["adam"]).unwrap_err();
        assert!(error.contains(reason), "{reason}: {error}");
        let output = warmlab(folder.path(), &["inspect", "c"]);
        assert!(output.status.success() && stdout(&output).contains(reason), "{output:?}");
    }
}

#[test]
fn both_names_of_a_tied_matrix_are_read() {
    let (folder, checkpoint) = copy();
    let model = checkpoint.join("model.safetensors");
    let (whole, _) = run(folder.path(), &HESSIAN).unwrap();
    let add = |tensors: &mut HashMap<String, Tensor>| {
        let wte = tensors["transformer.wte.weight"].clone();
        tensors.insert("lm_head.weight".into(), wte);
    };
    let same = |folder: &Path| {
        let (rows, _) = run(folder, &HESSIAN).unwrap();
        assert_eq!(value(&rows, "hessian/lambda"), value(&whole, "hessian/lambda"));
    };
    change_tensors(&model, add);
    same(folder.path());
    // safetensors.torch.save_model keeps one name of the two, whichever comes first
    change_tensors(&model, |tensors| {
        tensors.remove("transformer.wte.weight");
    });
    same(folder.path());
    assert!(run(folder.path(), &["adam"]).is_ok());
    change_tensors(&model, |tensors| {
        let mut head = tensors["lm_head.weight"].clone();
        tensors.insert("transformer.wte.weight".into(), head.clone());
        head.2[3] ^= 1;
        tensors.insert("lm_head.weight".into(), head);
    });
    let error = run(folder.path(), &HESSIAN).unwrap_err();
    assert!(error.contains("`lm_head.weight` differs from transformer.wte.weight"), "{error}");
}

#[test]
fn a_weight_that_is_not_finite_is_named_with_its_count_and_the_tensors_are_listed() {
    let (folder, checkpoint) = copy();
    change_tensors(&checkpoint.join("model.safetensors"), |tensors| {
        let data = &mut tensors.get_mut("transformer.ln_f.weight").unwrap().2;
        data[8..16].copy_from_slice(&f64::NAN.to_le_bytes());
        data[24..32].copy_from_slice(&f64::INFINITY.to_le_bytes());
    });
    let error = run(folder.path(), &HESSIAN).unwrap_err();
    assert!(error.contains("`transformer.ln_f.weight` holds NaN at [1]: 2 of its numbers"), "{error}");
    let output = warmlab(folder.path(), &["inspect", "c"]);
    let text = stdout(&output);
    assert!(output.status.success(), "{output:?}");
    assert!(
        text.contains("transformer.ln_f.weight") && text.contains("f64") && text.contains("28 tensors"),
        "{text}"
    );
}
