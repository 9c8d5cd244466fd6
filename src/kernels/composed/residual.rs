//! Mean squares of the residual stream, composed.

use burn::backend::Backend;
use burn::backend::tensor::FloatTensor as F;

use crate::kernels::array::Array;

pub fn residual<B: Backend>(x: F<B>, middle: F<B>, y: F<B>) -> F<B> {
    let (x, middle, y) = (Array::<B>(x), Array::<B>(middle), Array::<B>(y));
    let parts = [x.clone(), middle.clone() - x, y - middle];
    B::float_cat(parts.into_iter().map(|part| part.square().mean(1).0).collect(), 1)
}
