//! How large a block's residual stream is, and how much each of its two layers adds: mean squares over
//! channels of x, middle − x and y − middle.

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use super::operations::{Kernels, lower, raise};

/// The three mean squares of each token, (N, 3), of the stream x before a block, after its attention and after
/// its MLP, (N, C) each.
pub fn residual(x: &Tensor<2>, middle: &Tensor<2>, y: &Tensor<2>) -> Tensor<2> {
    raise(<Dispatch as Kernels>::residual(lower(x), lower(middle), lower(y)))
}
