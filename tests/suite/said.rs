//! What is not what one would think is said, on stderr and in the metadata.

use std::fs;

use serde_json::Value;

use crate::support::{stderr, stdout, train, warmlab};

#[test]
fn training_tokens_are_not_passed_off_as_others() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("d")).unwrap();
    let tokens: Vec<u8> = (0..400u16).flat_map(|i| (i * i % 11).to_le_bytes()).collect();
    fs::write(folder.path().join("d/train.bin"), &tokens).unwrap();
    let settings =
        ["--data", "d", "--vocab-size", "11", "--steps", "2", "--eval-every", "1", "--track", "hessian"];
    let output = train(folder.path(), "r", &settings);
    assert!(output.status.success() && stderr(&output).contains("measured on training tokens"), "{output:?}");
    let analyse = |data: &[&str]| {
        let arguments =
            ["hessian", "--ckpt", "step_2", "--top", "1", "--allow-unconverged", "--format", "json"];
        let output = warmlab(folder.path(), &[&arguments[..], data].concat());
        assert!(output.status.success(), "{output:?}");
        let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
        (stderr(&output), report["meta"]["warmlab.batch"].as_str().unwrap().to_string())
    };
    let words = "training tokens";
    // what the run was trained on, and the folder by name
    for data in [&[][..], &["--data", "d"]] {
        let (said, batch) = analyse(data);
        assert!(said.contains(words) && batch.contains(words), "{said} {batch}");
    }
    // a file that is named is used as it is; a folder with both parts reads the second
    assert!(!analyse(&["--data", "d/train.bin"]).1.contains(words));
    fs::write(folder.path().join("d/val.bin"), &tokens).unwrap();
    let (said, batch) = analyse(&["--data", "d"]);
    assert!(!said.contains(words) && !batch.contains(words), "{said} {batch}");
}

#[test]
fn without_adams_state_nothing_is_called_its_update() {
    let folder = tempfile::tempdir().unwrap();
    assert!(train(folder.path(), "r", &["--steps", "3", "--dtype", "f64"]).status.success());
    let own = folder.path().join("runs/r/checkpoints/step_3");
    let measure = || {
        let output = warmlab(
            folder.path(),
            &["sharpness", "--ckpt", "step_3", "--dtype", "f64", "--allow-unconverged", "--format", "json"],
        );
        assert!(output.status.success(), "{output:?}");
        let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
        (report, stderr(&output))
    };
    let names = |report: &Value| -> Vec<String> {
        let rows = report["rows"].as_array().unwrap();
        rows.iter().map(|row| row["quantity"].as_str().unwrap().to_string()).collect()
    };
    let whole = names(&measure().0);
    assert!(whole.contains(&"sharpness/directional".into()) && whole.contains(&"sharpness/critical".into()));
    // moments gone, then everything of the optimizer
    for file in ["optimizer.safetensors", "state.json"] {
        fs::remove_file(own.join(file)).unwrap();
        let (report, said) = measure();
        let left = names(&report);
        for gone in ["sharpness/directional", "sharpness/critical", "sharpness/gradient_adam"] {
            assert!(!left.contains(&gone.to_string()), "{left:?}");
        }
        assert!(left.contains(&"sharpness/critical_gradient".into()), "{left:?}");
        assert!(said.contains("along the gradient"), "{said}");
        assert!(report["meta"]["warmlab.direction"].as_str().unwrap().contains("along the gradient"));
        // on the way down the gradient the loss is a parabola at first: 2/η_c is of the size of gᵀHg/gᵀg
        let value = |name: &str| {
            let rows = report["rows"].as_array().unwrap();
            rows.iter().find(|row| row["quantity"] == name).unwrap()["value"].as_f64().unwrap()
        };
        let ratio = value("sharpness/critical_gradient") / value("sharpness/gradient").abs();
        assert!((0.1..10.0).contains(&ratio), "{ratio}");
    }
}
