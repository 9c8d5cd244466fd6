//! Products with the Hessian of whole models against second differences of the loss, and the identities a
//! Hessian has, over random shapes, both activations, with and without bias and tying.

use burn::tensor::Device;
use proptest::prelude::*;
use warmlab::architecture::GptConfig;
use warmlab::base::random::stream;
use warmlab::base::values::{DType, Values};
use warmlab::base::vectors::Vectors;
use warmlab::data::Batch;
use warmlab::linalg::LinearOperator;
use warmlab::model::Gpt;
use warmlab::operator::{Curvature, GaussNewton, Hessian, Keep};

use crate::support::{batch, config, numbers, parameters, relative, tiny};

fn model(config: &GptConfig, values: &Values) -> Gpt {
    Gpt::new(config, values, &Device::flex()).unwrap()
}

fn curvature(config: &GptConfig, values: &Values, batch: &Batch) -> Curvature {
    Curvature::new(model(config, values), batch, batch.batch_size(), Keep::Kept).unwrap()
}

fn loss(config: &GptConfig, values: &[f64], direction: &[f64], by: f64, batch: &Batch) -> f64 {
    let moved = values.iter().zip(direction).map(|(x, d)| x + by * d).collect();
    model(config, &Values::F64(moved)).loss(batch, batch.batch_size()).unwrap()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn products_are_second_differences_of_the_loss(
        n_layer in 1usize..3, n_head in 1usize..3, d in 1usize..4, block in 2usize..7, vocab in 2usize..8,
        batch_size in 1usize..4, bias in any::<bool>(), tied in any::<bool>(), exact in any::<bool>(), seed in 0u64..1000,
    ) {
        let activation = if exact { "gelu" } else { "gelu_tanh" };
        let config = config(&format!(
            r#"{{"n_layer": {n_layer}, "n_head": {n_head}, "n_embd": {}, "block_size": {block},
                "vocab_size": {vocab}, "bias": {bias}, "tied_lm_head": {tied}, "activation": "{activation}"}}"#,
            n_head * (d + 3)
        ));
        let values = parameters(&config, seed);
        let batch = batch(&config, batch_size, block, seed);
        let curvature = curvature(&config, &values, &batch);
        let n = config.num_parameters();
        let v = numbers(&mut stream(seed, 0, "direction"), n);
        let norm = dot(&v, &v).sqrt();
        let v: Vec<f64> = v.iter().map(|x| x / norm).collect();
        let product = Hessian(&curvature).apply(&Vectors::new(Values::F64(v.clone()), n)).unwrap().row(0);
        let exact = dot(&v, &product);
        let x = values.to_f64();
        let second = |h: f64| {
            let at = |by| loss(&config, &x, &v, by, &batch);
            (at(h) - 2.0 * at(0.0) + at(-h)) / (h * h)
        };
        // halving the step quarters the error, until rounding (1e-15/h²) takes over
        let (coarse, fine) = ((second(4e-3) - exact).abs(), (second(2e-3) - exact).abs());
        let rounding = 1e-9;
        prop_assert!(fine < 0.35 * coarse + rounding, "errors {coarse:.2e} {fine:.2e} of {exact}");
        prop_assert!(fine < 1e-2 * exact.abs().max(1.0));
    }
}

#[test]
fn hessians_are_symmetric_linear_and_the_same_on_parts() {
    for (bias, tied, activation) in [(true, true, "gelu"), (false, false, "gelu_tanh"), (true, false, "gelu")]
    {
        let config = tiny(bias, tied, activation);
        let values = parameters(&config, 3);
        let batch = batch(&config, 5, 7, 3);
        let kept = curvature(&config, &values, &batch);
        let n = config.num_parameters();
        let vectors = Vectors::new(Values::F64(numbers(&mut stream(3, 0, "v"), 4 * n)), n);
        for ggn in [false, true] {
            let (hessian, gauss_newton) = (Hessian(&kept), GaussNewton(&kept));
            let operator: &dyn LinearOperator = if ggn { &gauss_newton } else { &hessian };
            let product = operator.apply(&vectors).unwrap();
            let (u, v) = (vectors.row(0), vectors.row(1));
            let (hu, hv) = (product.row(0), product.row(1));
            let size = dot(&hu, &hu).sqrt() * dot(&v, &v).sqrt();
            assert!((dot(&u, &hv) - dot(&v, &hu)).abs() < 1e-13 * size);
            // one by one, and a combination
            let combined: Vec<f64> = (0..n).map(|i| 2.0 * u[i] - 0.5 * v[i]).collect();
            let one = operator.apply(&Vectors::new(Values::F64(combined), n)).unwrap().row(0);
            let expected: Vec<f64> = (0..n).map(|i| 2.0 * hu[i] - 0.5 * hv[i]).collect();
            assert!(relative(&one, &expected) < 1e-13);
            if ggn {
                assert!((0..4).all(|i| dot(&vectors.row(i), &product.row(i)) > 0.0));
            }
            // micro-batches that do not divide the batch, recomputed for every product
            let pieces = Curvature::new(model(&config, &values), &batch, 2, Keep::Recomputed).unwrap();
            let (hessian, gauss_newton) = (Hessian(&pieces), GaussNewton(&pieces));
            let operator: &dyn LinearOperator = if ggn { &gauss_newton } else { &hessian };
            assert!(relative(&operator.apply(&vectors).unwrap().row(2), &product.row(2)) < 1e-13);
        }
        assert!(
            relative(
                &kept.gradient().to_f64(),
                &model(&config, &values).gradient(&batch, 5).unwrap().1.to_f64()
            ) < 1e-14
        );
    }
}

#[test]
fn single_precision_is_double_precision_rounded() {
    let config = tiny(true, true, "gelu");
    let values = parameters(&config, 5);
    let batch = batch(&config, 4, 7, 5);
    let n = config.num_parameters();
    let v = Values::F64(numbers(&mut stream(5, 0, "v"), n));
    let double =
        Hessian(&curvature(&config, &values, &batch)).apply(&Vectors::new(v.clone(), n)).unwrap().row(0);
    let single = curvature(&config, &values.cast(DType::F32), &batch);
    let single = Hessian(&single).apply(&Vectors::new(v.cast(DType::F32), n)).unwrap().row(0);
    assert!(relative(&single, &double) < 1e-5);
}
