//! Figures and columns in their order, from what those who measure declare.

use crate::base::figure::{Column, Figure, Lines, Subject};
use crate::base::row::Row;

/// What a page and a table are made of.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    /// From top to bottom.
    pub figures: Vec<Figure>,
    /// From left to right.
    pub columns: Vec<Column>,
}

impl Layout {
    /// The figures and columns of everything that measures; what is about one thing keeps the order it came in.
    pub fn of(declared: impl IntoIterator<Item = (&'static [Figure], &'static [Column])>) -> Self {
        let mut layout = Layout::default();
        for (figures, columns) in declared {
            layout.figures.extend_from_slice(figures);
            layout.columns.extend_from_slice(columns);
        }
        layout.figures.sort_by_key(|figure| figure.subject);
        layout.columns.sort_by_key(|column| place(column.subject));
        layout
    }

    /// The quantities at whose steps the table has lines: those measured at chosen steps, or where none of them is
    /// known those that may be known at every step.
    pub fn lines(&self, rows: &[Row]) -> Vec<&'static str> {
        let of = |lines: Lines| -> Vec<&'static str> {
            self.columns.iter().filter(|column| column.lines == lines).map(|column| column.quantity).collect()
        };
        let known = |list: &Vec<&str>| rows.iter().any(|row| list.contains(&&*row.quantity));
        [of(Lines::Chosen), of(Lines::Every)].into_iter().find(known).unwrap_or_default()
    }
}

/// Where a subject stands in the table: an update beside the loss it made.
fn place(subject: Subject) -> u8 {
    match subject {
        Subject::Training => 0,
        Subject::Update => 1,
        Subject::Curvature => 2,
        Subject::Gradient => 3,
        Subject::Attention => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Layout {
        const CURVATURE: &[Column] =
            &[Column::new(Subject::Curvature, "λ1", "hessian/lambda").with(Lines::Chosen)];
        const UPDATE: &[Column] = &[
            Column::new(Subject::Update, "angle", "update/angle").with(Lines::Every),
            Column::new(Subject::Training, "loss", "train/loss"),
        ];
        Layout::of([(&[][..], CURVATURE), (&[], UPDATE)])
    }

    #[test]
    fn columns_are_ordered_by_what_they_are_about() {
        let headers: Vec<_> = layout().columns.iter().map(|column| column.header).collect();
        assert_eq!(headers, ["loss", "angle", "λ1"]);
    }

    #[test]
    fn steps_that_were_chosen_come_before_every_step() {
        let rows = |names: &[&'static str]| names.iter().map(|name| Row::new(*name, 1.0)).collect::<Vec<_>>();
        let lines = |names: &[&'static str]| layout().lines(&rows(names));
        assert_eq!(lines(&["update/angle", "hessian/lambda"]), ["hessian/lambda"]);
        assert_eq!(lines(&["update/angle", "train/loss"]), ["update/angle"]);
        assert!(lines(&["train/loss"]).is_empty());
    }
}
