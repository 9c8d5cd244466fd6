//! What every analysis of the catalogue promises.

use std::collections::BTreeSet;

use warmlab::analyses::ANALYSES;

use crate::support::{stdout, train, warmlab};

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
        for option in analysis.options() {
            assert!(!option.help.is_empty() && option.help.len() < 120, "{name} --{}", option.name);
            assert_eq!(option.value.is_empty(), option.default.is_empty(), "{name} --{}", option.name);
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
            let path = folder.path().join(out).join("r").join(name).join("step_5.parquet");
            (stdout(&output), std::fs::read(path).unwrap())
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

#[test]
fn the_dictionary_beside_the_reports_is_the_catalogues() {
    let made = stdout(&warmlab(&std::env::temp_dir(), &["list", "--dictionary"]));
    let kept = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/reports/README.md")).unwrap();
    assert!(made == kept, "run `warmlab list --dictionary > reports/README.md`");
}
