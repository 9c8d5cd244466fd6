//! What the analysis of Adam's state reports, and how it is shown.

use crate::base::figure::{Column, Figure, Lines, Series, Style, Subject};
use crate::snapshot::analysis::Quantity;

/// All of them.
pub const QUANTITIES: &[Quantity] = &[
    Quantity { name: "adam/v_mean", unit: "nats²", about: "mean of the second moment v over coordinates" },
    Quantity {
        name: "adam/v_std_over_mean",
        unit: "",
        about: "standard deviation of v over coordinates, over its mean",
    },
    Quantity {
        name: "adam/v_quantile",
        unit: "nats²",
        about: "quantile of v over coordinates at level `parameter`; uncertainty: half its histogram bin",
    },
    Quantity { name: "adam/v_hat_mean", unit: "nats²", about: "mean of v̂ = v/(1−β2^t)" },
    Quantity {
        name: "adam/rho",
        unit: "",
        about: "ρ_t of RAdam: length of the simple average that v̂ is worth",
    },
    Quantity {
        name: "adam/rectification",
        unit: "",
        about: "r_t of RAdam; parameter 4: where ρ_t > 4 (paper), 5: where ρ_t ≥ 5 (its code); absent before",
    },
    Quantity {
        name: "adam/var_psi_theory",
        unit: "",
        about: "σ²·Var ψ of the adaptive rate ψ = 1/√v̂ for normal gradients, from ρ_t; absent where infinite",
    },
    Quantity {
        name: "adam/var_psi",
        unit: "",
        about: "σ²·Var ψ over R resampled streams of t batches at frozen weights, mean over coordinates",
    },
    Quantity {
        name: "adam/psi_spread",
        unit: "",
        about: "standard deviation of 1/(√v̂+ε) over coordinates, over its mean: not the variance of the rate",
    },
    Quantity { name: "adam/update_rms", unit: "", about: "root mean square of u = m̂/(√v̂+ε)" },
    Quantity {
        name: "adam/update_rms_iid",
        unit: "",
        about: "what it is for independent gradients: √((1−β1)(1+β1^t)/((1+β1)(1−β1^t)))",
    },
    Quantity {
        name: "adam/bias_correction_excess",
        unit: "",
        about: "update_rms_iid over its limit: √((1+β1^t)/(1−β1^t)), 4.36 at t = 1 for β1 = 0.9",
    },
    Quantity { name: "adam/eps_floor_fraction", unit: "", about: "share of coordinates with √v̂ < 10 ε" },
    Quantity { name: "adam/sign_like_fraction", unit: "", about: "share of coordinates with |u| > 0.9" },
    Quantity {
        name: "adam/rms_ratio",
        unit: "",
        about: "RMS_t = √(mean g²/max(v̂,ε²)) with g in v̂; saturates at 1/√(1−β2)",
    },
    Quantity {
        name: "adam/cos_update_gradient",
        unit: "",
        about: "cosine of u and the gradient in it; 1 is straight down the gradient",
    },
];

/// How they are drawn.
pub const FIGURES: &[Figure] = &[Figure {
    subject: Subject::Update,
    title: "Update RMS",
    about: "Root mean square of Adam's update in units of the learning rate: 1 at the first step, about 0.2 \
                where gradients are noise.",
    values: "update RMS over learning rate",
    series: &[Series::new("adam/update_rms", "update", Style::Points)],
    log: true,
    command: "warmlab adam --run RUN",
}];

/// What the table has of them.
pub const COLUMNS: &[Column] =
    &[Column::new(Subject::Update, "update RMS", "adam/update_rms").with(Lines::Every)];
