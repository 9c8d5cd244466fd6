//! Spectra known in closed form, through the whole production path.

use burn::tensor::Device;
use ndarray::Array2;
use ndarray_linalg::{Eigh, UPLO};
use warmlab::analyses::ANALYSES;
use warmlab::base::observer::Silent;
use warmlab::base::row::Status;
use warmlab::base::settings::Settings;
use warmlab::base::values::{DType, Values};
use warmlab::model::Gpt;
use warmlab::run::Checkpoint;
use warmlab::snapshot::Snapshot;

use crate::support::{batch, config, parameters};

/// With an untied head of zeros every token is equally likely, and the Hessian of the head's block is
/// (1/V)(I − 11ᵀ/V) ⊗ E[h hᵀ]: eigenvalues λ(E[h hᵀ])/V, each V−1 times, and C zeros.
#[test]
fn the_block_of_a_zero_head_is_the_second_moment_of_its_input() {
    let config = config(
        r#"{"n_layer": 2, "n_head": 2, "n_embd": 6, "block_size": 7, "vocab_size": 9, "tied_lm_head": false}"#,
    );
    let (c, v) = (config.n_embd, config.vocab_size);
    let batch = batch(&config, 6, 7, 11);
    let mut values = parameters(&config, 11).to_f64();
    let head = config.parameters().into_iter().find(|p| p.name == "lm_head.weight").unwrap();

    // a head of unit vectors makes the first C logits h itself
    let mut unit = values.clone();
    unit[head.range()].fill(0.0);
    (0..c).for_each(|i| unit[head.offset + i * c + i] = 1.0);
    let logits = Gpt::new(&config, &Values::F64(unit), &Device::flex()).unwrap().logits(&batch).unwrap();
    let tokens = batch.num_tokens();
    let h = Array2::from_shape_fn((tokens, c), |(t, i)| logits[t * v + i]);
    let moment = h.t().dot(&h) / tokens as f64;
    let (expected, _) = moment.eigh(UPLO::Lower).unwrap();

    values[head.range()].fill(0.0);
    for (dtype, close) in [(DType::F64, 1e-10), (DType::F32, 1e-5)] {
        let checkpoint = Checkpoint {
            without_optimizer: None,
            path: "".into(),
            run: "closed-form".into(),
            format: "native",
            step: 0,
            config: config.clone(),
            parameters: Values::F64(values.clone()).cast(dtype),
            optimizer: None,
            next_grad_norm: None,
            loss: None,
            seed: None,
            notes: vec![],
            sha256: String::new(),
        };
        let settings =
            Settings { dtype, device: Default::default(), micro_batch: None, memory: 1 << 30, seed: 0 };
        let snapshot = Snapshot::new(checkpoint, batch.clone(), settings);
        let hessian = ANALYSES.iter().find(|a| a.name() == "hessian").unwrap();
        // one eigenvalue V−1 = 8 times, and two of the next
        let top = (v + 1).to_string();
        let options = [("scope", "^lm_head"), ("top", &*top), ("bottom", "0")];
        let options = hessian.options().parse(options).unwrap();
        let rows = hessian.run(&snapshot, &options, &Silent).unwrap();
        let lambda: Vec<_> = rows.iter().filter(|r| &*r.quantity == "hessian/lambda").collect();
        assert_eq!(lambda.len(), v + 1);
        for (i, row) in lambda.iter().enumerate() {
            let exact = expected[c - 1 - i / (v - 1)] / v as f64;
            assert_eq!(row.status, Status::Ok, "{dtype} {row:?}");
            assert!((row.value.unwrap() / exact - 1.0).abs() < close, "{dtype}: {row:?} {exact}");
        }
        let loss = rows.iter().find(|r| &*r.quantity == "loss/mean").unwrap().value.unwrap();
        assert!((loss - (v as f64).ln()).abs() < close);
    }
}
