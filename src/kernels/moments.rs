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
use super::{Kernels, lower, lower_optional, raise};

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

/// The composed forms, which hold every piece's gradient.
pub(super) mod composed {
    use burn::backend::tensor::{FloatTensor as F, IntTensor};
    use burn::backend::{Backend, TensorMetadata};
    use burn::tensor::FloatDType;

    use crate::kernels::array::Array;
    use crate::kernels::{cross_entropy, embedding};

    /// (S, 2) of S gradients (S, P) and m (P), in f64.
    fn moments<B: Backend>(g: Array<B>, m: Array<B>) -> F<B> {
        let wide = |x: Array<B>| Array::<B>(B::float_cast(x.0, FloatDType::F64));
        let (g, len) = (wide(g), m.dim(0));
        let own = g.clone().square().sum(1);
        let with = (g * wide(m).reshape([1, len])).sum(1);
        B::float_cat(vec![own.0, with.0], 1)
    }

    pub fn product<B: Backend>(x: F<B>, g: F<B>, m: F<B>, rows: usize) -> F<B> {
        let (x, g, m) = (Array::<B>(x), Array::<B>(g), Array::<B>(m));
        let (s, i, o) = (x.dim(0) / rows, x.dim(1), g.dim(1));
        let each = g.reshape([s, rows, o]).t().matmul(x.reshape([s, rows, i]));
        moments(each.reshape([s, o * i]), m.reshape([o * i]))
    }

    pub fn sum<B: Backend>(g: F<B>, x: Option<F<B>>, m: F<B>, rows: usize) -> F<B> {
        let g = Array::<B>(g);
        let (s, c) = (g.dim(0) / rows, g.dim(1));
        let terms = match x {
            Some(x) => g * Array::<B>(x),
            None => g,
        };
        moments(terms.reshape([s, rows, c]).sum(1).reshape([s, c]), Array::<B>(m))
    }

    /// Piece `s` of token ids (N).
    fn piece<B: Backend>(ids: &IntTensor<B>, s: usize, rows: usize) -> IntTensor<B> {
        B::int_slice(ids.clone(), &[(s * rows..(s + 1) * rows).into()])
    }

    /// The table (1, V·C) with the rows of piece `s` added up.
    fn table<B: Backend>(tokens: &IntTensor<B>, g_x: &Array<B>, v: usize, s: usize, rows: usize) -> Array<B> {
        let c = g_x.dim(1);
        let g_x = g_x.clone().part(0, s * rows, rows).reshape([rows, 1, c]);
        let (wte, _) = embedding::composed::backward::<B>(piece::<B>(tokens, s, rows), g_x.0, rows, v, rows);
        Array::<B>(wte).reshape([1, v * c])
    }

    pub fn scatter<B: Backend>(tokens: IntTensor<B>, g_x: F<B>, m: F<B>, rows: usize) -> F<B> {
        let (g_x, m) = (Array::<B>(g_x), Array::<B>(m));
        let (v, c) = (m.dim(0), m.dim(1));
        let each = (0..g_x.dim(0) / rows).map(|s| table::<B>(&tokens, &g_x, v, s, rows).0).collect();
        moments(Array::<B>(B::float_cat(each, 0)), m.reshape([v * c]))
    }

    pub fn head<B: Backend>(
        h: F<B>,
        w: F<B>,
        targets: IntTensor<B>,
        lse: F<B>,
        p: F<B>,
        weight: f64,
        tokens: IntTensor<B>,
        g_x: Option<F<B>>,
        m: F<B>,
        rows: usize,
    ) -> F<B> {
        let (pieces, c, v) = (h.shape()[0] / rows, h.shape()[1], w.shape()[0]);
        let g_x = g_x.map(Array::<B>);
        let part = |x: &F<B>, s: usize| Array::<B>(x.clone()).part(0, s * rows, rows).0;
        let one = |s: usize| {
            let (h, lse, p) = (part(&h, s), part(&lse, s), part(&p, s));
            let targets = piece::<B>(&targets, s, rows);
            let (_, g_w) = cross_entropy::composed::backward::<B>(h, w.clone(), targets, lse, p, weight);
            let added = g_x.as_ref().map(|g_x| table::<B>(&tokens, g_x, v, s, rows).0);
            Array::<B>(g_w).reshape([1, v * c]).plus(added).0
        };
        let each = (0..pieces).map(one).collect();
        moments(Array::<B>(B::float_cat(each, 0)), Array::<B>(m).reshape([v * c]))
    }
}
