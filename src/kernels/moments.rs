//! Norms of the gradients of parts of a batch, without a gradient of each.
//!
//! A parameter's gradient is a sum over tokens, and the N tokens of a pass are S pieces of `rows` tokens each, N
//! a multiple of `rows`: sequences, or micro-batches of several. Of the sum g_i over piece i these operations give
//! ‖g_i‖² and g_i·m for a given m of the parameter's shape, (S, 2) in f64 whatever the precision of the pass.
//!
//! For a linear layer ‖GᵀX‖² = ⟨GGᵀ, XXᵀ⟩ and ⟨GᵀX, M⟩ = Σ_t G_t·(M X_t), so that GᵀX itself need not be formed;
//! where it is, it is formed a few rows at a time.
//!
//! References: Goodfellow 2015, Efficient Per-Example Gradient Computations, arXiv 1510.01799; Li et al. 2022,
//! Large Language Models Can Be Strong Differentially Private Learners, arXiv 2110.05679 (the product of Gram
//! matrices, and the embedding).

use burn::backend::Dispatch;
use burn::tensor::{Int, Tensor};

use super::cross_entropy::Kept;
use super::operations::{Kernels, lower, lower_optional, raise};

/// Of gᵀ x (O, I) for x (N, I), g (N, O), m (O, I): a linear layer's weight.
pub fn product(x: &Tensor<2>, g: &Tensor<2>, m: &Tensor<2>, rows: usize) -> Tensor<2> {
    raise(<Dispatch as Kernels>::product_moments(lower(x), lower(g), lower(m), rows))
}

/// Of Σ g∘x, or Σ g without x; g and x (N, C), m (C): a layer norm's weight, and any bias.
pub fn sum(g: &Tensor<2>, x: Option<&Tensor<2>>, m: &Tensor<1>, rows: usize) -> Tensor<2> {
    raise(<Dispatch as Kernels>::sum_moments(lower(g), lower_optional(x), lower(m), rows))
}

/// Of g_x (N, C) added to the rows `tokens` (N) of a table like m (V, C): the token embedding.
pub fn scatter(tokens: &Tensor<1, Int>, g_x: &Tensor<2>, m: &Tensor<2>, rows: usize) -> Tensor<2> {
    let tokens = tokens.clone().into_dispatch();
    raise(<Dispatch as Kernels>::scatter_moments(tokens, lower(g_x), lower(m), rows))
}

/// Of g_zᵀ h (V, C), the head's matrix, with g_z and the other arguments as in
/// [`cross_entropy_backward`](super::cross_entropy::cross_entropy_backward); `tied` has the `tokens` and the g_x
/// of [`scatter`], whose rows the same matrix receives.
pub fn head(
    h: &Tensor<2>,
    w: &Tensor<2>,
    targets: &Tensor<1, Int>,
    kept: &Kept,
    weight: f64,
    tied: Option<(&Tensor<1, Int>, &Tensor<2>)>,
    m: &Tensor<2>,
    rows: usize,
) -> Tensor<2> {
    raise(<Dispatch as Kernels>::head_moments(
        lower(h),
        lower(w),
        targets.clone().into_dispatch(),
        lower(&kept.lse),
        lower(&kept.p),
        weight,
        tied.map_or(targets, |(tokens, _)| tokens).clone().into_dispatch(),
        lower_optional(tied.map(|(_, g_x)| g_x)),
        lower(m),
        rows,
    ))
}
