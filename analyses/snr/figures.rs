//! How signal and noise are shown.

use crate::base::figure::{Column, Figure, Lines, Series, Style, Subject};

/// On the page.
pub const FIGURES: &[Figure] = &[Figure {
    subject: Subject::Gradient,
    title: "Signal-to-noise ratio of the gradient",
    about: "φ = ‖G‖²/tr Σ of one sequence; its inverse is the batch size at which noise and signal are equal. \
                Hollow: the signal does not stand out of the noise.",
    values: "φ of one sequence",
    series: &[Series::new("snr/phi", "φ", Style::Points)],
    log: true,
    command: "warmlab snr --run RUN",
}];

/// In the table.
pub const COLUMNS: &[Column] = &[Column::new(Subject::Gradient, "φ", "snr/phi").with(Lines::Every)];
