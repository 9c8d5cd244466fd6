//! Runs on one page: what was measured and found, figures that share the axis of steps, and the aligned table, in one
//! HTML file that needs nothing else.

use std::fmt::Write;

use super::aligned::grid;
use super::answers::Choices;
use super::chart::COLORS;
use super::findings::findings;
use super::header::{self, Facts};
use super::html::{HEAD, STYLE, escape};
use super::layout::Layout;
use super::section::{Shared, Sources, section};
use super::select::runs;
use crate::base::row::Row;

/// Columns of numbers beside each other on paper.
const TOGETHER: usize = 6;

/// What a page is made of.
pub struct Page<'a> {
    /// The numbers of all runs, in the order of the runs.
    pub rows: &'a [Row],
    /// Which file has which.
    pub sources: &'a Sources,
    /// Which of several answers they are.
    pub choices: &'a Choices,
    /// What else is known of the runs.
    pub facts: &'a [Facts],
    /// Its figures, and the columns of its table.
    pub layout: &'a Layout,
}

impl Page<'_> {
    /// The page.
    pub fn html(&self) -> String {
        let runs = runs(self.rows);
        let names = escape(&runs.join(" and "));
        let mut body = format!("<h1>{names}</h1>\n<p class=\"legend\">");
        for (i, run) in runs.iter().enumerate() {
            let _ = write!(body, r#"<span class="c{}"><b>●</b> {}</span> "#, i % COLORS, escape(run));
        }
        body.push_str("</p>\n");
        body += &header::facts(self.facts);
        body += &header::findings(&findings(self.rows));
        body.push_str(
            "<h2>How to read it</h2>\n<p>A number belongs to the step whose weights it was measured at. Bars and ± are \
             the half-width of a 68% interval, over batches where several were measured, or the residual of an \
             eigenvalue. A hollow point, or a question mark in the table, is not settled: unconverged, or the data cannot \
             tell. Steps are spaced by the logarithm of 1 + step.</p>\n",
        );
        let figures = &self.layout.figures;
        let shown =
            |row: &&Row| figures.iter().any(|f| f.series.iter().any(|s| s.quantity == &*row.quantity));
        let steps = self.rows.iter().filter(shown).map(|r| r.step);
        let steps = (steps.clone().min().unwrap_or(0), steps.max().unwrap_or(0));
        let shared =
            Shared { rows: self.rows, runs: &runs, sources: self.sources, choices: self.choices, steps };
        let mut missing = String::new();
        for figure in figures {
            match section(&shared, figure) {
                Ok(text) => body += &text,
                Err(command) => missing += &format!("<li>{command}.</li>\n"),
            }
        }
        if !missing.is_empty() {
            let _ = write!(body, "<h2>Not measured</h2>\n<ul>\n{missing}</ul>\n");
        }
        body.push_str("<h2>The same steps side by side</h2>\n");
        self.tables(&mut body);
        format!("{HEAD}<title>{names} – warmlab</title>\n{STYLE}</head>\n<body>\n{body}</body>\n</html>\n")
    }

    /// The aligned table in parts that fit a page of paper, each with its steps and runs.
    fn tables(&self, body: &mut String) {
        let (header, lines) = grid(self.rows, &self.layout.columns, &self.layout.lines(self.rows));
        let numbers: Vec<usize> = (2..header.len()).collect();
        for part in numbers.chunks(TOGETHER) {
            let row = |cells: &[String], tag: &str| {
                let cells =
                    [0, 1].iter().chain(part).map(|&i| format!("<{tag}>{}</{tag}>", escape(&cells[i])));
                format!("<tr>{}</tr>\n", cells.collect::<String>())
            };
            let rows: String = lines.iter().map(|line| row(line, "td")).collect();
            let _ =
                write!(body, "<div class=\"scroll\"><table>\n{}{rows}</table></div>\n", row(&header, "th"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyses::ANALYSES;
    use crate::base::figure::{Column, Lines, Subject};
    use crate::base::row::{Origin, Status};
    use crate::measure::training;

    fn row(run: &str, step: u64, quantity: &'static str, value: f64) -> Row {
        Row::new(quantity, value).stamp(&Origin::new(run, "adam", "0a1b2c3d", step))
    }

    /// The figures of everything there is.
    fn layout() -> Layout {
        let analyses = ANALYSES.iter().map(|analysis| (analysis.figures(), analysis.columns()));
        Layout::of(std::iter::once((training::FIGURES, training::COLUMNS)).chain(analyses))
    }

    fn page(rows: &[Row], sources: &Sources) -> String {
        let columns = [
            ("λ1", "hessian/lambda"),
            ("preconditioned λ1", "preconditioned/lambda"),
            ("masked λ1", "preconditioned/lambda_masked"),
            ("entropy (mean)", "attention/entropy"),
            ("angle", "update/angle"),
            ("φ", "snr/phi"),
            ("RMS", "adam/update_rms"),
        ];
        let columns = columns.map(|(header, quantity)| Column::new(Subject::Curvature, header, quantity));
        let facts = [Facts { run: "warm".into(), facts: vec![("data", "moby & dick".into())] }];
        let mut layout = layout();
        layout.columns = columns.to_vec();
        layout.columns[1].lines = Lines::Chosen;
        let choice = "several answers at 2 steps, which differ in batch (a, b); shown: batch b";
        let choices = Choices::from([(("warm".into(), "preconditioned/lambda".into()), choice.into())]);
        Page { rows, sources, choices: &choices, facts: &facts, layout: &layout }.html()
    }

    #[test]
    fn every_measured_quantity_has_its_figure_its_source_and_escaped_names() {
        let evil = "<script>&\"";
        let mut rows = vec![
            row(evil, 1, "preconditioned/lambda", 9.5).index(1).uncertainty(0.5).status(Status::Unconverged),
            row(evil, 1, "preconditioned/lambda", 3.0).index(2),
            row("warm", 10, "preconditioned/lambda", 4.0).index(1),
            row("warm", 10, "preconditioned/lambda_masked", 2.0).index(1),
            row("warm", 10, "sharpness/threshold_t", 38.0),
            row("warm", 10, "adam/update_rms", 0.25),
            row("warm", 10, "snr/phi", -0.1).status(Status::Unresolved),
            row("warm", 20, "snr/phi", 0.1).uncertainty(0.02),
        ];
        for (head, value) in [(0, 1.5), (1, 0.75)] {
            rows.push(Row {
                head: Some(head),
                layer: Some(0),
                ..row("warm", 10, "attention/entropy", value)
            });
        }
        for (scope, value) in [("a", 0.3), ("b", 0.1), ("c", 0.2)] {
            rows.push(row("warm", 10, "update/angle", value).scope(scope));
        }
        let mut sources = Sources::new();
        for step in [10, 20] {
            let path = format!("reports/warm/snr/step_{step}.parquet");
            sources.entry(("warm".into(), "snr/phi".into())).or_default().insert(path);
            let path = format!("reports/warm/hessian/steps_{}_{step}.parquet", step - 9);
            sources.entry(("warm".into(), "preconditioned/lambda".into())).or_default().insert(path);
        }
        let html = page(&rows, &sources);
        assert!(!html.contains("<script") && html.contains("&lt;script&gt;&amp;&quot;"));
        let measured = ["Preconditioned", "Update RMS", "Angle", "Signal", "Attention entropy"];
        for figure in layout().figures {
            let here = measured.iter().any(|start| figure.title.starts_with(start));
            assert_eq!(
                html.contains(&format!("<h2>{}</h2>", escape(figure.title))),
                here,
                "{}",
                figure.title
            );
            // the axis of values says what they are
            assert_eq!(
                html.contains(&format!(">{}</text>", escape(figure.values))),
                here,
                "{}",
                figure.title
            );
        }
        for text in [
            "<li>Loss: <code>warmlab train</code> measures it.</li>",
            "<li>Learning rate: ",
            "<li>Gradient norm: ",
            "<li>Largest attention logit: ",
            "reports/warm/snr/step_*.parquet (2 files)",
            "reports/warm/hessian/steps_*.parquet (2 files)",
            "<code>snr/phi</code> from",
            "<code>preconditioned/lambda</code> of warm has several answers at 2 steps, which differ in batch (a, b); \
             shown: batch b.",
            "warm, attention/entropy, lowest head, step 10: 0.750000<",
            "warm, update/angle, update, step 10: 0.200000<",
            "warm, preconditioned/lambda_masked, masked, step 10: 2.00000<",
            "● raw &emsp; ◆ masked &emsp; - - - threshold_t",
            "step 1: 9.5 ± 0.5, not settled",
            "have no place here: 1",
            "<td>9.5?</td>",
            "prefers-color-scheme: dark",
            "@media print",
            "moby &amp; dick",
            "68% interval",
        ] {
            assert!(html.contains(text), "{text}\n{html}");
        }
        assert!(html.contains("Not measured for &lt;script&gt;"));
        assert!(!html.contains("http"), "the page asks for something outside itself");
        assert!(!html.contains("NaN") && !html.contains("crossed"), "{html}");
    }

    #[test]
    fn the_table_comes_in_parts_that_fit_paper_with_masked_beside_raw() {
        let mut rows = vec![];
        for quantity in [
            "hessian/lambda",
            "preconditioned/lambda",
            "preconditioned/lambda_masked",
            "attention/entropy",
            "update/angle",
            "snr/phi",
            "adam/update_rms",
        ] {
            rows.push(row("warm", 10, quantity, 1.0));
        }
        let html = page(&rows, &Sources::new());
        assert_eq!(html.matches("<div class=\"scroll\">").count(), 2);
        assert_eq!(html.matches("<th>step</th><th>run</th>").count(), 2);
        assert!(html.contains("<th>preconditioned λ1</th><th>masked λ1</th>"), "{html}");
    }
}
