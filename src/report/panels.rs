//! What the page shows: one panel per quantity, with the command that measures it.

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
    /// A sentence on how to read it.
    pub about: &'static str,
    /// What it shows; of several names for one thing the first that was measured, then its limits.
    pub series: &'static [Series],
    /// Whether values are spaced by their logarithm.
    pub log: bool,
    /// What measures it; `RUN` stands for the run's folder.
    pub command: &'static str,
}

const fn points(quantity: &'static str) -> Series {
    Series { quantity, pick: Pick::Whole, style: Style::Points }
}

/// The panels, from top to bottom.
pub const PANELS: &[Panel] = &[
    Panel {
        title: "Loss",
        about: "Mean cross-entropy in nats: the training batch of the next update as a line; the validation \
                sequences as points.",
        series: &[
            Series { quantity: "train/loss", pick: Pick::Whole, style: Style::Line },
            points("train/val_loss"),
        ],
        log: false,
        command: "warmlab train",
    },
    Panel {
        title: "Preconditioned λ1 and the stability threshold",
        about: "Largest eigenvalue of P^-½ H P^-½, the curvature Adam meets. Dashed: threshold_t, what frozen Adam \
                would stand at the next learning rate.",
        series: &[
            points("preconditioned/lambda"),
            points("preconditioned_next/lambda"),
            Series { quantity: "sharpness/threshold_t", pick: Pick::Whole, style: Style::Limit },
        ],
        log: true,
        command: "warmlab hessian --run RUN --operator preconditioned",
    },
    Panel {
        title: "Update RMS",
        about: "Root mean square of Adam's update in units of the learning rate: 1 at the first step, about 0.2 \
                where gradients are noise.",
        series: &[points("adam/update_rms")],
        log: true,
        command: "warmlab adam --run RUN",
    },
    Panel {
        title: "Angle of the update",
        about: "Angle in radians between the weights before and after the update.",
        series: &[points("update/angle")],
        log: true,
        command: "warmlab angular --run RUN",
    },
    Panel {
        title: "Signal-to-noise ratio of the gradient",
        about: "φ = ‖G‖²/tr Σ of one sequence; its inverse is the batch size at which noise and signal are equal. \
                Hollow: the signal does not stand out of the noise.",
        series: &[points("snr/phi")],
        log: true,
        command: "warmlab snr --run RUN",
    },
    Panel {
        title: "Lowest attention entropy",
        about: "Entropy in nats of the head that attends most narrowly, mean over sequences and positions.",
        series: &[Series { quantity: "attention/entropy", pick: Pick::LowestHead, style: Style::Points }],
        log: false,
        command: "warmlab attention --run RUN",
    },
];
