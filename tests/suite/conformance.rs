//! What every analysis of the catalogue promises.

use std::collections::BTreeSet;
use std::path::Path;

use warmlab::analyses::ANALYSES;
use warmlab::measure::training;

use crate::support::{report_of, stdout, train, warmlab};

#[test]
fn names_are_unique_and_kebab_case_and_everything_is_described() {
    let mut names = BTreeSet::new();
    for analysis in ANALYSES {
        let name = analysis.name();
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{name}");
        assert!(names.insert(name), "{name} twice");
        assert!(analysis.example().starts_with(&format!("warmlab {name} ")), "{name}");
        assert!(!analysis.about().is_empty() && !analysis.notes().is_empty(), "{name}");
        for quantity in analysis.quantities() {
            assert!(quantity.name.contains('/') && !quantity.about.is_empty(), "{name}: {}", quantity.name);
        }
        for option in analysis.options().all() {
            let help = option.get_help().map(ToString::to_string).unwrap_or_default();
            assert!(!help.is_empty() && help.len() < 120, "{name} {}", option.get_id());
            let takes_value = option.get_action().takes_values();
            let named = option.get_value_names().is_some_and(|all| all.iter().all(|name| !name.is_empty()));
            assert!(named || !takes_value, "{name} {}", option.get_id());
            assert_eq!(takes_value, !option.get_default_values().is_empty(), "{name} {}", option.get_id());
        }
    }
}

#[test]
fn every_analysis_reports_declared_finite_quantities_and_repeats_itself_to_the_byte() {
    let folder = tempfile::tempdir().unwrap();
    let run = train(folder.path(), "r", &["--steps", "6", "--save-at", "5"]);
    assert!(run.status.success(), "{run:?}");
    for analysis in ANALYSES {
        let name = analysis.name();
        let measure = |out: &str| {
            let output = warmlab(
                folder.path(),
                &[
                    name,
                    "--ckpt",
                    "step_5",
                    "--batch-size",
                    "3",
                    "--allow-unconverged",
                    "--out",
                    out,
                    "--format",
                    "json",
                ],
            );
            assert!(output.status.success(), "{name}: {output:?}");
            let path = folder.path().join(out).join("r").join(name);
            (stdout(&output), std::fs::read(report_of(&path, 5)).unwrap())
        };
        let ((json, parquet), (_, again)) = (measure("a"), measure("b"));
        assert!(parquet == again, "{name}: two runs of one command differ");
        let report: serde_json::Value = serde_json::from_str(&json).unwrap();
        for key in
            ["schema_version", "version", "options", "checkpoint_sha256", "batch_sha256", "seed", "dtype"]
        {
            assert!(report["meta"][format!("warmlab.{key}")].is_string(), "{name}: {key}");
        }
        for row in report["rows"].as_array().unwrap() {
            let quantity = row["quantity"].as_str().unwrap();
            let declared = analysis.quantities().iter().any(|q| {
                let prefixes = ["hessian", "ggn", "preconditioned", "preconditioned_next"];
                q.name == quantity
                    || prefixes.iter().any(|p| {
                        // what is not about the Hessian has its operator's name in front
                        q.name.replace("{operator}", p) == quantity || format!("{p}/{}", q.name) == quantity
                    })
            });
            assert!(declared, "{name} does not declare {quantity}");
            assert!(row["value"].as_f64().is_some_and(f64::is_finite), "{name}: {row}");
            assert_eq!((row["run"].as_str(), row["step"].as_u64()), (Some("r"), Some(5)));
        }
    }
}

/// The quantities of every report below a folder.
fn quantities(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            quantities(&path, found);
        } else if path.extension().is_some_and(|e| e == "parquet") {
            let report = warmlab::report::read_parquet(&path).unwrap();
            found.extend(report.rows.iter().map(|row| row.quantity.to_string()));
        }
    }
}

#[test]
fn every_declared_quantity_is_produced() {
    let folder = tempfile::tempdir().unwrap();
    let tracked = "adam,angular,attention,snr,hessian,preconditioned,preconditioned-next";
    let settings = [
        "--steps",
        "6",
        "--save-at",
        "5",
        "--grad-accumulation",
        "2",
        "--eval-every",
        "3",
        "--track",
        tracked,
    ];
    assert!(train(folder.path(), "r", &settings).status.success());
    // weights alone
    let (from, to) = (folder.path().join("runs/r/checkpoints/step_5"), folder.path().join("loose"));
    std::fs::create_dir(&to).unwrap();
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(from.join(file), to.join(file)).unwrap();
    }
    let operators = [
        "--operator",
        "hessian",
        "--operator",
        "ggn",
        "--operator",
        "preconditioned",
        "--operator",
        "preconditioned-next",
    ];
    let small = ["--ckpt", "step_5", "--batch-size", "4", "--allow-unconverged", "--quiet"];
    let estimates =
        ["--top", "10", "--bottom", "1", "--trace", "--density", "--probes", "4", "--num-matvecs", "8"];
    for arguments in [
        [&["adam", "--resample", "3"], &small[..]].concat(),
        [&["angular"], &small[..]].concat(),
        [&["attention"], &small[..]].concat(),
        [&["sharpness"], &small[..]].concat(),
        [&["snr", "--micro-batches", "2"], &small[..]].concat(),
        [&["hessian"], &small[..], &operators, &estimates].concat(),
        [&["hessian", "--scope", "layers", "--density", "--probes", "2", "--num-matvecs", "8"], &small[..]]
            .concat(),
        [&["hessian", "--scope", "ln_", "--exact"], &small[..]].concat(),
        vec!["sharpness", "--ckpt", "loose", "--data", "synthetic"],
    ] {
        let output = warmlab(folder.path(), &arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }
    let mut found = BTreeSet::new();
    quantities(&folder.path().join("reports"), &mut found);
    let prefixes = ["hessian", "ggn", "preconditioned", "preconditioned_next"];
    let produced =
        |name: &str| prefixes.iter().any(|prefix| found.contains(&name.replace("{operator}", prefix)));
    let declared = ANALYSES.iter().flat_map(|analysis| analysis.quantities()).chain(training::QUANTITIES);
    // a loss that jumps is the test of what hears it
    let missing: Vec<&str> =
        declared.map(|q| q.name).filter(|name| !produced(name) && *name != "event/spike").collect();
    assert!(missing.is_empty(), "no test produces {missing:?}");
}

#[test]
fn the_dictionary_beside_the_reports_is_the_catalogues() {
    let made = stdout(&warmlab(&std::env::temp_dir(), &["list", "--dictionary"]));
    let kept = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/reports/README.md")).unwrap();
    assert!(made == kept, "run `warmlab list --dictionary > reports/README.md`");
}
