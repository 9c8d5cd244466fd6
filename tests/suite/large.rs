//! Models beyond the sizes at which kernels change their ways: attention over more than one block of rows, and a
//! vocabulary of more than one chunk, against PyTorch in float64; and any number of threads.

use std::path::Path;

use burn::tensor::Device;
use warmlab::architecture::GptConfig;
use warmlab::base::values::{DType, Values};
use warmlab::base::vectors::Vectors;
use warmlab::data::Batch;
use warmlab::linalg::LinearOperator;
use warmlab::model::Gpt;
use warmlab::operator::{Curvature, GaussNewton, Hessian, Keep};

use crate::support::relative;

/// Numbers in [-1/2, 1/2), the same as tests/fixtures/make.py makes: SplitMix64 at seed·2^32 + i.
fn uniform(seed: u64, n: usize) -> Vec<f64> {
    let number = |i: usize| {
        let z = (i as u64).wrapping_add(seed << 32).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / 2f64.powi(53) - 0.5
    };
    (0..n).map(number).collect()
}

/// A model and batch of tests/fixtures/large.json, and what PyTorch found.
struct Case {
    config: GptConfig,
    batch: Batch,
    values: Vec<f64>,
    found: serde_json::Value,
}

impl Case {
    fn open(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/large.json");
        let all: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let found = all[name].clone();
        let mut config: GptConfig = serde_json::from_value(found["config"].clone()).unwrap();
        config.bias = true;
        let [batch_size, seq] = ["batch_size", "seq"].map(|key| found[key].as_u64().unwrap() as usize);
        let vocab = config.vocab_size as f64;
        let ids = |seed| uniform(seed, batch_size * seq).iter().map(|u| ((u + 0.5) * vocab) as u32).collect();
        let mut values = uniform(1, config.num_parameters());
        for p in config.parameters() {
            if p.name.contains(".ln_") && p.name.ends_with("weight") {
                values[p.range()].iter_mut().for_each(|x| *x += 1.0);
            }
        }
        Case { batch: Batch::new(ids(2), ids(3), seq), config, values, found }
    }

    fn curvature(&self, dtype: DType) -> Curvature {
        let values = Values::F64(self.values.clone()).cast(dtype);
        let gpt = Gpt::new(&self.config, &values, &Device::flex()).unwrap();
        Curvature::new(gpt, &self.batch, self.batch.batch_size(), Keep::Kept).unwrap()
    }

    fn directions(&self, dtype: DType) -> Vectors {
        let n = self.values.len();
        let all = [10, 11, 12].map(|seed| uniform(seed, n)).concat();
        Vectors::new(Values::F64(all).cast(dtype), n)
    }

    /// Compares norm, projection and coordinates, all relative to the norm.
    fn agrees(&self, what: &str, vector: &[f64], expected: &serde_json::Value, tolerance: f64) {
        let expected: Vec<f64> = expected.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
        let n = vector.len();
        let norm = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
        let along: f64 = vector.iter().zip(uniform(5, n)).map(|(x, u)| x * u).sum();
        let places = (0..16).map(|j| vector[j * (n - 1) / 15]);
        // a projection sums the errors of all coordinates
        let allowed = [norm, norm * (n as f64).sqrt()].into_iter().chain([norm; 16]);
        let ours = [norm, along].into_iter().chain(places);
        for (i, ((ours, theirs), allowed)) in ours.zip(&expected).zip(allowed).enumerate() {
            let difference = (ours - theirs).abs();
            assert!(difference <= tolerance * allowed, "{what}, number {i}: {ours} against {theirs}");
        }
        assert_eq!(expected.len(), 18);
    }

    fn agrees_with_pytorch(&self) {
        for (dtype, tolerance) in [(DType::F64, 1e-10), (DType::F32, 2e-5)] {
            let curvature = self.curvature(dtype);
            let loss = self.found["loss"].as_f64().unwrap();
            assert!(
                (curvature.loss() - loss).abs() < tolerance * loss,
                "{} against {loss}",
                curvature.loss()
            );
            self.agrees("gradient", &curvature.gradient().to_f64(), &self.found["gradient"], tolerance);
            let directions = self.directions(dtype);
            for (name, products) in [
                ("hvp", Hessian(&curvature).apply(&directions).unwrap()),
                ("ggn_vp", GaussNewton(&curvature).apply(&directions).unwrap()),
            ] {
                for k in 0..3 {
                    let what = format!("{name} {k} in {dtype}");
                    self.agrees(&what, &products.row(k), &self.found[name][k], tolerance);
                }
            }
        }
    }
}

#[test]
fn attention_beyond_one_block_of_rows_agrees_with_pytorch() {
    Case::open("long").agrees_with_pytorch();
}

#[test]
fn a_vocabulary_beyond_one_chunk_agrees_with_pytorch() {
    Case::open("wide").agrees_with_pytorch();
}

#[test]
fn equal_counts_of_threads_give_equal_bits_and_others_differ_by_rounding() {
    let case = Case::open("long");
    for (dtype, tolerance) in [(DType::F64, 1e-13), (DType::F32, 1e-5)] {
        let products = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let curvature = case.curvature(dtype);
                let directions = case.directions(dtype);
                let hessian = Hessian(&curvature).apply(&directions).unwrap();
                let ggn = GaussNewton(&curvature).apply(&directions).unwrap();
                [hessian.values().clone(), ggn.values().clone(), curvature.gradient().clone()]
            })
        };
        let one = products(1);
        for threads in [1, 2, 3, 7] {
            let (first, second) = (products(threads), products(threads));
            for ((first, second), one) in first.iter().zip(&second).zip(&one) {
                assert!(first == second, "{threads} threads in {dtype} do not repeat themselves");
                let difference = relative(&first.to_f64(), &one.to_f64());
                assert!(difference <= tolerance, "{threads} threads in {dtype}: {difference:e} from one");
            }
        }
    }
}
