//! Norms of the gradients of parts of a batch, and their products with the batch's gradient, against those
//! gradients themselves.

use burn::tensor::Device;
use warmlab::architecture::GptConfig;
use warmlab::base::values::DType;
use warmlab::data::Batch;
use warmlab::model::{Gpt, GradientMoments};
use warmlab::operator::{Curvature, Keep};

use crate::support::{batch, config, parameters};

/// Largest differences of the two numbers from those of gradients at hand, in units of ‖g_i‖² and ‖g_i‖‖ḡ‖ of
/// each tensor; tensors that are nothing beside the largest are measured against that one.
fn differences(
    config: &GptConfig,
    batch: &Batch,
    dtype: DType,
    micro_batch: usize,
    keep: Keep,
    sequences: usize,
) -> f64 {
    let values = parameters(config, 3).cast(dtype);
    let gpt = Gpt::new(config, &values, &Device::flex()).unwrap();
    let (_, mean) = gpt.gradient(batch, batch.batch_size()).unwrap();
    let list = config.parameters();
    let mut truth = GradientMoments::new(&list);
    for piece in batch.micro_batches(sequences) {
        truth.push(&list, &gpt.gradient(&piece, 1).unwrap().1, &mean);
    }
    let curvature = Curvature::new(gpt, batch, micro_batch, keep).unwrap();
    let found = curvature.moments(sequences).unwrap();
    assert_eq!(found, curvature.moments(sequences).unwrap(), "twice the same bits");
    assert_eq!(found.samples(), batch.batch_size() / sequences);
    let mut largest = 0.0f64;
    for ((found, truth), p) in found.tensors().iter().zip(truth.tensors()).zip(&list) {
        let mean = mean.dot(&mean, p.range()).sqrt();
        for (found, truth) in found.iter().zip(truth) {
            let size = truth[0].sqrt();
            let errors = [(found[0] - truth[0]) / truth[0], (found[1] - truth[1]) / (size * mean)];
            assert!(errors.iter().all(|e| e.is_finite()), "{}: {found:?} {truth:?}", p.name);
            largest = errors.iter().fold(largest, |largest, e| largest.max(e.abs()));
        }
    }
    largest
}

fn model(bias: bool, tied: bool, vocab_size: usize, n_embd: usize) -> GptConfig {
    config(&format!(
        r#"{{"n_layer": 2, "n_head": 2, "n_embd": {n_embd}, "block_size": 40, "vocab_size": {vocab_size},
            "bias": {bias}, "tied_lm_head": {tied}}}"#
    ))
}

/// Two passes round differently over some forty sums one after the other, and a square doubles that; what cancels
/// within a gradient, a factor of a few here, counts twice in the product of Gram matrices.
fn close(dtype: DType) -> f64 {
    200.0 * dtype.epsilon()
}

#[test]
fn they_are_those_of_the_gradients() {
    // short sequences take Gram matrices, long ones do not; both repeat tokens
    for seq in [3, 5, 40] {
        for (bias, tied) in [(false, false), (false, true), (true, false), (true, true)] {
            let config = model(bias, tied, 11, 12);
            let batch = batch(&config, 6, seq, 8);
            for dtype in [DType::F64, DType::F32] {
                for (micro_batch, keep) in [(6, Keep::Kept), (2, Keep::Kept), (2, Keep::Recomputed)] {
                    for sequences in [1, 2] {
                        let error = differences(&config, &batch, dtype, micro_batch, keep, sequences);
                        assert!(error < close(dtype), "{seq} {bias} {tied} {dtype} {sequences}: {error:e}");
                    }
                }
                // parts that no micro-batch has whole
                let error = differences(&config, &batch, dtype, 2, Keep::Kept, 3);
                assert!(error < close(dtype), "{seq} {bias} {tied} {dtype}: {error:e}");
            }
        }
    }
}

#[test]
fn a_vocabulary_of_several_chunks_is_summed_up() {
    for (tied, dtype, sequences) in [(true, DType::F64, 1), (false, DType::F32, 2)] {
        // more numbers than probabilities are kept of
        let config = model(false, tied, 120_000, 4);
        let tokens = batch(&config, 4, 40, 5);
        assert!(tokens.num_tokens() * config.vocab_size > warmlab::kernels::cross_entropy::KEPT);
        // a few tokens often, in the first chunk and the last
        let ids = |ids: &[u32]| -> Vec<u32> {
            let place = |(i, id): (usize, &u32)| if i % 3 == 0 { 119_990 + id % 4 } else { id % 50_000 };
            ids.iter().enumerate().map(place).collect()
        };
        let batch = Batch::new(ids(tokens.x()), ids(tokens.y()), 40);
        let error = differences(&config, &batch, dtype, 4, Keep::Kept, sequences);
        assert!(error < close(dtype), "{tied} {dtype}: {error:e}");
    }
}
