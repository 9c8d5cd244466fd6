//! Curvature as Adam's next update meets it, and of parts of the model, against PyTorch's dense matrices in float64.

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use warmlab::base::row::{Row, Status};
use warmlab::base::values::{DType, Values};
use warmlab::data::read_batch;
use warmlab::run::{self, Checkpoint};
use warmlab::snapshot::Snapshot;

use crate::support::{analysis, measure, settings};

fn fixtures() -> [PathBuf; 2] {
    ["tiny-bias", "tiny-nobias"]
        .map(|name| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name))
}

/// Numbers of next.safetensors.
struct Reference(Vec<u8>);

impl Reference {
    fn of(folder: &Path) -> Self {
        Reference(std::fs::read(folder.join("next.safetensors")).unwrap())
    }

    fn list(&self, name: &str) -> Vec<f64> {
        let tensors = SafeTensors::deserialize(&self.0).unwrap();
        let data = tensors.tensor(name).unwrap().data().to_vec();
        data.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()
    }

    fn number(&self, name: &str) -> f64 {
        self.list(name)[0]
    }
}

/// The checkpoint of a run that clips as the fixture says, or never.
fn checkpoint(folder: &Path, grad_clip: f64, dtype: DType) -> Checkpoint {
    let mut checkpoint = run::open(folder, dtype).unwrap();
    checkpoint.optimizer.as_mut().unwrap().grad_clip = Some(grad_clip);
    checkpoint
}

fn rows(folder: &Path, checkpoint: Checkpoint, name: &str, options: &[(&str, &str)]) -> Vec<Row> {
    let dtype = checkpoint.parameters.dtype();
    let batch = read_batch(&folder.join("batch.safetensors")).unwrap();
    measure(analysis(name), &Snapshot::new(checkpoint, batch, settings(dtype, None, 1)), options)
}

fn values(rows: &[Row], quantity: &str, scope: &str) -> Vec<f64> {
    let of = rows.iter().filter(|row| &*row.quantity == quantity && &*row.scope == scope);
    of.map(|row| row.value.unwrap()).collect()
}

/// Every eigenvalue, in units of the largest.
fn same(found: &[f64], truth: &[f64], close: f64, what: &str) {
    let size = truth.iter().fold(0.0f64, |size, x| size.max(x.abs()));
    assert_eq!(found.len(), truth.len(), "{what}");
    for (i, (found, truth)) in found.iter().zip(truth).enumerate() {
        assert!((found - truth).abs() < close * size, "{what} {i}: {found} {truth}");
    }
}

#[test]
fn preconditioned_next_is_pytorchs_with_and_without_clipping() {
    for folder in fixtures() {
        let reference = Reference::of(&folder);
        for (prefix, grad_clip) in [("", 0.0), ("clipped_", reference.number("threshold"))] {
            let truth = reference.list(&format!("{prefix}eigenvalues"));
            let options = [("operator", "preconditioned-next"), ("exact", "true")];
            let exact = rows(&folder, checkpoint(&folder, grad_clip, DType::F64), "hessian", &options);
            let found = values(&exact, "preconditioned_next/lambda", "all");
            same(&found, &truth, 1e-9, &format!("{} {prefix}", folder.display()));
            // and by Lanczos, within its residual
            let options = [("operator", "preconditioned-next"), ("top", "3")];
            let rows = rows(&folder, checkpoint(&folder, grad_clip, DType::F64), "hessian", &options);
            for (row, truth) in
                rows.iter().filter(|r| &*r.quantity == "preconditioned_next/lambda").zip(&truth)
            {
                assert!(
                    (row.value.unwrap() - truth).abs() <= row.uncertainty.unwrap() + 1e-9 * truth,
                    "{row:?}"
                );
                assert_eq!(row.status, Status::Ok);
            }
        }
    }
}

#[test]
fn the_masked_matrix_is_pytorchs_without_those_coordinates() {
    for folder in fixtures() {
        let truth = Reference::of(&folder).list("masked_eigenvalues");
        let mut checkpoint = checkpoint(&folder, 0.0, DType::F64);
        let v = checkpoint.optimizer.as_mut().unwrap().vectors.get_mut("exp_avg_sq").unwrap();
        let n = v.len();
        let floor = |i: usize, x: f64| if i % 7 == 3 { 1e-18 } else { x };
        *v = Values::F64((0..n).map(|i| floor(i, v.get(i))).collect());
        let exact = [("operator", "preconditioned"), ("exact", "true")];
        let rows = rows(&folder, checkpoint, "hessian", &exact);
        same(&values(&rows, "preconditioned/lambda_masked", "all"), &truth, 1e-9, "masked");
        let share = (0..n).filter(|i| i % 7 == 3).count() as f64 / n as f64;
        assert_eq!(values(&rows, "preconditioned/masked_fraction", "all"), [share]);
    }
}

#[test]
fn heads_and_layers_are_pytorchs_blocks() {
    for folder in fixtures() {
        let reference = Reference::of(&folder);
        let of = |scope: &str| {
            let options = [("scope", scope), ("exact", "true")];
            rows(&folder, checkpoint(&folder, 0.0, DType::F64), "hessian", &options)
        };
        let (layers, heads) = (of("layers"), of("heads"));
        for layer in 0..2 {
            for head in 0..2 {
                let name = format!("transformer.h.{layer}.attn[{head}]");
                let found = values(&heads, "hessian/lambda", &name);
                same(&found, &reference.list(&format!("head.{layer}.{head}")), 1e-9, &name);
                let row = heads.iter().find(|row| *row.scope == *name).unwrap();
                assert_eq!((row.layer, row.head), (Some(layer), Some(head)));
            }
        }
        for part in ["h.0", "h.1", "wte", "wpe", "ln_f"] {
            let name = format!("transformer.{part}");
            let found = values(&layers, "hessian/lambda", &name);
            same(&found, &reference.list(&format!("layer.{name}")), 1e-9, &name);
        }
    }
}

#[test]
fn sharpness_of_the_next_update_is_pytorchs_with_and_without_clipping() {
    for folder in fixtures() {
        let reference = Reference::of(&folder);
        for (prefix, grad_clip) in [("", 0.0), ("clipped_", reference.number("threshold"))] {
            let rows = rows(&folder, checkpoint(&folder, grad_clip, DType::F64), "sharpness", &[]);
            let row =
                |name: &str| rows.iter().find(|row| *row.quantity == *format!("sharpness/{name}")).unwrap();
            let truth = |name: &str| reference.number(&format!("{prefix}{name}"));
            let what = format!("{} {prefix}", folder.display());
            for name in ["gradient_adam", "directional"] {
                let (found, truth) = (row(name).value.unwrap(), truth(name));
                assert!((found / truth - 1.0).abs() < 1e-9, "{what} {name}: {found} {truth}");
            }
            // the bracket holds the rate at which the loss is back where it was
            let (critical, truth) = (row("critical"), truth("critical"));
            let off = (critical.value.unwrap() - truth).abs();
            assert!(off <= critical.uncertainty.unwrap(), "{what}: {critical:?} {truth}");
            assert!(critical.uncertainty.unwrap() <= 0.04 * truth, "{what}: {critical:?} {truth}");
        }
    }
}
