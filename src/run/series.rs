//! What a log has of a run: numbers by step, whether or not there are parameters beside it.

/// One quantity of a run over its steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// What it is: "loss", "val_loss", "lr", "grad_norm", or the log's own word.
    pub name: String,
    /// Steps, ascending, with their numbers.
    pub points: Vec<(u64, f64)>,
}
