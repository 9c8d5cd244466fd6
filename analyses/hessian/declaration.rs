//! What the analysis may report.

use crate::snapshot::analysis::Quantity;

pub const QUANTITIES: &[Quantity] = &[
    Quantity { name: "loss/mean", unit: "nats", about: "mean cross-entropy over all targets of the batch" },
    Quantity {
        name: "gradient/norm",
        unit: "nats",
        about: "Euclidean norm of the gradient of the mean loss",
    },
    Quantity { name: "{operator}/lambda", unit: "nats", about: "eigenvalues from the largest down" },
    Quantity { name: "{operator}/lambda_min", unit: "nats", about: "eigenvalues from the smallest up" },
    Quantity {
        name: "{operator}/lambda_masked",
        unit: "nats",
        about: "largest eigenvalues without the coordinates where √v̂ < 10 ε (preconditioned operators)",
    },
    Quantity {
        name: "{operator}/masked_fraction",
        unit: "",
        about: "share of coordinates where √v̂ < 10 ε (preconditioned operators)",
    },
    Quantity {
        name: "{operator}/overlap",
        unit: "",
        about: "|cosine| of the largest eigenvalue's vector and that of the step tracked before (in training)",
    },
    Quantity {
        name: "{operator}/gradient_energy",
        unit: "",
        about: "share ‖Vᵀg‖²/‖g‖² of the gradient in the kept vectors (preconditioned: P^-½ g), k = parameter: \
                the first is the eigenvector, the others approximations, hence unresolved (in training)",
    },
    Quantity {
        name: "sharpness/threshold",
        unit: "nats",
        about: "(2+2β1)/((1−β1)η): asymptotic stability limit of frozen Adam at the next learning rate η",
    },
    Quantity {
        name: "sharpness/threshold_t",
        unit: "nats",
        about: "threshold·(1−β1^t) at the next update t = N+1",
    },
    Quantity {
        name: "sharpness/clip_factor",
        unit: "",
        about: "c: what clipping leaves of the gradient of update N+1, which meets c·P⁻¹H; unresolved where it is not that \
                update's own",
    },
    Quantity {
        name: "sharpness/margin",
        unit: "",
        about: "threshold_t over c times the largest preconditioned eigenvalue",
    },
    Quantity {
        name: "{operator}/trace",
        unit: "nats",
        about: "tr A, whole and per block: exact on a Krylov basis, by random signs beyond (--trace)",
    },
    Quantity { name: "{operator}/frobenius_sq", unit: "nats²", about: "‖A‖_F², likewise (--trace)" },
    Quantity {
        name: "{operator}/diagonal_sq",
        unit: "nats²",
        about: "Σ A_ii², from products of independent estimates of the diagonal, not below 0 (--trace)",
    },
    Quantity {
        name: "{operator}/density_node",
        unit: "nats",
        about: "quadrature node θ of a probe's spectral measure (--density)",
    },
    Quantity { name: "{operator}/density_weight", unit: "", about: "its weight; a probe's weights sum to 1" },
    Quantity {
        name: "{operator}/density",
        unit: "1/nats",
        about: "mean over probes of Σ w N(λ; θ, width²) at λ = parameter",
    },
    Quantity { name: "{operator}/density_width", unit: "nats", about: "standard deviation of that kernel" },
    Quantity {
        name: "{operator}/density_moment",
        unit: "nats^k",
        about: "tr A^k / n, k = parameter, from the quadrature",
    },
    Quantity {
        name: "{operator}/density_quantile",
        unit: "nats",
        about: "eigenvalue below which the share `parameter` of the spectrum lies; uncertainty: over probes, and the gap to the quadrature's next nodes",
    },
    Quantity {
        name: "{operator}/js_distance",
        unit: "",
        about: "Jensen-Shannon distance (base 2) of two blocks' densities, less its jackknife bias, each scaled by its largest |node|; scope \"A ~ B\"",
    },
    Quantity { name: "{operator}/js_mean", unit: "", about: "its mean over pairs of blocks" },
    Quantity { name: "condition/rms", unit: "", about: "λ1/√(‖A‖_F²/n)" },
    Quantity { name: "condition/top10", unit: "", about: "λ1/λ10" },
    Quantity { name: "condition/mean_abs", unit: "", about: "λ1/(tr|A|/n)" },
    Quantity {
        name: "condition/bulk",
        unit: "",
        about: "λ1 over an upper bound on median|λ|: at least this; unresolved when the lower bound is 0",
    },
    Quantity {
        name: "condition/exact",
        unit: "",
        about: "max|λ|/min|λ| over |λ| > n·epsilon·max|λ| (--exact)",
    },
    Quantity { name: "spectrum/nullity", unit: "", about: "eigenvalues not above that level (--exact)" },
    Quantity { name: "spectrum/stable_rank", unit: "", about: "‖A‖_F²/max|λ|²" },
    Quantity { name: "spectrum/negative_mass", unit: "", about: "Σ w|θ₋|/Σ w|θ|" },
    Quantity { name: "ggn/effective_rank", unit: "", about: "tr G/λ1" },
];
