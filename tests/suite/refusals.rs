//! What makes no sense is refused with one sentence and what to type, for every flag of every command.

use std::path::Path;
use std::process::Output;

use crate::support::{stderr, stdout, train, warmlab};

/// The flags of a command with what `--help` calls their values; a switch has none.
fn flags(command: &str) -> Vec<(String, Option<String>)> {
    let help = stdout(&warmlab(&std::env::temp_dir(), &[command, "--help"]));
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let flag = |line: &str| {
        let start = line.find("--")?;
        let mut words = line[start..].split_whitespace();
        let name = words.next()?.trim_end_matches("...").to_string();
        Some((name, words.next().filter(|word| word.starts_with('<')).map(str::to_string)))
    };
    lines.filter_map(flag).collect()
}

/// Exit code 2, one sentence, and a hint with something to type.
fn refused(output: &Output, words: &[&str]) -> String {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(2), "{words:?}: {text}{}", stdout(output));
    // what it set out to do may come before
    let said = text.find("error: ").map(|at| &text[at..]).unwrap_or_default();
    assert!(!text.contains("panicked"), "{words:?}: {text}");
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines.len() == 2 && lines[1].starts_with("hint: "), "{words:?}: one sentence and a hint: {text}");
    assert!(stdout(output).is_empty(), "{words:?}");
    text
}

#[test]
fn every_flag_of_every_command_refuses_nonsense_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    assert!(train(folder.path(), "r", &["--steps", "1"]).status.success());
    let mut tried = 0;
    for (command, rest) in [
        ("train", vec!["--name", "x"]),
        ("hessian", vec!["--ckpt", "step_1"]),
        ("attention", vec!["--ckpt", "step_1"]),
        ("adam", vec!["--ckpt", "step_1"]),
        ("angular", vec!["--ckpt", "step_1"]),
        ("snr", vec!["--ckpt", "step_1"]),
        ("sharpness", vec!["--ckpt", "step_1"]),
        ("data", vec!["moby-dick"]),
        ("inspect", vec!["runs/r"]),
        ("report", vec!["runs/r"]),
        ("list", vec![]),
    ] {
        for (flag, value) in flags(command) {
            if flag == "--help" {
                continue;
            }
            // a path may be called anything
            let free = ["--out", "--html", "--name"].contains(&&*flag);
            let nonsense: &[&str] = match &value {
                None => &[],
                Some(_) if free => &[],
                Some(_) if ["--tol", "--learning-rate", "--track-tol"].contains(&&*flag) => {
                    &["-1", "nan", "1,5", "x"]
                }
                Some(_) => &["-7", "no such thing"],
            };
            for word in nonsense {
                let mut words = vec![command];
                words.extend(&rest);
                words.extend([&*flag, word]);
                let text = refused(&warmlab(folder.path(), &words), &words);
                assert!(text.contains(word) || text.contains(&flag), "{words:?}: {text}");
                tried += 1;
            }
            if value.is_some() {
                let words = [&[command], &rest[..], &[&*flag]].concat();
                assert!(
                    refused(&warmlab(folder.path(), &words), &words).contains("needs a value"),
                    "{words:?}"
                );
            } else {
                let word = format!("{flag}x");
                let words = [&[command], &rest[..], &[&*word]].concat();
                let text = refused(&warmlab(folder.path(), &words), &words);
                assert!(text.contains(&format!("did you mean {flag}?")), "{words:?}: {text}");
            }
        }
    }
    assert!(tried > 150, "{tried} flags were found in the help texts");
}

#[test]
fn refusals_offer_what_was_meant() {
    let folder = tempfile::tempdir().unwrap();
    assert!(train(folder.path(), "cold", &["--steps", "2"]).status.success());
    let hessian = |more: &[&'static str]| [&["hessian", "--run", "runs/cold"], more].concat();
    for (words, meant) in [
        (vec!["hesian"], "warmlab hessian"),
        (vec!["hessian", "--operators", "ggn"], "did you mean --operator?"),
        (hessian(&["--operator", "precond"]), "did you mean --operator preconditioned?"),
        (hessian(&["--scope", "layer"]), "did you mean --scope layers?"),
        (hessian(&["--dtype", "fp32"]), "did you mean --dtype f32?"),
        (hessian(&["--device", "flax"]), "did you mean --device flex?"),
        (hessian(&["--format", "jsn"]), "did you mean --format json?"),
        (hessian(&["--sampling", "rand"]), "did you mean --sampling random?"),
        (hessian(&["--data", "sinthetic"]), "did you mean --data synthetic?"),
        (hessian(&["--top", "1e1"]), "did you mean --top 10?"),
        (hessian(&["--steps", "1-"]), "1,5,10-20"),
        (hessian(&["--steps", "2-1"]), "did you mean --steps 1-2?"),
        (hessian(&["--steps", "7"]), "it has steps 0, 1, 2"),
        (hessian(&["--steps", "1,50-60"]), "no checkpoint of step from 50 to 60"),
        (vec!["hessian", "--run", "cald", "--ckpt", "step_1"], "did you mean runs/cold?"),
        (vec!["hessian", "--run", "runs"], "--run runs/cold"),
        (vec!["hessian", "--ckpt", "1"], "did you mean --ckpt step_1?"),
        (vec!["report", "cald"], "did you mean runs/cold?"),
        (vec!["data", "moby"], "did you mean warmlab data moby-dick?"),
        (vec!["data", "moby-dick", "--tokenizer", "gpt"], "did you mean --tokenizer gpt2?"),
        (vec!["train", "--steps", "0"], "--steps 500 is the default"),
        (vec!["train", "--learning-rate", "-1"], "--learning-rate `-1` is not a number of at least 0"),
        (vec!["train", "--activation", "gelu-tanh"], "did you mean --activation gelu_tanh?"),
        (vec!["train", "--track", "hesian"], "did you mean --track hessian?"),
        (vec!["train", "--track", "precond"], "did you mean --track preconditioned?"),
        (vec!["train", "--track", "adam:evry=2"], "did you mean every?"),
        (vec!["train", "--track", "hessian:operator=gn"], "ggn"),
        (vec!["train", "--track", "sharpness"], "warmlab sharpness"),
        (vec!["train", "--resume", "cald"], "did you mean runs/cold?"),
        (vec!["train", "--batch-size", "1000000000"], "larger than any"),
        (hessian(&["--batch-size", "1000000000", "--sampling", "random"]), "smaller --batch-size"),
    ] {
        let text = refused(&warmlab(folder.path(), &words), &words);
        assert!(text.contains(meant), "{words:?}: {text}");
    }
    assert_eq!(
        std::fs::read_dir(folder.path().join("runs")).unwrap().count(),
        1,
        "a refused command left a run"
    );
}

#[test]
fn runs_are_found_by_name_and_steps_by_range() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["cold", "warm"] {
        assert!(
            train(folder.path(), name, &["--steps", "4", "--save-every", "1", "--save-at", "2-3"])
                .status
                .success()
        );
    }
    let steps = |list: &str| {
        let words =
            ["hessian", "--run", "cold", "--steps", list, "--top", "1", "--bottom", "0", "--format", "csv"];
        let output = warmlab(folder.path(), &[&words[..], &["--allow-unconverged"]].concat());
        assert!(output.status.success(), "{output:?}");
        let text = stdout(&output);
        let header: Vec<&str> = text.lines().next().unwrap().split(',').collect();
        let at = header.iter().position(|name| *name == "step").unwrap();
        let mut steps: Vec<String> =
            text.lines().skip(1).map(|l| l.split(',').nth(at).unwrap().into()).collect();
        steps.dedup();
        steps.join(" ")
    };
    assert_eq!(steps("1-100"), "1 2 3 4");
    assert_eq!(steps("0,2-3"), "0 2 3");
    // a folder of runs is all of them
    let output = warmlab(folder.path(), &["report", "runs"]);
    assert!(output.status.success() && stderr(&output).contains("folder of 2 runs"), "{output:?}");
    assert!(stdout(&output).contains("cold") && folder.path().join("report-cold-warm.html").exists());
    assert!(warmlab(folder.path(), &["report", "cold", "warm"]).status.success());
}

fn tokens(path: &Path, count: usize) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let bytes: Vec<u8> = (0..count).flat_map(|i| ((i % 7) as u16).to_le_bytes()).collect();
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_validation_split_alone_is_measured_on_and_never_written_over() {
    let folder = tempfile::tempdir().unwrap();
    assert!(train(folder.path(), "r", &["--steps", "1"]).status.success());
    let val = folder.path().join("mine/val.bin");
    tokens(&val, 200);
    let measure = ["attention", "--ckpt", "step_1", "--data", "mine"];
    let output = warmlab(folder.path(), &measure);
    assert!(output.status.success(), "{output:?}");
    let words = ["train", "--data", "mine", "--vocab-size", "7"];
    assert!(refused(&warmlab(folder.path(), &words), &words).contains("no train.bin"));
    let before = std::fs::read(&val).unwrap();
    std::fs::write(folder.path().join("t.txt"), "some text of its own, long enough for a split").unwrap();
    let words = ["data", "t.txt", "--out", "mine"];
    assert!(refused(&warmlab(folder.path(), &words), &words).contains("--out"));
    assert_eq!(std::fs::read(&val).unwrap(), before);
}

#[test]
fn datasets_resolve_from_the_project_and_from_a_home_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    tokens(&root.join("project/datasets/letters/train.bin"), 4000);
    tokens(&root.join("home/words/train.bin"), 4000);
    tokens(&root.join("xdg/warmlab/shared/train.bin"), 4000);
    let deep = root.join("project/a/b");
    std::fs::create_dir_all(&deep).unwrap();
    for name in ["letters", "words", "shared"] {
        let size =
            ["--n-layer", "1", "--n-head", "1", "--n-embd", "4", "--block-size", "4", "--vocab-size", "7"];
        let run = ["train", "--data", name, "--name", name, "--steps", "1", "--eval-every", "0"];
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_warmlab"))
            .args(run)
            .args(size)
            .env("WARMLAB_DATA", root.join("home"))
            .env("XDG_DATA_HOME", root.join("xdg"))
            .current_dir(&deep)
            .output()
            .unwrap();
        assert!(output.status.success(), "{name}: {output:?}");
    }
    std::fs::write(deep.join("t.txt"), "some text of its own, long enough for a split").unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_warmlab"))
        .args(["data", "t.txt"])
        .env("WARMLAB_DATA", root.join("home"))
        .current_dir(&deep)
        .output()
        .unwrap();
    assert!(output.status.success() && root.join("home/t/train.bin").exists(), "{output:?}");
}
