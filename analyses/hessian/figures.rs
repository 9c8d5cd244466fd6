//! How the eigenvalues are shown.

use crate::base::figure::{Column, Figure, Lines, Series, Style, Subject};

/// On the page.
pub const FIGURES: &[Figure] = &[
    Figure {
        subject: Subject::Curvature,
        title: "Largest eigenvalue λ1 of the Hessian",
        about: "Curvature in the usual geometry of the weights, on the batch named above; the bar is the residual.",
        values: "λ1, nats",
        series: &[Series::new("hessian/lambda", "λ1", Style::Points)],
        log: true,
        command: "warmlab hessian --run RUN",
    },
    Figure {
        subject: Subject::Curvature,
        title: "Preconditioned λ1, raw and masked, beside the frozen threshold",
        about: "Largest eigenvalue of P^-½ H P^-½ with Adam's P held frozen. Masked leaves out the coordinates where \
                √v̂ < 10 ε, which training batches hardly moved and a measured batch may. threshold_t is what Adam with \
                this P would stand for ever at the next learning rate: it is asymptotic, and P changes within some \
                2/(1−β2) updates, so a step above it is no instability and one below it no safety. The update meets \
                these eigenvalues times its clip factor, which the margin in the table contains and this panel does not.",
        values: "eigenvalue, nats",
        series: &[
            Series::new("preconditioned/lambda", "raw", Style::Points),
            Series::new("preconditioned/lambda_masked", "masked", Style::Diamonds),
            Series::new("preconditioned_next/lambda", "raw, P of the next update", Style::Points),
            Series::new("preconditioned_next/lambda_masked", "masked, P of the next update", Style::Diamonds),
            Series::new("sharpness/threshold_t", "threshold_t", Style::Limit),
        ],
        log: true,
        command: "warmlab hessian --run RUN --operator preconditioned",
    },
];

/// In the table.
pub const COLUMNS: &[Column] = &[
    Column::new(Subject::Curvature, "λ1", "hessian/lambda").with(Lines::Chosen),
    Column::new(Subject::Curvature, "preconditioned λ1", "preconditioned/lambda").with(Lines::Chosen),
    Column::new(Subject::Curvature, "masked λ1", "preconditioned/lambda_masked"),
    Column::new(Subject::Curvature, "clip factor", "sharpness/clip_factor"),
    Column::new(Subject::Curvature, "threshold_t", "sharpness/threshold_t"),
    Column::new(Subject::Curvature, "margin", "sharpness/margin"),
];
