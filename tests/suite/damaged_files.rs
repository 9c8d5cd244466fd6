//! Every way an input can be broken: one clear sentence, exit code 2, nothing left behind.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use crate::support::{golden, stderr, stdout, train, warmlab};

/// A run of two steps, and the folder of its last checkpoint.
fn run() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    assert!(train(folder.path(), "r", &["--steps", "2"]).status.success());
    let checkpoint = folder.path().join("runs/r/checkpoints/step_2");
    (folder, checkpoint)
}

fn hessian(folder: &Path) -> Output {
    warmlab(folder, &["hessian", "--ckpt", "runs/r/checkpoints/step_2", "--top", "1", "--bottom", "0"])
}

/// Exit 2, one line of error that names what it should, and no report.
fn refused(folder: &Path, output: &Output, names: &[&str]) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(stdout(output).is_empty(), "{output:?}");
    let errors: Vec<&str> = text.lines().filter(|l| l.starts_with("error:")).collect();
    assert_eq!(errors.len(), 1, "{text}");
    assert!(!text.contains("panicked"), "{text}");
    for name in names {
        assert!(errors[0].contains(name), "`{name}` is not in: {}", errors[0]);
    }
    // training leaves its own
    let reports =
        fs::read_dir(folder.join("reports/r")).into_iter().flatten().map(|e| e.unwrap().file_name());
    let measured: Vec<_> = reports.filter(|name| name != "train" && name != ".commands").collect();
    assert!(measured.is_empty(), "a report was written: {measured:?}");
}

/// Rewrites model.safetensors with one tensor changed.
fn rewrite(path: &Path, change: impl Fn(&str, TensorView<'_>) -> Option<(Dtype, Vec<usize>, Vec<u8>)>) {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensors: Vec<(String, (Dtype, Vec<usize>, Vec<u8>))> = file
        .tensors()
        .into_iter()
        .filter_map(|(name, view)| change(&name, view).map(|new| (name, new)))
        .collect();
    let views: HashMap<String, TensorView> = tensors
        .iter()
        .map(|(name, (dtype, shape, data))| {
            (name.clone(), TensorView::new(*dtype, shape.clone(), data).unwrap())
        })
        .collect();
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

fn keep(view: &TensorView<'_>) -> (Dtype, Vec<usize>, Vec<u8>) {
    (view.dtype(), view.shape().to_vec(), view.data().to_vec())
}

#[test]
fn broken_safetensors_are_refused() {
    let (folder, checkpoint) = run();
    let model = checkpoint.join("model.safetensors");
    let good = fs::read(&model).unwrap();
    let ln_f = "transformer.ln_f.weight";
    let cases: Vec<(&str, Box<dyn Fn()>, Vec<&str>)> = vec![
        (
            "truncated",
            Box::new(|| fs::write(&model, &good[..good.len() / 2]).unwrap()),
            vec!["model.safetensors"],
        ),
        ("empty", Box::new(|| fs::write(&model, b"").unwrap()), vec!["model.safetensors"]),
        (
            "a flipped bit in a weight",
            Box::new(|| {
                let mut bytes = good.clone();
                let last = bytes.len() - 3;
                bytes[last] ^= 1;
                fs::write(&model, bytes).unwrap();
            }),
            vec!["model.safetensors", "damaged"],
        ),
        (
            "a flipped bit in the header",
            Box::new(|| {
                let mut bytes = good.clone();
                bytes[40] ^= 0x40;
                fs::write(&model, bytes).unwrap();
            }),
            vec!["model.safetensors"],
        ),
        (
            "an oversized header",
            Box::new(|| {
                let mut bytes = good.clone();
                bytes[..8].copy_from_slice(&(1u64 << 60).to_le_bytes());
                fs::write(&model, bytes).unwrap();
            }),
            vec!["model.safetensors", "header"],
        ),
        (
            "a missing tensor",
            Box::new(|| rewrite(&model, |name, view| (name != ln_f).then(|| keep(&view)))),
            vec![ln_f, "missing"],
        ),
        (
            "a wrong shape",
            Box::new(|| {
                rewrite(&model, |name, view| {
                    let (dtype, shape, data) = keep(&view);
                    Some(if name == ln_f { (dtype, vec![2, 4], data) } else { (dtype, shape, data) })
                });
            }),
            vec![ln_f, "shape [2, 4]"],
        ),
        (
            "a wrong dtype",
            Box::new(|| {
                rewrite(&model, |name, view| {
                    let (dtype, shape, data) = keep(&view);
                    Some(if name == ln_f { (Dtype::I32, shape, data) } else { (dtype, shape, data) })
                });
            }),
            vec![ln_f, "i32"],
        ),
        (
            "a weight that is not a number",
            Box::new(|| {
                rewrite(&model, |name, view| {
                    let (dtype, shape, mut data) = keep(&view);
                    if name == ln_f {
                        data[12..16].copy_from_slice(&f32::NAN.to_le_bytes());
                    }
                    Some((dtype, shape, data))
                });
            }),
            vec![ln_f, "NaN", "[3]"],
        ),
        ("a missing file", Box::new(|| fs::remove_file(&model).unwrap()), vec!["model.safetensors"]),
    ];
    for (name, damage, names) in cases {
        fs::write(&model, &good).unwrap();
        damage();
        eprintln!("{name}");
        refused(folder.path(), &hessian(folder.path()), &names);
    }
    fs::write(&model, &good).unwrap();
    assert!(hessian(folder.path()).status.success());
}

#[test]
fn broken_configurations_and_states_are_refused() {
    let (folder, checkpoint) = run();
    for (file, text, names) in [
        ("config.json", "{", vec!["config.json"]),
        (
            "config.json",
            r#"{"n_layer": 1, "n_head": 3, "n_embd": 8, "block_size": 8, "vocab_size": 27}"#,
            vec!["n_head"],
        ),
        (
            "config.json",
            r#"{"n_layer": 9000000000, "n_head": 2, "n_embd": 8, "block_size": 8, "vocab_size": 27}"#,
            vec!["n_layer"],
        ),
        ("config.json", r#"{"model_type": "gpt2", "n_layer": 1}"#, vec!["Hugging Face"]),
        ("state.json", "[]", vec!["state.json"]),
    ] {
        let path = checkpoint.join(file);
        let good = fs::read(&path).unwrap();
        fs::write(&path, text).unwrap();
        refused(folder.path(), &hessian(folder.path()), &names);
        fs::write(&path, good).unwrap();
    }
}

#[test]
fn broken_pytorch_files_are_refused() {
    let Some(run) = golden("nanogpt-run") else { return };
    let good = fs::read(run.join("warm/step_500.pt")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ckpt.pt");
    let val = run.join("val.bin").display().to_string();
    let mut flipped = good.clone();
    flipped[good.len() / 20] ^= 1;
    let cases: [(&str, &[u8], &[&str]); 5] = [
        ("truncated", &good[..good.len() / 2], &["ckpt.pt"]),
        ("a flipped bit in a weight", &flipped, &["ckpt.pt", "transformer.", "damaged"]),
        ("empty", b"", &["ckpt.pt", "empty"]),
        ("text", b"hello, world", &["ckpt.pt"]),
        // a pickle that would run a command if it were executed
        (
            "a hostile pickle",
            b"\x80\x02cos\nsystem\nq\x00X\x0a\x00\x00\x00touch ownedq\x01\x85q\x02Rq\x03.",
            &["ckpt.pt"],
        ),
    ];
    for (name, bytes, names) in cases {
        eprintln!("{name}");
        fs::write(&path, bytes).unwrap();
        refused(
            folder.path(),
            &warmlab(folder.path(), &["hessian", "--ckpt", "ckpt.pt", "--data", &val]),
            names,
        );
    }
    assert!(!folder.path().join("owned").exists());
}

#[test]
fn tokens_that_do_not_fit_are_refused() {
    let (folder, _) = run();
    let tokens = folder.path().join("t.bin");
    let measure = || {
        warmlab(
            folder.path(),
            &[
                "hessian",
                "--ckpt",
                "runs/r/checkpoints/step_2",
                "--data",
                "t.bin",
                "--batch-size",
                "2",
                "--top",
                "1",
            ],
        )
    };
    let write = |ids: &[u16]| {
        fs::write(&tokens, ids.iter().flat_map(|id| id.to_le_bytes()).collect::<Vec<u8>>()).unwrap()
    };
    write(&[]);
    refused(folder.path(), &measure(), &["t.bin", "empty"]);
    write(&[1; 10]);
    refused(folder.path(), &measure(), &["t.bin", "10 tokens", "17"]);
    let mut ids = [1u16; 20];
    ids[9] = 300;
    write(&ids);
    refused(folder.path(), &measure(), &["t.bin", "300", "27"]);
    let training = train(folder.path(), "s", &["--steps", "2", "--data", "t.bin", "--vocab-size", "27"]);
    refused(folder.path(), &training, &["300", "27"]);
    assert!(!folder.path().join("runs/s").exists());
    fs::write(&tokens, [1, 2, 3]).unwrap();
    refused(folder.path(), &measure(), &["t.bin", "3 bytes"]);
    refused(
        folder.path(),
        &warmlab(folder.path(), &["hessian", "--ckpt", "runs/r/checkpoints/step_2", "--batch", "t.bin"]),
        &["t.bin"],
    );
}

#[test]
fn places_that_cannot_be_written_are_named() {
    let (folder, _) = run();
    // a file where a folder should be: not even root can write below it
    fs::write(folder.path().join("file"), b"").unwrap();
    let ckpt = ["hessian", "--ckpt", "runs/r/checkpoints/step_2", "--top", "1"];
    let output = warmlab(folder.path(), &[&ckpt[..], &["--out", "file"]].concat());
    refused(folder.path(), &output, &["file"]);
    fs::remove_dir_all(folder.path().join("runs")).unwrap();
    fs::write(folder.path().join("runs"), b"").unwrap();
    let output = train(folder.path(), "r", &["--steps", "1"]);
    refused(folder.path(), &output, &["runs"]);
}

/// A limit on file size stands for a full disk: writes fail the same way, in the middle.
#[test]
fn a_full_disk_leaves_no_part_of_a_file() {
    let (folder, _) = run();
    let binary = env!("CARGO_BIN_EXE_warmlab");
    let limited = |blocks: u32, arguments: &str| {
        Command::new("sh")
            .arg("-c")
            .arg(format!("trap '' XFSZ; ulimit -f {blocks}; exec {binary} {arguments}"))
            .current_dir(folder.path())
            .output()
            .unwrap()
    };
    let output = limited(1, "hessian --ckpt runs/r/checkpoints/step_2 --top 1 --out out");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(stderr(&output).contains("cannot write"), "{output:?}");
    let left: Vec<_> = walk(&folder.path().join("out"));
    assert!(left.is_empty(), "left behind: {left:?}");

    let output = limited(
        8,
        "train --name full --steps 2 --n-layer 1 --n-head 1 --n-embd 16 --block-size 8 --batch-size 1 --eval-every 0",
    );
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let left: Vec<_> = walk(&folder.path().join("runs/full/checkpoints"));
    assert!(left.is_empty(), "left behind: {left:?}");
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return vec![] };
    entries.map(|e| e.unwrap().path()).flat_map(|p| if p.is_dir() { walk(&p) } else { vec![p] }).collect()
}
