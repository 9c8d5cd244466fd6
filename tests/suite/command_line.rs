//! What a user sees: help, formats, exit codes, where output goes.

use std::process::{Command, Stdio};

use crate::support::{report_of, stderr, stdout, train, warmlab};

const COMMANDS: [&str; 6] = ["train", "hessian", "data", "inspect", "report", "list"];

#[test]
fn every_command_has_help_with_an_example() {
    let here = std::env::temp_dir();
    for command in COMMANDS {
        let output = warmlab(&here, &[command, "--help"]);
        let text = stdout(&output);
        assert!(
            output.status.success()
                && text.contains("Example")
                && text.contains(&format!("warmlab {command}")),
            "{text}"
        );
    }
    let help = stdout(&warmlab(&here, &["--help"]));
    assert!(COMMANDS.iter().all(|c| help.contains(c)), "{help}");
    assert_eq!(warmlab(&here, &[]).status.code(), Some(2));
    assert_eq!(warmlab(&here, &["hessian", "--no-such-flag"]).status.code(), Some(2));
}

#[test]
fn formats_agree_and_data_is_alone_on_stdout() {
    let folder = tempfile::tempdir().unwrap();
    assert!(train(folder.path(), "r", &["--steps", "3"]).status.success());
    let measure = |format: &str| {
        let output =
            warmlab(folder.path(), &["hessian", "--ckpt", "step_3", "--top", "2", "--format", format]);
        assert!(output.status.success(), "{output:?}");
        assert!(stderr(&output).contains("newest run"), "{output:?}");
        stdout(&output)
    };
    let json: serde_json::Value = serde_json::from_str(&measure("json")).unwrap();
    let rows = json["rows"].as_array().unwrap();
    let csv = measure("csv");
    assert_eq!(csv.lines().count(), rows.len() + 1);
    let first = rows.iter().find(|r| r["quantity"] == "hessian/lambda").unwrap()["value"].to_string();
    assert!(csv.contains(&first));
    let table = measure("table");
    assert!(table.lines().all(|l| l.chars().count() <= 80), "{table}");
    assert!(table.contains("hessian/lambda_min") && table.contains("±"), "{table}");
    // the report read back is the same table
    let path = report_of(&folder.path().join("reports/r/hessian"), 3).display().to_string();
    let inspect = stdout(&warmlab(folder.path(), &["inspect", &path]));
    assert!(inspect.contains("warmlab.batch_sha256") && inspect.ends_with(&table), "{inspect}");
    assert!(!table.contains('\u{1b}'), "colour on a pipe");
}

#[test]
fn what_is_unconverged_decides_the_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    assert!(train(folder.path(), "r", &["--steps", "3"]).status.success());
    let few = ["hessian", "--ckpt", "step_3", "--max-matvecs", "9", "--tol", "1e-6"];
    let output = warmlab(folder.path(), &few);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(stdout(&output).contains("unconverged") && stderr(&output).contains("unconverged: "));
    let output = warmlab(folder.path(), &[&few[..], &["--allow-unconverged"]].concat());
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn requests_that_make_no_sense_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    assert!(train(folder.path(), "r", &["--steps", "1"]).status.success());
    for (arguments, word) in [
        (vec!["hessian"], "--ckpt"),
        (vec!["hessian", "--ckpt", "step_9"], "step 9"),
        (vec!["hessian", "--ckpt", "nothing.pt"], "nothing.pt"),
        (vec!["hessian", "--run", "runs/r", "--ckpt", "step_7"], "it has steps 0, 1"),
        (vec!["hessian", "--ckpt", "step_1", "--operator", "fisher"], "fisher"),
        (vec!["hessian", "--ckpt", "step_1", "--scope", "("], "regular expression"),
        (vec!["hessian", "--ckpt", "step_1", "--top", "many"], "whole number"),
        (vec!["hessian", "--ckpt", "step_1", "--top", "0", "--bottom", "0"], "no eigenvalue"),
        (vec!["hessian", "--ckpt", "step_1", "--memory", "100KiB"], "at least"),
        (vec!["hessian", "--ckpt", "step_1", "--batch-size", "0"], "--batch-size `0`"),
        (vec!["hessian", "--ckpt", "step_1", "--block-size", "900"], "900"),
        (vec!["hessian", "--ckpt", "step_1", "--threads", "0"], "threads"),
        (vec!["hessian", "--ckpt", "step_0", "--operator", "preconditioned"], "no update"),
        (vec!["hessian", "--ckpt", "step_1", "--device", "tpu"], "tpu"),
        (vec!["train", "--data", "tinystories"], "tinystories"),
        (vec!["train", "--n-head", "3"], "n_head"),
        (vec!["train", "--name", "../r"], "../r"),
        (vec!["train", "--resume", "runs/q"], "runs/q"),
        (vec!["data", "nothing"], "nothing"),
        (vec!["inspect", "nothing"], "nothing"),
    ] {
        let output = warmlab(folder.path(), &arguments);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(word) && !text.contains("panicked"), "{arguments:?}: {text}");
    }
}

#[test]
fn exact_mode_and_lanczos_agree_and_dense_matrices_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(train(folder.path(), "r", &["--steps", "3", "--vocab-size", "27"]).status.success());
    let first = |more: &[&str]| {
        let base = ["hessian", "--ckpt", "step_3", "--dtype", "f64", "--scope", "ln_", "--format", "json"];
        let output = warmlab(folder.path(), &[&base[..], more].concat());
        assert!(output.status.success(), "{output:?}");
        let json: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
        let rows = json["rows"].as_array().unwrap().clone();
        rows.iter().find(|r| r["quantity"] == "hessian/lambda").unwrap()["value"].as_f64().unwrap()
    };
    let (lanczos, exact) = (first(&["--tol", "1e-8"]), first(&["--exact"]));
    assert!((lanczos / exact - 1.0).abs() < 1e-10, "{lanczos} {exact}");
    let output = warmlab(folder.path(), &["hessian", "--ckpt", "step_3", "--exact", "--memory", "10MiB"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--exact"), "{output:?}");
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_warmlab"))
        .arg("list")
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn text_becomes_tokens() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t.txt"), "abcabcabcabcabcabcab").unwrap();
    let output = warmlab(folder.path(), &["data", "t.txt", "--out", "d"]);
    assert!(stdout(&output).contains("18 tokens") && stdout(&output).contains("vocabulary 3"), "{output:?}");
    let bytes = std::fs::read(folder.path().join("d/train.bin")).unwrap();
    assert_eq!(&bytes[..8], [0, 0, 1, 0, 2, 0, 0, 0]);
    std::fs::write(folder.path().join("bad.txt"), [0x61, 0xff]).unwrap();
    let output = warmlab(folder.path(), &["data", "bad.txt"]);
    assert!(output.status.code() == Some(2) && stderr(&output).contains("byte 1"), "{output:?}");
}

/// The files below a folder but for hidden ones.
fn visible(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = warmlab::report::entries(folder).unwrap().into_iter();
    entries.flat_map(|path| if path.is_dir() { visible(&path) } else { vec![path] }).collect()
}

#[test]
fn a_report_is_a_table_and_a_page_that_needs_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    assert!(train(folder.path(), "a&b", &["--steps", "4", "--save-at", "1,4"]).status.success());
    for analysis in ["snr", "attention"] {
        let output = warmlab(folder.path(), &[analysis, "--run", "runs/a&b", "--allow-unconverged"]);
        assert!(output.status.success(), "{output:?}");
    }
    let output = warmlab(folder.path(), &["report", "runs/a&b"]);
    assert!(output.status.success() && stdout(&output).contains("entropy"), "{output:?}");
    assert!(stderr(&output).contains("the page: report-a&b.html"), "{output:?}");
    let page = std::fs::read_to_string(folder.path().join("report-a&b.html")).unwrap();
    // the reports stay one Parquet dataset, whose readers leave out names that begin with a dot
    let left = visible(&folder.path().join("reports"));
    assert!(left.len() > 4 && left.iter().all(|path| path.extension().unwrap() == "parquet"), "{left:?}");
    for text in [
        "<h1>a&amp;b</h1>",
        "<h2>What was measured</h2>",
        "1 blocks, 2 heads, width 8, 8 tokens",
        "peak 0.001, warmup over 2 updates, cosine to 0.0001 at update 4",
        "<h2>What was found</h2>",
        "the entropy of attention, mean over all heads, was",
        "<h2>Loss</h2>",
        "<h2>Learning rate</h2>",
        "<h2>Largest attention logit</h2>",
        ">entropy, nats</text>",
        "<h2>Attention entropy: lowest head, and mean over heads</h2>",
        "reports/a&amp;b/snr/step_*.parquet",
        "reports/a&amp;b/train/steps_*.parquet",
        "warmlab hessian --run runs/a&amp;b --operator preconditioned",
    ] {
        assert!(page.contains(text), "{text}");
    }
    assert!(!page.contains("http") && !page.contains("a&b") && !page.contains("NaN"));
    let output = warmlab(folder.path(), &["report", "runs/a&b", "--html", "p/x.html"]);
    assert!(output.status.success() && folder.path().join("p/x.html").exists(), "{output:?}");
}

#[test]
fn what_is_printed_fits_eighty_columns_or_those_asked_for_and_has_no_colour_in_a_pipe() {
    let folder = tempfile::tempdir().unwrap();
    assert!(train(folder.path(), "r", &["--steps", "2"]).status.success());
    let run = |columns: &str, arguments: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_warmlab"))
            .args(arguments)
            .env("COLUMNS", columns)
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(!output.stderr.contains(&0x1b) && !output.stdout.contains(&0x1b), "{arguments:?}");
        stdout(&output)
    };
    let blocks = ["hessian", "--ckpt", "step_2", "--scope", "blocks", "--top", "1", "--allow-unconverged"];
    for arguments in [
        &blocks[..],
        &["attention", "--ckpt", "step_2"],
        &["adam", "--ckpt", "step_2"],
        &["report", "r"],
        &["list"],
    ] {
        for columns in [70, 80, 200] {
            let text = run(&columns.to_string(), arguments);
            // a hat stands above its letter
            let columns_of = |line: &str| line.chars().filter(|c| *c != '\u{302}').count();
            let longest = text.lines().map(columns_of).max().unwrap();
            assert!((20..=columns).contains(&longest), "{arguments:?}: {longest} of {columns}:\n{text}");
        }
    }
    // no name is lost
    assert!(run("80", &blocks).contains("transformer.h.0.attn.c_attn.weight"));
    run("80", &["hessian", "--ckpt", "nothing"]);
}
