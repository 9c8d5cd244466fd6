//! The model and its spectra against numbers made with PyTorch in float64, on tiny checkpoints.

use std::path::Path;

use burn::tensor::Device;
use safetensors::SafeTensors;
use warmlab::analyses::ANALYSES;
use warmlab::base::observer::Silent;
use warmlab::base::row::{Row, Status};
use warmlab::base::settings::Settings;
use warmlab::base::values::{DType, Values};
use warmlab::base::vectors::Vectors;
use warmlab::data::{Batch, read_batch};
use warmlab::model::{Gpt, Primal, fold};
use warmlab::run::{self, Checkpoint};
use warmlab::snapshot::Snapshot;
use warmlab::snapshot::analysis::Analysis;

use crate::support::{references, relative};

struct Golden {
    checkpoint: Checkpoint,
    gpt: Gpt,
    batch: Batch,
    reference: Vec<u8>,
    loss: f64,
}

impl Golden {
    fn open(path: &Path, dtype: DType) -> Self {
        let checkpoint = run::open(path, dtype).unwrap();
        let gpt = Gpt::new(&checkpoint.config, &checkpoint.parameters, &Device::flex()).unwrap();
        let batch = read_batch(&path.join("batch.safetensors")).unwrap();
        let text = std::fs::read_to_string(path.join("reference.json")).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let reference = std::fs::read(path.join("reference.safetensors")).unwrap();
        Golden { checkpoint, gpt, batch, reference, loss: json["loss"].as_f64().unwrap() }
    }

    fn reference(&self, name: &str) -> Vec<f64> {
        let tensors = SafeTensors::deserialize(&self.reference).unwrap();
        let view = tensors.tensor(name).unwrap();
        view.data().as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect()
    }

    fn rows(&self, options: &[(&str, &str)]) -> Vec<Row> {
        let settings = Settings {
            dtype: self.gpt.dtype(),
            device: Default::default(),
            micro_batch: None,
            memory: 4 << 30,
            seed: 1,
        };
        let snapshot = Snapshot::new(self.checkpoint.clone(), self.batch.clone(), settings);
        let hessian = hessian();
        let chosen = hessian.options().parse(options.iter().copied()).unwrap();
        hessian.run(&snapshot, &chosen, &Silent).unwrap()
    }
}

fn hessian() -> &'static dyn Analysis {
    *ANALYSES.iter().find(|a| a.name() == "hessian").unwrap()
}

fn values(rows: &[Row], quantity: &str, scope: &str) -> Vec<f64> {
    let wanted = rows.iter().filter(|r| &*r.quantity == quantity && &*r.scope == scope);
    wanted.map(|r| r.value.unwrap()).collect()
}

/// f64 sums of a few thousand terms lose three digits of sixteen; f32 of eight, with exponentials.
fn tolerance(dtype: DType) -> f64 {
    match dtype {
        DType::F64 => 1e-10,
        DType::F32 => 1e-4,
    }
}

#[test]
fn loss_logits_gradient_and_products_agree_with_pytorch() {
    for path in references() {
        let name = path.display();
        for dtype in [DType::F64, DType::F32] {
            let golden = Golden::open(&path, dtype);
            let close = tolerance(dtype);
            let micro = golden.batch.batch_size();
            let loss = golden.gpt.loss(&golden.batch, micro).unwrap();
            assert!((loss / golden.loss - 1.0).abs() < close, "{name} {dtype}: loss {loss} {}", golden.loss);
            let logits = golden.gpt.logits(&golden.batch).unwrap();
            assert!(relative(&logits, &golden.reference("logits")) < close, "{name} {dtype}: logits");

            let n = golden.gpt.layout().n();
            let vectors = Vectors::new(Values::F64(golden.reference("vectors")).cast(dtype), n);
            // the whole batch, and in micro-batches that do not divide it evenly
            for micro in [micro, 4] {
                let (_, gradient) = golden.gpt.gradient(&golden.batch, micro).unwrap();
                let error = relative(&gradient.to_f64(), &golden.reference("grad"));
                assert!(error < close, "{name} {dtype}: gradient {error}");
                let (gradient, hvp, ggn) = fold(&golden.batch.micro_batches(micro), |_, piece| {
                    let weight = 1.0 / golden.batch.num_tokens() as f64;
                    let (primal, _, part) = Primal::new(&golden.gpt, piece, weight);
                    let hvp = primal.hessian_product(&golden.gpt, &vectors);
                    (part, hvp, primal.gauss_newton_product(&golden.gpt, &vectors))
                });
                assert!(relative(&gradient.row(0), &golden.reference("grad")) < close);
                for (product, name) in [(hvp, "hvp"), (ggn, "ggn_vp")] {
                    let error = relative(&product.values().to_f64(), &golden.reference(name));
                    assert!(error < close, "{name} {dtype}: {error}");
                }
            }
        }
    }
}

#[test]
fn whole_spectra_agree_with_pytorch() {
    for path in references() {
        let name = path.display();
        for (dtype, close) in [(DType::F64, 1e-9), (DType::F32, 1e-4)] {
            let golden = Golden::open(&path, dtype);
            for operator in ["hessian", "ggn", "preconditioned"] {
                let rows = golden.rows(&[("exact", "true"), ("operator", operator)]);
                let found = values(&rows, &format!("{operator}/lambda"), "all");
                let truth = golden.reference(&format!("{operator}_eigenvalues"));
                let size = truth[0].abs().max(truth[truth.len() - 1].abs());
                assert_eq!(found.len(), truth.len());
                for (i, (found, truth)) in found.iter().zip(&truth).enumerate() {
                    let error = (found - truth).abs() / size;
                    assert!(error < close, "{name} {dtype} {operator} {i}: {found} {truth}");
                }
            }
        }
    }
}

#[test]
fn spectra_of_blocks_agree_with_pytorch() {
    for path in references() {
        let golden = Golden::open(&path, DType::F64);
        let rows = golden.rows(&[("exact", "true"), ("scope", "blocks")]);
        for parameter in golden.gpt.layout().parameters() {
            let found = values(&rows, "hessian/lambda", &parameter.name);
            let truth = golden.reference(&format!("block_eigenvalues.{}", parameter.name));
            let size = truth.iter().fold(0.0f64, |m, x| m.max(x.abs()));
            assert_eq!(found.len(), truth.len());
            // a key bias alone is an exact null block: its eigenvalues are rounding on both sides
            let scale = size.max(1e-6);
            assert!(
                found.iter().zip(&truth).all(|(f, t)| (f - t).abs() < 1e-9 * scale),
                "{}",
                parameter.name
            );
        }
    }
}

#[test]
fn lanczos_is_within_its_own_residual_of_the_truth() {
    for path in references() {
        let name = path.display();
        for dtype in [DType::F64, DType::F32] {
            let golden = Golden::open(&path, dtype);
            for operator in ["hessian", "ggn", "preconditioned"] {
                // the low end of the Gauss-Newton matrix is a cluster at 0 that no tolerance relative to it separates
                let bottom = if operator == "ggn" { "0" } else { "2" };
                let rows = golden.rows(&[("operator", operator), ("top", "5"), ("bottom", bottom)]);
                let truth = golden.reference(&format!("{operator}_eigenvalues"));
                // what rounding of the products in this precision may move an eigenvalue by
                let rounding = truth[0] * tolerance(dtype);
                for row in rows.iter().filter(|r| r.quantity.starts_with(&format!("{operator}/lambda"))) {
                    let i = row.index.unwrap() as usize - 1;
                    let masked = row.quantity.ends_with("masked");
                    let min = row.quantity.ends_with("min");
                    let truth = if min { truth[truth.len() - 1 - i] } else { truth[i] };
                    assert_eq!(row.status, Status::Ok, "{row:?}");
                    let error = (row.value.unwrap() - truth).abs();
                    assert!(
                        masked || error <= row.uncertainty.unwrap() + rounding,
                        "{name} {dtype} {row:?} {truth}"
                    );
                }
            }
        }
    }
}
