//! A linear layer, nanoGPT's `nn.Linear`: y = x Wᵀ + b.

use burn::tensor::Tensor;

use crate::kernels::{linear as kernel, moments};

/// Weight (O, I) and optional bias (O), or K of each.
#[derive(Debug, Clone)]
pub struct Linear<M, V> {
    /// W.
    pub weight: M,
    /// b.
    pub bias: Option<V>,
}

/// K tangents or gradients of a linear layer's parameters.
pub type LinearDot = Linear<Tensor<3>, Tensor<2>>;

impl Linear<Tensor<2>, Tensor<1>> {
    /// y (N, O) of x (N, I), joined to the residual stream `add` where given.
    pub fn forward(&self, x: &Tensor<2>, add: Option<&Tensor<2>>) -> Tensor<2> {
        kernel::linear(x, &self.weight, self.bias.as_ref(), add)
    }

    /// ẏ (N, K, O).
    pub fn tangent(
        &self,
        x: &Tensor<2>,
        dot: &LinearDot,
        x_dot: &Tensor<3>,
        add: Option<&Tensor<3>>,
    ) -> Tensor<3> {
        kernel::linear_tangent(x, x_dot, &self.weight, &dot.weight, dot.bias.as_ref(), add)
    }

    /// (g_x (N, K, I), parameter gradients) from g_y (N, K, O).
    pub fn backward(&self, x: &Tensor<2>, g_y: &Tensor<3>) -> (Tensor<3>, LinearDot) {
        let (g_x, weight, bias) = kernel::linear_backward(x, &self.weight, g_y, self.bias.is_some());
        (g_x, Linear { weight, bias })
    }

    /// The tangents of what [`backward`](Self::backward) returns for the gradient g_y (N, O).
    pub fn backward_tangent(
        &self,
        x: &Tensor<2>,
        x_dot: &Tensor<3>,
        dot: &LinearDot,
        g_y: &Tensor<2>,
        g_y_dot: &Tensor<3>,
    ) -> (Tensor<3>, LinearDot) {
        let bias = self.bias.is_some();
        let (g_x, weight, bias) =
            kernel::linear_backward_tangent(x, x_dot, &self.weight, &dot.weight, g_y, g_y_dot, bias);
        (g_x, Linear { weight, bias })
    }
    /// With these parameters as a vector m: of every `rows` rows of x (N, I) and g_y (N, O), the squared norm of
    /// their parameter gradients and the product with m, (S, 2).
    pub fn moments(&self, x: &Tensor<2>, g_y: &Tensor<2>, rows: usize) -> Linear<Tensor<2>, Tensor<2>> {
        Linear {
            weight: moments::product(x, g_y, &self.weight, rows),
            bias: self.bias.as_ref().map(|bias| moments::sum(g_y, None, bias, rows)),
        }
    }
}
