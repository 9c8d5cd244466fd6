//! What the page shows: one panel per question, with the command that answers it.

use super::chart::Style;

/// Which row of a step a line shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    /// The one of the whole model, the first of a list; where there is none, the median over tensors.
    Whole,
    /// The lowest of all heads.
    LowestHead,
}

/// One quantity of a panel.
#[derive(Debug, Clone, Copy)]
pub struct Series {
    /// Slash name.
    pub quantity: &'static str,
    /// What the key calls it.
    pub label: &'static str,
    /// Which row.
    pub pick: Pick,
    /// How it is drawn.
    pub style: Style,
}

/// One panel.
#[derive(Debug, Clone, Copy)]
pub struct Panel {
    /// Its heading.
    pub title: &'static str,
    /// A sentence or two on how to read it.
    pub about: &'static str,
    /// What its values are, in which unit.
    pub values: &'static str,
    /// What it shows.
    pub series: &'static [Series],
    /// Whether values are spaced by their logarithm.
    pub log: bool,
    /// What measures it; `RUN` stands for the run's folder.
    pub command: &'static str,
}

const fn series(quantity: &'static str, label: &'static str, style: Style) -> Series {
    Series { quantity, label, pick: Pick::Whole, style }
}

/// The panels, from top to bottom.
pub const PANELS: &[Panel] = &[
    Panel {
        title: "Loss",
        about: "Mean cross-entropy. Training loss is of the next update's batch, at the weights it starts from; \
                validation loss is of the same sequences each time.",
        values: "loss, nats",
        series: &[
            series("train/loss", "training batch", Style::Line),
            series("train/val_loss", "validation", Style::Points),
        ],
        log: false,
        command: "warmlab train",
    },
    Panel {
        title: "Learning rate",
        about: "The rate of the next update.",
        values: "learning rate",
        series: &[series("train/lr", "learning rate", Style::Line)],
        log: false,
        command: "warmlab train",
    },
    Panel {
        title: "Gradient norm",
        about: "Euclidean norm of the next update's gradient before clipping.",
        values: "gradient norm, nats",
        series: &[series("train/grad_norm", "training batch", Style::Line)],
        log: true,
        command: "warmlab train",
    },
    Panel {
        title: "Largest eigenvalue λ1 of the Hessian",
        about: "Curvature in the usual geometry of the weights, on the batch named above; the bar is the residual.",
        values: "λ1, nats",
        series: &[series("hessian/lambda", "λ1", Style::Points)],
        log: true,
        command: "warmlab hessian --run RUN",
    },
    Panel {
        title: "Preconditioned λ1, raw and masked, beside the frozen threshold",
        about: "Largest eigenvalue of P^-½ H P^-½ with Adam's P held frozen. Masked leaves out the coordinates where \
                √v̂ < 10 ε, which training batches hardly moved and a measured batch may. threshold_t is what Adam with \
                this P would stand for ever at the next learning rate: it is asymptotic, and P changes within some \
                2/(1−β2) updates, so a step above it is no instability and one below it no safety. The update meets \
                these eigenvalues times its clip factor, which the margin in the table contains and this panel does not.",
        values: "eigenvalue, nats",
        series: &[
            series("preconditioned/lambda", "raw", Style::Points),
            series("preconditioned/lambda_masked", "masked", Style::Diamonds),
            series("preconditioned_next/lambda", "raw, P of the next update", Style::Points),
            series("preconditioned_next/lambda_masked", "masked, P of the next update", Style::Diamonds),
            series("sharpness/threshold_t", "threshold_t", Style::Limit),
        ],
        log: true,
        command: "warmlab hessian --run RUN --operator preconditioned",
    },
    Panel {
        title: "Update RMS",
        about: "Root mean square of Adam's update in units of the learning rate: 1 at the first step, about 0.2 \
                where gradients are noise.",
        values: "update RMS over learning rate",
        series: &[series("adam/update_rms", "update", Style::Points)],
        log: true,
        command: "warmlab adam --run RUN",
    },
    Panel {
        title: "Angle of the update",
        about: "Angle between the weights before and after the last update.",
        values: "angle, radians",
        series: &[series("update/angle", "update", Style::Points)],
        log: true,
        command: "warmlab angular --run RUN",
    },
    Panel {
        title: "Signal-to-noise ratio of the gradient",
        about: "φ = ‖G‖²/tr Σ of one sequence; its inverse is the batch size at which noise and signal are equal. \
                Hollow: the signal does not stand out of the noise.",
        values: "φ of one sequence",
        series: &[series("snr/phi", "φ", Style::Points)],
        log: true,
        command: "warmlab snr --run RUN",
    },
    Panel {
        title: "Attention entropy: lowest head, and mean over heads",
        about: "Entropy of attention, mean over sequences and positions: of the head that attends most narrowly, and \
                over all heads, which is what the table has.",
        values: "entropy, nats",
        series: &[
            Series {
                quantity: "attention/entropy",
                label: "lowest head",
                pick: Pick::LowestHead,
                style: Style::Points,
            },
            series("attention/entropy", "mean over heads", Style::Line),
        ],
        log: false,
        command: "warmlab attention --run RUN",
    },
    Panel {
        title: "Largest attention logit",
        about: "Largest q·k/√d inside the causal mask, over heads, sequences and positions.",
        values: "logit",
        series: &[series("attention/max_logit", "largest logit", Style::Points)],
        log: true,
        command: "warmlab attention --run RUN",
    },
];
