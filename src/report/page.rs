//! Runs on one page: panels that share the axis of steps, and the aligned table, in one HTML file that needs
//! nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

use super::aligned::{Column, grid};
use super::chart::{Line, Point, escape, svg};
use super::panels::{PANELS, Panel, Pick, Series};
use crate::row::{Row, Status};

/// The files that hold a quantity of a run: (run, quantity) to paths.
pub type Sources = BTreeMap<(Arc<str>, Arc<str>), BTreeSet<String>>;

/// Colours the page has.
const COLORS: usize = 6;

/// The page of the runs in `rows`, in the order of their first row; `columns` and `measured` are those of the
/// table.
pub fn page(rows: &[Row], sources: &Sources, columns: &[Column], measured: &[&str]) -> String {
    let mut runs: Vec<Arc<str>> = Vec::new();
    for row in rows {
        if !runs.contains(&row.run) {
            runs.push(row.run.clone());
        }
    }
    let names = escape(&runs.join(" and "));
    let mut body = format!("<h1>{names}</h1>\n<p class=\"legend\">");
    for (i, run) in runs.iter().enumerate() {
        let _ = write!(body, r#"<span class="c{}"><b>●</b> {}</span> "#, i % COLORS, escape(run));
    }
    body.push_str(
        "</p>\n<p>A number belongs to the step whose weights it was measured at. Bars are one standard error, or the \
         residual of an eigenvalue. A hollow point is unconverged or unresolved. Steps are spaced by the logarithm \
         of 1 + step.</p>\n",
    );
    let shown = |row: &&Row| PANELS.iter().any(|p| p.series.iter().any(|s| s.quantity == &*row.quantity));
    let steps = rows.iter().filter(shown).map(|r| r.step);
    let steps = (steps.clone().min().unwrap_or(0), steps.max().unwrap_or(0));
    let mut missing = String::new();
    for panel in PANELS {
        section(&mut body, &mut missing, panel, rows, &runs, sources, steps);
    }
    if !missing.is_empty() {
        let _ = write!(body, "<h2>Not measured</h2>\n<ul>\n{missing}</ul>\n");
    }
    body.push_str("<h2>The same steps side by side</h2>\n");
    table(&mut body, rows, columns, measured);
    format!("{HEAD}<title>{names} – warmlab</title>\n{STYLE}</head>\n<body>\n{body}</body>\n</html>\n")
}

/// A panel, or a line on what would fill it.
fn section(
    body: &mut String,
    missing: &mut String,
    panel: &Panel,
    rows: &[Row],
    runs: &[Arc<str>],
    sources: &Sources,
    steps: (u64, u64),
) {
    let mut lines = Vec::new();
    let mut from: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut without = Vec::new();
    let mut dropped = 0;
    for (i, run) in runs.iter().enumerate() {
        let before = lines.len();
        for series in panel.series {
            let points = points(rows, run, series);
            if points.is_empty() {
                continue;
            }
            dropped += points.iter().filter(|p| panel.log && p.value <= 0.0).count();
            let key = (run.clone(), Arc::from(series.quantity));
            from.entry(series.quantity).or_default().extend(sources.get(&key).into_iter().flatten().cloned());
            let name = format!("{run}, {}", series.quantity);
            lines.push(Line { name, color: i % COLORS, style: series.style, points });
        }
        if lines.len() == before {
            without.push(run);
        }
    }
    let command =
        |run: &str| format!("<code>{}</code>", escape(&panel.command.replace("RUN", &format!("runs/{run}"))));
    let Some(drawing) = svg(panel.title, &lines, steps, panel.log) else {
        let first = runs.first().map_or("", |run| run);
        let _ = writeln!(missing, "<li>{}: {} measures it.</li>", escape(panel.title), command(first));
        return;
    };
    let _ = write!(body, "<h2>{}</h2>\n<p>{}</p>\n{drawing}\n", escape(panel.title), escape(panel.about));
    for run in without {
        let _ = writeln!(body, "<p>Not measured for {}: {} does it.</p>", escape(run), command(run));
    }
    if dropped > 0 {
        let _ = writeln!(body, "<p>Points that are not positive and so have no place here: {dropped}.</p>");
    }
    for (quantity, files) in from {
        let files: Vec<String> =
            folded(&files).iter().map(|f| format!("<code>{}</code>", escape(f))).collect();
        let _ = writeln!(
            body,
            "<p class=\"source\"><code>{}</code> from {}</p>",
            escape(quantity),
            files.join(", ")
        );
    }
}

/// The points of one run, one per step.
fn points(rows: &[Row], run: &Arc<str>, series: &Series) -> Vec<Point> {
    let mut steps: BTreeMap<u64, Vec<&Row>> = BTreeMap::new();
    for row in rows.iter().filter(|r| r.run == *run && &*r.quantity == series.quantity && r.value.is_some()) {
        steps.entry(row.step).or_default().push(row);
    }
    steps.values().filter_map(|rows| pick(rows, series.pick)).collect()
}

fn pick(rows: &[&Row], pick: Pick) -> Option<Point> {
    let of = |row: &Row| {
        row.value.map(|value| Point {
            step: row.step,
            value,
            error: row.sampling_error.or(row.uncertainty),
            settled: row.status == Status::Ok,
        })
    };
    match pick {
        Pick::Whole => {
            let whole = |r: &&&Row| {
                &*r.scope == "all" && r.layer.is_none() && r.head.is_none() && r.index.is_none_or(|i| i == 1)
            };
            if let Some(row) = rows.iter().find(whole) {
                return of(row);
            }
            let step = rows.first()?.step;
            let mut values: Vec<f64> = rows.iter().filter_map(|r| r.value).collect();
            values.sort_by(f64::total_cmp);
            let (low, high) = (values.get((values.len() - 1) / 2)?, values.get(values.len() / 2)?);
            let value = (low + high) / 2.0;
            Some(Point { step, value, error: None, settled: rows.iter().all(|r| r.status == Status::Ok) })
        }
        Pick::LowestHead => {
            let heads = rows.iter().filter(|r| r.head.is_some()).filter_map(|r| of(r));
            heads.min_by(|a, b| a.value.total_cmp(&b.value))
        }
    }
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

fn table(body: &mut String, rows: &[Row], columns: &[Column], measured: &[&str]) {
    let (header, lines) = grid(rows, columns, measured);
    body.push_str("<div class=\"wide\"><table>\n<tr>");
    header.iter().for_each(|cell| *body += &format!("<th>{}</th>", escape(cell)));
    body.push_str("</tr>\n");
    for line in lines {
        body.push_str("<tr>");
        line.iter().for_each(|cell| *body += &format!("<td>{}</td>", escape(cell)));
        body.push_str("</tr>\n");
    }
    body.push_str("</table></div>\n<p>A question mark: not settled.</p>\n");
}

const HEAD: &str = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";

const STYLE: &str = "<style>
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --grid: #d8dee4; --paper: #ffffff;
  --c0: #0b5cc2; --c1: #c2410c; --c2: #0f766e; --c3: #7e22ce; --c4: #a16207; --c5: #be185d; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --soft: #a6b1bd; --grid: #343b44; --paper: #0f1318;
    --c0: #6cb2ff; --c1: #ffa45c; --c2: #5eead4; --c3: #d8b4fe; --c4: #fcd34d; --c5: #f9a8d4; } }
body { background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif;
  max-width: 64rem; margin: 1.5rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin: 2rem 0 0; } p { margin: .3rem 0; }
svg { width: 100%; height: auto; display: block; }
svg text { fill: var(--soft); font-size: 12px; }
.end { text-anchor: end; } .middle { text-anchor: middle; }
.grid { stroke: var(--grid); }
.c0 { color: var(--c0); } .c1 { color: var(--c1); } .c2 { color: var(--c2); }
.c3 { color: var(--c3); } .c4 { color: var(--c4); } .c5 { color: var(--c5); }
polyline { fill: none; stroke: currentColor; }
.join { stroke-width: 1.5; } .line { stroke-width: 1; opacity: .55; } .limit { stroke-width: 1.5; stroke-dasharray: 6 4; }
.bar { stroke: currentColor; stroke-width: 1.5; }
.full { fill: currentColor; stroke: currentColor; } .hollow { fill: var(--paper); stroke: currentColor; stroke-width: 1.5; }
.source { color: var(--soft); font-size: .85rem; } .legend span { margin-right: 1rem; font-weight: 600; }
code { font-size: .9em; overflow-wrap: anywhere; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .8rem; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .15rem .4rem; border-bottom: 1px solid var(--grid); white-space: nowrap; }
</style>
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Origin;

    fn row(run: &str, step: u64, quantity: &'static str, value: f64) -> Row {
        Row::new(quantity, value).stamp(&Origin::new(run, "hessian", "0a1b2c3d", step))
    }

    #[test]
    fn every_measured_quantity_has_its_panel_its_source_and_escaped_names() {
        let evil = "<script>&\"";
        let mut rows = vec![
            row(evil, 1, "preconditioned/lambda", 9.5).index(1).uncertainty(0.5).status(Status::Unconverged),
            row(evil, 1, "preconditioned/lambda", 3.0).index(2),
            row("warm", 10, "preconditioned/lambda", 4.0).index(1),
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
        let columns = [Column { header: "λ1", quantity: "preconditioned/lambda" }];
        let html = page(&rows, &sources, &columns, &["preconditioned/lambda"]);
        assert!(!html.contains("<script") && html.contains("&lt;script&gt;&amp;&quot;"));
        for (panel, here) in PANELS.iter().zip([false, true, true, true, true, true]) {
            assert_eq!(html.contains(&format!("<h2>{}</h2>", escape(panel.title))), here, "{}", panel.title);
        }
        for text in [
            "<li>Loss: <code>warmlab train</code> measures it.</li>",
            "reports/warm/snr/step_*.parquet (2 files)",
            "reports/warm/hessian/steps_*.parquet (2 files)",
            "<code>snr/phi</code> from",
            "warm, attention/entropy, step 10: 0.750000<",
            "warm, update/angle, step 10: 0.200000<",
            "step 1: 9.5 ± 0.5, not settled",
            "have no place here: 1",
            "<td>9.5?</td>",
            "prefers-color-scheme: dark",
        ] {
            assert!(html.contains(text), "{text}\n{html}");
        }
        assert!(html.contains("Not measured for &lt;script&gt;"));
        assert!(!html.contains("http"), "the page asks for something outside itself");
    }
}
