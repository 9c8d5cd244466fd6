//! Moments of sampled gradients, tensor by tensor, so that every scope is a sum.

use std::ops::Range;

use crate::architecture::Parameter;
use crate::model::GradientMoments;
use crate::stats::noise::Moments;

/// Moments of the gradients of some sequences or micro-batches. Of a tied embedding a gradient is the sum of its
/// two uses.
pub struct TensorMoments {
    parameters: Vec<Parameter>,
    moments: Vec<Moments>,
}

impl TensorMoments {
    /// Of what a pass gave for the tensors of `parameters`.
    pub fn new(parameters: Vec<Parameter>, gradients: &GradientMoments) -> Self {
        let of_tensor = |samples: &Vec<[f64; 2]>| {
            let mut moments = Moments::default();
            samples.iter().for_each(|[own, with_mean]| moments.push(*own, *with_mean));
            moments
        };
        let moments = gradients.tensors().iter().map(of_tensor).collect();
        TensorMoments { parameters, moments }
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
