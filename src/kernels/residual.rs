//! How large a block's residual stream is, and how much each of its two layers adds: mean squares over
//! channels of x, middle − x and y − middle.

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use super::{Kernels, lower, raise};

/// The three mean squares of each token, (N, 3), of the stream x before a block, after its attention and after
/// its MLP, (N, C) each.
pub fn residual(x: &Tensor<2>, middle: &Tensor<2>, y: &Tensor<2>) -> Tensor<2> {
    raise(<Dispatch as Kernels>::residual(lower(x), lower(middle), lower(y)))
}

/// The composed form.
pub(super) mod composed {
    use burn::backend::Backend;
    use burn::backend::tensor::FloatTensor as F;

    use crate::kernels::array::Array;

    pub fn residual<B: Backend>(x: F<B>, middle: F<B>, y: F<B>) -> F<B> {
        let (x, middle, y) = (Array::<B>(x), Array::<B>(middle), Array::<B>(y));
        let parts = [x.clone(), middle.clone() - x, y - middle];
        B::float_cat(parts.into_iter().map(|part| part.square().mean(1).0).collect(), 1)
    }
}
