//! A figure on the page: its heading, its key, its drawings, and where the numbers come from.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

use super::answers::Choices;
use super::axes::Size;
use super::chart::{COLORS, Chart, Line, Point, svg};
use super::html::escape;
use super::select::{lowest_head, whole};
use crate::base::figure::{Figure, Pick, Series, Style};
use crate::base::row::Row;

/// The files that hold a quantity of a run: (run, quantity) to paths.
pub type Sources = BTreeMap<(Arc<str>, Arc<str>), BTreeSet<String>>;

/// What every figure of a page shares.
pub struct Shared<'a> {
    pub rows: &'a [Row],
    pub runs: &'a [Arc<str>],
    pub sources: &'a Sources,
    pub choices: &'a Choices,
    /// The first and the last step.
    pub steps: (u64, u64),
}

/// The figure, or what would fill it.
pub fn section(shared: &Shared, figure: &Figure) -> Result<String, String> {
    let mut lines = Vec::new();
    let mut drawn: Vec<&Series> = Vec::new();
    let mut from: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut chosen: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    let mut without = Vec::new();
    let mut dropped = 0;
    for (i, run) in shared.runs.iter().enumerate() {
        let before = lines.len();
        for series in figure.series {
            let points = points(shared.rows, run, series);
            if points.is_empty() {
                continue;
            }
            if !drawn.iter().any(|other| other.label == series.label) {
                drawn.push(series);
            }
            dropped += points.iter().filter(|p| figure.log && p.value <= 0.0).count();
            let key = (run.clone(), Arc::from(series.quantity));
            let files = shared.sources.get(&key).into_iter().flatten().cloned();
            from.entry(series.quantity).or_default().extend(files);
            chosen.extend(shared.choices.get(&key).map(|choice| ((series.quantity, &**run), &**choice)));
            let name = format!("{run}, {}, {}", series.quantity, series.label);
            lines.push(Line { name, color: i % COLORS, style: series.style, points });
        }
        if lines.len() == before {
            without.push(run);
        }
    }
    let command = |run: &str| {
        format!("<code>{}</code>", escape(&figure.command.replace("RUN", &format!("runs/{run}"))))
    };
    let chart = Chart {
        title: figure.title,
        values: figure.values,
        lines: &lines,
        steps: shared.steps,
        log: figure.log,
    };
    let Some((wide, narrow)) = svg(&chart, Size::Wide).zip(svg(&chart, Size::Narrow)) else {
        let first = shared.runs.first().map_or("", |run| run);
        return Err(format!("{}: {} measures it", escape(figure.title), command(first)));
    };
    let mut text = format!("<section>\n<h2>{}</h2>\n<p>{}</p>\n", escape(figure.title), escape(figure.about));
    if drawn.len() > 1 {
        let key = drawn.iter().map(|series| format!("{} {}", mark(series.style), escape(series.label)));
        let _ = writeln!(text, "<p class=\"key\">{}</p>", key.collect::<Vec<_>>().join(" &emsp; "));
    }
    let _ = write!(text, "{wide}\n{narrow}\n");
    for run in without {
        let _ = writeln!(text, "<p>Not measured for {}: {} does it.</p>", escape(run), command(run));
    }
    if dropped > 0 {
        let _ = writeln!(text, "<p>Points that are not positive and so have no place here: {dropped}.</p>");
    }
    for (quantity, files) in from {
        let files: Vec<String> =
            folded(&files).iter().map(|f| format!("<code>{}</code>", escape(f))).collect();
        let quantity = escape(quantity);
        let _ = writeln!(text, "<p class=\"source\"><code>{quantity}</code> from {}</p>", files.join(", "));
    }
    for ((quantity, run), choice) in chosen {
        let (quantity, run, choice) = (escape(quantity), escape(run), escape(choice));
        let _ = writeln!(text, "<p class=\"source\"><code>{quantity}</code> of {run} has {choice}.</p>");
    }
    Ok(text + "</section>\n")
}

/// How the key shows a style.
fn mark(style: Style) -> &'static str {
    match style {
        Style::Points => "●",
        Style::Diamonds => "◆",
        Style::Line => "──",
        Style::Limit => "- - -",
    }
}

/// The points of one run, one per step.
fn points(rows: &[Row], run: &Arc<str>, series: &Series) -> Vec<Point> {
    let steps = match series.pick {
        Pick::Whole => whole(rows, run, series.quantity),
        Pick::LowestHead => lowest_head(rows, run, series.quantity),
    };
    let point = |(step, m): (u64, super::select::Measured)| Point {
        step,
        value: m.value,
        error: m.error,
        settled: m.settled,
    };
    steps.into_iter().map(point).collect()
}

/// Paths with those that differ only in the step written once.
fn folded(paths: &BTreeSet<String>) -> Vec<String> {
    let mut groups: BTreeMap<String, Vec<&String>> = BTreeMap::new();
    for path in paths {
        let pattern = match path.rsplit_once('/') {
            Some((folder, file)) if file.starts_with("step_") => format!("{folder}/step_*.parquet"),
            Some((folder, file)) if file.starts_with("steps_") => format!("{folder}/steps_*.parquet"),
            _ => path.clone(),
        };
        groups.entry(pattern).or_default().push(path);
    }
    let name = |(pattern, paths): (String, Vec<&String>)| match paths.as_slice() {
        [one] => (*one).clone(),
        many => format!("{pattern} ({} files)", many.len()),
    };
    groups.into_iter().map(name).collect()
}
