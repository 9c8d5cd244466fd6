//! What holds for every optimizer of the registry: its tracked pass, its state, and runs that are cut.

use std::fs;
use std::path::Path;
use std::process::Output;

use warmlab::base::random::stream;
use warmlab::base::values::{DType, Values};
use warmlab::optim::{self, Made, OPTIMIZERS, Optimizer, Part, Update, Updater};

use crate::support::{numbers, stderr, warmlab};
use crate::updates::shapes;

/// Trains a model small enough to train in a moment.
pub fn train(folder: &Path, name: &str, more: &[&str]) -> Output {
    const SMALL: &[&str] = &[
        "--steps",
        "6",
        "--save-at",
        "3",
        "--n-layer",
        "1",
        "--n-head",
        "2",
        "--n-embd",
        "16",
        "--block-size",
        "16",
        "--batch-size",
        "2",
        "--eval-every",
        "0",
    ];
    warmlab(folder, &[&["train", "--data", "synthetic", "--name", name], SMALL, more].concat())
}

/// Every entry as it is without settings.
fn defaults() -> Vec<Optimizer> {
    OPTIMIZERS.iter().map(|entry| Optimizer::parse(entry.name, None).unwrap()).collect()
}

/// That what the rule says of its updates is what they do.
pub fn says_what_it_does(rule: &Optimizer) {
    let parts = Part::all(&shapes(&[&[70, 6], &[5], &[3, 1000], &[33, 129], &[1, 1], &[600, 40]]));
    let n: usize = parts.iter().map(Part::len).sum();
    for dtype in [DType::F64, DType::F32] {
        let close = if dtype == DType::F64 { 1e-11 } else { 1e-4 };
        let random = &mut stream(6, 0, "optimizers");
        let mut plain = Updater::new(rule.clone(), parts.clone(), dtype);
        let mut tracked = plain.clone();
        let start = Values::F64(numbers(random, n)).cast(dtype);
        let (mut p, mut q) = (start.clone(), start);
        for t in 1..=4 {
            let g = Values::F64(numbers(random, n)).cast(dtype);
            let (before, lr) = (q.clone(), 1e-2 * t as f64);
            plain.update(&mut p, &g, 0.5, lr);
            let found = tracked.update_tracked(&mut q, &g, 0.5, lr, lr - 1e-2);
            assert!(p == q && plain.state() == tracked.state(), "{rule} {t}");
            let state = tracked.state();
            let made = Made { before: &before, after: &q, gradient: &g, state: state.clone() };
            let update = Update { t, lr, clip: 0.5 };
            let u = rule.direction(&update, &parts, &made);
            for (part, sums) in &found.parts {
                let range = part.start..part.start + part.len();
                let decay = rule.decay() * part.decay;
                for i in range.clone() {
                    let (a, u) = (before.get(i), u.get(i));
                    let moved = a - lr * (decay * a + u);
                    assert!(
                        (q.get(i) - moved).abs() <= close * (a.abs() + lr * u.abs()),
                        "{rule} {dtype} {t} {i}"
                    );
                }
                let check = |name: &str, found: f64, one: &dyn Fn(usize) -> f64| {
                    let truth: f64 = range.clone().map(one).sum();
                    let size: f64 = range.clone().map(|i| one(i).abs()).sum();
                    assert!(
                        (found - truth).abs() <= close * size,
                        "{rule} {dtype} {t} {name}: {found} {truth}"
                    );
                };
                check("weight_sq", sums.weight_sq, &|i| before.get(i).powi(2));
                check("weight_direction", sums.weight_direction, &|i| before.get(i) * u.get(i));
                check("direction_sq", sums.direction_sq, &|i| u.get(i).powi(2));
                check("gradient_sq", sums.gradient_sq, &|i| (0.5 * g.get(i)).powi(2));
                check("direction_gradient", sums.direction_gradient, &|i| 0.5 * g.get(i) * u.get(i));
                let (a, q) = rule.rows(&update, part, range.clone(), &made);
                for (i, at) in range.clone().enumerate() {
                    let near = |x: f64, y: f64| (x - y).abs() <= 10.0 * close * (x.abs() + y.abs());
                    let scaled = rule.rows_scale(t) * q.get(i);
                    assert!(
                        near(a.get(i), before.get(at)) && near(scaled, u.get(at)),
                        "{rule} {dtype} {t} {at}"
                    );
                }
            }
            if let Some(last) = optim::last_update(rule, &parts, &q, &state, t, lr) {
                for ((part, made), (_, rebuilt)) in found.parts.iter().zip(&last.parts) {
                    for (made, rebuilt) in
                        [(made.weight_sq, rebuilt.weight_sq), (made.direction_sq, rebuilt.direction_sq)]
                    {
                        let name = &part.name;
                        assert!(
                            (rebuilt / made - 1.0).abs() < 10.0 * close,
                            "{rule} {name}: {rebuilt} {made}"
                        );
                    }
                }
            }
            // a stored state goes on to the same bits
            let stored = Updater::new(rule.clone(), parts.clone(), dtype).restore(&state, t).unwrap();
            assert_eq!((stored.step(), stored.state()), (t, state));
        }
    }
}

#[test]
fn every_optimizer_does_what_it_says() {
    for rule in defaults() {
        says_what_it_does(&rule);
        assert!(!rule.words().is_empty() && rule.settling() >= 1.0);
        let limits = rule.limits(1e-2, 3);
        assert!(
            limits.threshold > 0.0 && (limits.threshold / rule.limits(1e-3, 3).threshold - 0.1).abs() < 1e-12
        );
        let table = toml::to_string(&rule).unwrap();
        assert_eq!(toml::from_str::<Optimizer>(&table).unwrap(), rule);
    }
}

/// That a run with these settings goes on from its checkpoint of step 3 to the same bytes.
pub fn resumes(told: &[&str]) {
    let (whole, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for folder in [&whole, &cut] {
        let output = train(folder.path(), "r", told);
        assert!(output.status.success(), "{told:?} {output:?}");
    }
    fs::remove_dir_all(cut.path().join("runs/r/checkpoints/step_6")).unwrap();
    fs::remove_dir_all(cut.path().join("runs/r/checkpoints/step_4")).unwrap();
    let output = warmlab(cut.path(), &["train", "--resume", "r"]);
    assert!(output.status.success(), "{told:?} {output:?}");
    assert!(stderr(&output).contains("updates 4 to 6"), "{output:?}");
    crate::resume::same(&whole.path().join("runs"), &cut.path().join("runs"));
}

#[test]
fn every_optimizer_trains_and_resumes_to_the_bit() {
    for entry in OPTIMIZERS {
        resumes(&["--optimizer", entry.name]);
    }
}

#[test]
fn what_is_no_optimizer_is_refused_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    for (told, said) in [
        (&["--optimizer", "adamv"][..], "--optimizer `adamv` is not "),
        (&["--optimizer", "adamw:beta=1"], "--optimizer adamw has no key `beta`"),
        (&["--optimizer", "adamw:beta2=1"], "beta2 `1` is not a number of at least 0 and below 1"),
        (&["--optimizer", "adamw", "--beta1", "0.8"], "exclude each other"),
    ] {
        let output = train(folder.path(), "r", told);
        assert_eq!(output.status.code(), Some(2), "{told:?}");
        assert!(stderr(&output).contains(said), "{told:?}: {}", stderr(&output));
    }
    let output = train(folder.path(), "r", &["--optimizer", "adamw:beta2=0.9"]);
    assert!(output.status.success(), "{output:?}");
    let output = warmlab(folder.path(), &["train", "--resume", "r", "--beta2", "0.95"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(stderr(&output).contains("--beta2 0.95 contradicts"), "{output:?}");
    let output = warmlab(folder.path(), &["list", "--optimizers"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(OPTIMIZERS.iter().all(|entry| text.lines().any(|line| line == entry.name)), "{text}");
}
