//! The constants of Adam's two moments.

/// What does not change while training with Adam, or a relative that keeps its moments.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hyperparameters {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to √v̂.
    pub eps: f64,
    /// λ, applied to matrices only.
    pub weight_decay: f64,
}
