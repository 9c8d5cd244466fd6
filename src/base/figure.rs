//! How numbers are shown, as those who measure them declare it: figures on the page of a report, and columns of the
//! table that puts runs side by side.

/// What numbers are about. The page has its figures in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// Losses and rates, as the training loop knows them.
    Training,
    /// The loss surface.
    Curvature,
    /// What an update does.
    Update,
    /// Signal and noise.
    Gradient,
    /// Where the heads look.
    Attention,
}

/// Which row of a step a series shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    /// The one of the whole model, the first of a list; where there is none, the median over tensors.
    Whole,
    /// The lowest of all heads.
    LowestHead,
}

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Points, joined.
    Points,
    /// Diamonds, joined by dots, for a second answer to the same question.
    Diamonds,
    /// A line without points, for what is known at every step.
    Line,
    /// A dashed line, for a limit.
    Limit,
}

/// One quantity of a figure.
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

impl Series {
    /// The row of the whole model.
    pub const fn new(quantity: &'static str, label: &'static str, style: Style) -> Self {
        Series { quantity, label, pick: Pick::Whole, style }
    }
}

/// One question, drawn over the steps of the runs.
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    /// What it is about.
    pub subject: Subject,
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

/// Whether the table has the steps at which a column's quantity is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// It has: the quantity takes products with the curvature, and is measured at chosen steps.
    Chosen,
    /// It has where no quantity of chosen steps is known: this one may be known at every step.
    Every,
    /// Not for its sake.
    Never,
}

/// A column of the table: the first row of its quantity for the whole model.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// What it is about.
    pub subject: Subject,
    /// What stands above it.
    pub header: &'static str,
    /// The quantity's slash name.
    pub quantity: &'static str,
    /// Which lines it asks for.
    pub lines: Lines,
}

impl Column {
    /// A column that fills the lines there are.
    pub const fn new(subject: Subject, header: &'static str, quantity: &'static str) -> Self {
        Column { subject, header, quantity, lines: Lines::Never }
    }

    /// The same, which has lines of its own.
    pub const fn with(self, lines: Lines) -> Self {
        Column { lines, ..self }
    }
}
