//! A gradient, and what the passes that make it let be seen on the way.
//!
//! Of a batch cut into A micro-batches the moments ‖g_j‖² and g_j·ḡ need ḡ, which is there only when all g_j are.
//! So the g_j are kept to the end of the batch, A·n numbers, which takes no second pass; where they are more than
//! [`KEPT`], each is computed again, in the time of a second gradient and the memory of one. Both give the same.
//! Taking them from activations instead, as [`Primal::moments`](super::Primal::moments) does, would keep the passes
//! of all micro-batches, and to hold one at a time is what accumulation is for.

use super::fold::try_fold;
use super::forward::Forward;
use super::gpt::Gpt;
use super::inputs::LayerInputs;
use super::moments::GradientMoments;
use super::statistics::ForwardStatistics;
use crate::base::error::Result;
use crate::base::values::Values;
use crate::data::Batch;

/// Numbers of the gradients of micro-batches that are kept: 1 GiB in f32.
const KEPT: usize = 1 << 28;

/// What to look at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Look<'a> {
    /// The linear layers' inputs for these tokens (positions in the batch, ascending).
    pub tokens: Option<&'a [usize]>,
    /// Attention and the residual stream.
    pub statistics: bool,
    /// The gradients of the micro-batches.
    pub micro_batches: bool,
}

/// What was seen, where it was looked at.
pub struct Seen {
    /// Inputs of the linear layers.
    pub inputs: Option<LayerInputs>,
    /// Attention and the residual stream.
    pub statistics: Option<ForwardStatistics>,
    /// Of the gradient g_j of each micro-batch's mean loss and that of the batch, ḡ: ‖g_j‖² and g_j·ḡ.
    pub micro_batches: Option<GradientMoments>,
}

impl Gpt {
    /// (mean loss, its gradient, what the same passes let be seen).
    ///
    /// # Errors
    /// [`Error::Usage`](crate::base::error::Error::Usage) where the batch does not fit the model.
    ///
    /// # Panics
    /// Where micro-batches that are looked at are not all of one size: a caller's mistake.
    pub fn gradient_observed(
        &self,
        batch: &Batch,
        micro_batch: usize,
        look: Look,
    ) -> Result<(f64, Values, Seen)> {
        let keep = look.micro_batches && batch.batch_size().div_ceil(micro_batch) * self.layout().n() <= KEPT;
        let mut first = 0;
        let see = |forward: &Forward, part: &Values| {
            let inputs = look.tokens.map(|tokens| self.inputs_of(forward, first, tokens));
            first += forward.nll.len();
            let statistics = look.statistics.then(|| ForwardStatistics::new(forward, self.layout()));
            (inputs, statistics, if keep { vec![part.clone()] } else { vec![] })
        };
        let (loss, gradient, (inputs, statistics, parts)) =
            self.gradient_with(batch, micro_batch, look.statistics, see)?;
        let moments = || self.micro_moments(batch, micro_batch, &parts, &gradient);
        let micro_batches = look.micro_batches.then(moments).transpose()?;
        Ok((loss, gradient, Seen { inputs, statistics, micro_batches }))
    }

    /// From the parts that add up to the gradient `mean`, or without any kept.
    fn micro_moments(
        &self,
        batch: &Batch,
        micro_batch: usize,
        parts: &[Values],
        mean: &Values,
    ) -> Result<GradientMoments> {
        assert!(batch.batch_size().is_multiple_of(micro_batch));
        let parameters = self.layout().parameters();
        if parts.is_empty() {
            return try_fold(&batch.micro_batches(micro_batch), |_, piece| {
                let (_, gradient) = self.gradient(piece, micro_batch)?;
                Ok(GradientMoments::of(parameters, &gradient, mean))
            });
        }
        let mut moments = GradientMoments::new(parameters);
        parts.iter().for_each(|part| moments.push(parameters, part, mean));
        // a part counts as much as its share of the tokens
        moments.scale(parts.len() as f64);
        Ok(moments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    use crate::architecture::GptConfig;

    #[test]
    fn gradients_that_are_kept_and_computed_again_say_the_same() {
        let config: GptConfig = serde_json::from_str(
            r#"{"n_layer": 1, "n_head": 2, "n_embd": 4, "block_size": 5, "vocab_size": 7, "bias": true}"#,
        )
        .expect("valid");
        let values = (0..config.num_parameters()).map(|i| (i as f64 * 0.7).sin()).collect();
        let gpt = Gpt::new(&config, &Values::F64(values), &Device::flex()).expect("fits");
        let batch = Batch::new((0..30).map(|i| i * i % 7).collect(), (0..30).map(|i| i * 3 % 7).collect(), 5);
        let look = Look { micro_batches: true, ..Look::default() };
        let (_, mean, seen) = gpt.gradient_observed(&batch, 2, look).expect("fits");
        let kept = seen.micro_batches.expect("looked at");
        let again = gpt.micro_moments(&batch, 2, &[], &mean).expect("fits");
        assert_eq!((kept.samples(), again.samples()), (3, 3));
        for (kept, again) in kept.tensors().iter().flatten().zip(again.tensors().iter().flatten()) {
            let size = again[0].max(again[1].abs()).max(1e-12);
            assert!((kept[0] - again[0]).abs() < 1e-12 * size, "{kept:?} {again:?}");
            assert!((kept[1] - again[1]).abs() < 1e-12 * size, "{kept:?} {again:?}");
        }
    }
}
