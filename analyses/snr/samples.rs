//! Moments of sampled gradients, tensor by tensor, so that every scope is a sum.

use std::ops::Range;

use crate::config::Parameter;
use crate::stats::noise::Moments;
use crate::values::Values;

/// Moments of the gradients of some sequences or micro-batches.
pub struct TensorMoments {
    parameters: Vec<Parameter>,
    moments: Vec<Moments>,
}

impl TensorMoments {
    /// Of no sample yet.
    pub fn new(parameters: Vec<Parameter>) -> Self {
        let moments = vec![Moments::default(); parameters.len()];
        TensorMoments { parameters, moments }
    }

    /// Adds the gradient of a sample; `mean` is that of all samples. Of a tied embedding both are the sum of its
    /// two uses.
    pub fn push(&mut self, gradient: &Values, mean: &Values) {
        for (parameter, moments) in self.parameters.iter().zip(&mut self.moments) {
            let range = parameter.range();
            moments.push(gradient.dot(gradient, range.clone()), gradient.dot(mean, range));
        }
    }

    /// Those of the tensors that lie in `ranges`.
    pub fn within(&self, ranges: &[Range<usize>]) -> Moments {
        let mut sum = Moments::default();
        for (parameter, moments) in self.parameters.iter().zip(&self.moments) {
            if ranges.iter().any(|r| r.start <= parameter.offset && parameter.range().end <= r.end) {
                sum.add(moments);
            }
        }
        sum
    }
}
