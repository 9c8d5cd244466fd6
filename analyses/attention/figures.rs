//! How entropies and logits are shown.

use crate::base::figure::{Column, Figure, Lines, Pick, Series, Style, Subject};

/// On the page.
pub const FIGURES: &[Figure] = &[
    Figure {
        subject: Subject::Attention,
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
            Series::new("attention/entropy", "mean over heads", Style::Line),
        ],
        log: false,
        command: "warmlab attention --run RUN",
    },
    Figure {
        subject: Subject::Attention,
        title: "Largest attention logit",
        about: "Largest q·k/√d inside the causal mask, over heads, sequences and positions.",
        values: "logit",
        series: &[Series::new("attention/max_logit", "largest logit", Style::Points)],
        log: true,
        command: "warmlab attention --run RUN",
    },
];

/// In the table.
pub const COLUMNS: &[Column] = &[
    Column::new(Subject::Attention, "mean entropy", "attention/entropy").with(Lines::Every),
    Column::new(Subject::Attention, "max logit", "attention/max_logit"),
];
