//! The MLP of a block: `c_proj(gelu(c_fc(x)))`, four times as wide inside.

use burn::tensor::Tensor;

use super::linear::Linear;
use super::only;
use crate::architecture::Activation;
use crate::kernels::gelu;

/// The two linear layers, or K tangents of them.
#[derive(Debug, Clone)]
pub struct Mlp<M, V> {
    /// C to 4C.
    pub c_fc: Linear<M, V>,
    /// 4C to C.
    pub c_proj: Linear<M, V>,
}

/// K tangents or gradients of an MLP's parameters.
pub type MlpDot = Mlp<Tensor<3>, Tensor<2>>;

/// What the forward pass keeps: the input, the hidden activations, and the nonlinearity's derivatives
/// there (the second one only when curvature will be asked for).
pub struct Kept {
    x: Tensor<2>,
    hidden: Tensor<2>,
    first: Tensor<2>,
    second: Option<Tensor<2>>,
}

impl Kept {
    /// The inputs of c_fc (N, C) and c_proj (N, 4C).
    pub fn inputs(&self) -> [&Tensor<2>; 2] {
        [&self.x, &self.hidden]
    }
}

/// What the tangent keeps.
pub struct KeptDot {
    x_dot: Tensor<3>,
    fc_dot: Tensor<3>,
    hidden_dot: Tensor<3>,
}

/// The gradients the primal backward keeps for curvature.
pub struct Gradients {
    g_y: Tensor<2>,
    g_fc: Tensor<2>,
    /// y″ g of the nonlinearity.
    second_g: Tensor<2>,
}

impl Mlp<Tensor<2>, Tensor<1>> {
    /// y (N, C) of x (N, C), joined to the residual stream.
    pub fn forward(
        &self,
        x: Tensor<2>,
        activation: Activation,
        curvature: bool,
        residual: &Tensor<2>,
    ) -> (Tensor<2>, Kept) {
        let fc = self.c_fc.forward(&x, None);
        let (hidden, first, second) = gelu::gelu(&fc, activation, curvature);
        let y = self.c_proj.forward(&hidden, Some(residual));
        (y, Kept { x, hidden, first, second })
    }

    /// ẏ (N, K, C), joined to the tangent of the residual stream.
    pub fn tangent(
        &self,
        kept: &Kept,
        dot: &MlpDot,
        x_dot: Tensor<3>,
        residual_dot: &Tensor<3>,
    ) -> (Tensor<3>, KeptDot) {
        let fc_dot = self.c_fc.tangent(&kept.x, &dot.c_fc, &x_dot, None);
        let hidden_dot = gelu::gelu_scale(&kept.first, &fc_dot);
        let y_dot = self.c_proj.tangent(&kept.hidden, &dot.c_proj, &hidden_dot, Some(residual_dot));
        (y_dot, KeptDot { x_dot, fc_dot, hidden_dot })
    }

    /// (g_x, parameter gradients) from g_y (N, K, C), and the gradients by the hidden activations.
    fn pull_back(&self, kept: &Kept, g_y: &Tensor<3>) -> (Tensor<3>, MlpDot, Tensor<3>, Tensor<3>) {
        let (g_hidden, c_proj) = self.c_proj.backward(&kept.hidden, g_y);
        let g_fc = gelu::gelu_scale(&kept.first, &g_hidden);
        let (g_x, c_fc) = self.c_fc.backward(&kept.x, &g_fc);
        (g_x, Mlp { c_fc, c_proj }, g_hidden, g_fc)
    }

    /// (g_x, parameter gradients) from g_y (N, K, C).
    pub fn backward(&self, kept: &Kept, g_y: &Tensor<3>) -> (Tensor<3>, MlpDot) {
        let (g_x, gradient, ..) = self.pull_back(kept, g_y);
        (g_x, gradient)
    }

    /// As [`backward`](Self::backward) for one gradient (N, 1, C), keeping what its tangent needs.
    pub fn backward_kept(&self, kept: &Kept, g_y: Tensor<3>) -> (Tensor<3>, MlpDot, Gradients) {
        let (g_x, gradient, g_hidden, g_fc) = self.pull_back(kept, &g_y);
        let second = kept.second.clone().expect("the forward pass was asked for curvature");
        let gradients = Gradients { g_y: only(g_y), g_fc: only(g_fc), second_g: second * only(g_hidden) };
        (g_x, gradient, gradients)
    }

    /// The tangents of what [`backward`](Self::backward) returns.
    pub fn backward_tangent(
        &self,
        kept: &Kept,
        gradients: &Gradients,
        kept_dot: &KeptDot,
        dot: &MlpDot,
        g_y_dot: &Tensor<3>,
    ) -> (Tensor<3>, MlpDot) {
        let (g_hidden_dot, c_proj) = self.c_proj.backward_tangent(
            &kept.hidden,
            &kept_dot.hidden_dot,
            &dot.c_proj,
            &gradients.g_y,
            g_y_dot,
        );
        let g_fc_dot =
            gelu::gelu_backward_tangent(&kept.first, &gradients.second_g, &kept_dot.fc_dot, &g_hidden_dot);
        let (g_x_dot, c_fc) =
            self.c_fc.backward_tangent(&kept.x, &kept_dot.x_dot, &dot.c_fc, &gradients.g_fc, &g_fc_dot);
        (g_x_dot, Mlp { c_fc, c_proj })
    }
    /// As [`Linear::moments`], of both layers.
    pub fn moments(&self, kept: &Kept, gradients: &Gradients, rows: usize) -> Mlp<Tensor<2>, Tensor<2>> {
        Mlp {
            c_fc: self.c_fc.moments(&kept.x, &gradients.g_fc, rows),
            c_proj: self.c_proj.moments(&kept.hidden, &gradients.g_y, rows),
        }
    }
}
