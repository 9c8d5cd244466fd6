//! A layer norm with weight and optional bias.

use burn::tensor::Tensor;

use crate::kernels::{layer_norm as kernel, moments};

/// Weight and optional bias (C), or K of each.
#[derive(Debug, Clone)]
pub struct LayerNorm<V> {
    /// w.
    pub weight: V,
    /// b.
    pub bias: Option<V>,
}

/// K tangents or gradients of a layer norm's parameters.
pub type LayerNormDot = LayerNorm<Tensor<2>>;

/// What the forward pass keeps.
pub struct Kept {
    x_hat: Tensor<2>,
    rstd: Tensor<1>,
}

/// What the tangent keeps.
pub struct KeptDot {
    x_hat_dot: Tensor<3>,
    slope: Tensor<2>,
}

impl LayerNorm<Tensor<1>> {
    /// y (N, C) of x (N, C).
    pub fn forward(&self, x: &Tensor<2>, eps: f64) -> (Tensor<2>, Kept) {
        let (y, x_hat, rstd) = kernel::layer_norm(x, &self.weight, self.bias.as_ref(), eps);
        (y, Kept { x_hat, rstd })
    }

    /// ẏ (N, K, C).
    pub fn tangent(&self, kept: &Kept, dot: &LayerNormDot, x_dot: &Tensor<3>) -> (Tensor<3>, KeptDot) {
        let (y_dot, x_hat_dot, slope) = kernel::layer_norm_tangent(
            &kept.x_hat,
            &kept.rstd,
            &self.weight,
            x_dot,
            &dot.weight,
            dot.bias.as_ref(),
        );
        (y_dot, KeptDot { x_hat_dot, slope })
    }

    /// (g_x + add, parameter gradients) from g_y (N, K, C).
    pub fn backward(
        &self,
        kept: &Kept,
        g_y: &Tensor<3>,
        add: Option<&Tensor<3>>,
    ) -> (Tensor<3>, LayerNormDot) {
        let (g_x, weight, bias) =
            kernel::layer_norm_backward(&kept.x_hat, &kept.rstd, &self.weight, g_y, self.bias.is_some(), add);
        (g_x, LayerNorm { weight, bias })
    }

    /// The tangents of what [`backward`](Self::backward) returns for the gradient g_y (N, C).
    pub fn backward_tangent(
        &self,
        kept: &Kept,
        kept_dot: &KeptDot,
        dot: &LayerNormDot,
        g_y: &Tensor<2>,
        g_y_dot: &Tensor<3>,
        add: Option<&Tensor<3>>,
    ) -> (Tensor<3>, LayerNormDot) {
        let (g_x, weight, bias) = kernel::layer_norm_backward_tangent(
            &kept.x_hat,
            &kept.rstd,
            &self.weight,
            &kept_dot.x_hat_dot,
            &kept_dot.slope,
            &dot.weight,
            g_y,
            g_y_dot,
            self.bias.is_some(),
            add,
        );
        (g_x, LayerNorm { weight, bias })
    }
    /// As [`Linear::moments`](super::linear::Linear::moments), for g_y (N, C).
    pub fn moments(&self, kept: &Kept, g_y: &Tensor<2>, rows: usize) -> LayerNorm<Tensor<2>> {
        LayerNorm {
            weight: moments::sum(g_y, Some(&kept.x_hat), &self.weight, rows),
            bias: self.bias.as_ref().map(|bias| moments::sum(g_y, None, bias, rows)),
        }
    }
}
