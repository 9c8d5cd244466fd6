//! One figure of the page: points over steps as an SVG.
//!
//! Steps are spaced like ln(1 + step), because what matters happens in the first ones and step 0 exists. Colours
//! are CSS classes of the page, so that one drawing serves light and dark. A point that is not settled is hollow. Each
//! panel is drawn twice, for wide and for narrow screens, because letters that shrink with a drawing cannot be read.

use std::fmt::Write;

use super::axes::{Axes, BOTTOM, LEFT, RIGHT, Size, TOP, label};
use super::digits;
use super::html::escape;
use crate::base::figure::Style;

/// A measured point.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Updates applied.
    pub step: u64,
    /// The number.
    pub value: f64,
    /// Half the height of its error bar.
    pub error: Option<f64>,
    /// Whether its status is ok.
    pub settled: bool,
}

/// Colours the page has.
pub const COLORS: usize = 6;

/// Points of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// What a tooltip calls it.
    pub name: String,
    /// Which colour, from 0.
    pub color: usize,
    /// How it is drawn.
    pub style: Style,
    /// In the order of steps.
    pub points: Vec<Point>,
}

/// One panel.
#[derive(Debug, Clone, Copy)]
pub struct Chart<'a> {
    /// What it is called where it cannot be seen.
    pub title: &'a str,
    /// What its values are, in which unit.
    pub values: &'a str,
    /// What is drawn.
    pub lines: &'a [Line],
    /// The first and the last step of the page.
    pub steps: (u64, u64),
    /// Whether values are spaced by their logarithm.
    pub log: bool,
}

/// The drawing, or `None` where no point can be drawn.
pub fn svg(chart: &Chart, size: Size) -> Option<String> {
    // all points, and the error bars of settled ones
    let ends = |p: &Point| {
        let error = p.error.filter(|_| p.settled).unwrap_or(0.0);
        [p.value, p.value - error, p.value + error]
    };
    let values = chart.lines.iter().flat_map(|line| line.points.iter().flat_map(ends));
    let axes = Axes::new(values, chart.steps, chart.log, size)?;
    let (width, height) = (size.width(), size.height());
    let (bottom, right) = (height - BOTTOM, width - RIGHT);
    let mut out = String::new();
    // writing to a string cannot fail
    let _ = write!(
        out,
        r#"<svg class="{}" viewBox="0 0 {width} {height}" role="img" aria-label="{}">"#,
        if size == Size::Wide { "for-wide" } else { "for-narrow" },
        escape(chart.title)
    );
    for value in axes.value_ticks() {
        let y = axes.y(value);
        let _ = write!(out, r#"<line class="grid" x1="{LEFT}" y1="{y:.1}" x2="{right}" y2="{y:.1}"/>"#);
        let (x, y) = (LEFT - 7.0, y + 4.0);
        let _ = write!(out, r#"<text class="end" x="{x}" y="{y:.1}">{}</text>"#, label(value));
    }
    for step in axes.step_ticks() {
        let x = axes.x(step);
        let _ = write!(out, r#"<line class="grid" x1="{x:.1}" y1="{TOP}" x2="{x:.1}" y2="{bottom}"/>"#);
        let _ = write!(out, r#"<text class="middle" x="{x:.1}" y="{}">{step}</text>"#, bottom + 16.0);
    }
    let (middle, low) = ((LEFT + right) / 2.0, height - 6.0);
    let _ = write!(out, r#"<text class="middle" x="{middle}" y="{low}">step (updates applied)</text>"#);
    let (values, middle) = (escape(chart.values), (TOP + bottom) / 2.0);
    let _ = write!(
        out,
        r#"<text class="middle title" transform="translate(14 {middle}) rotate(-90)">{values}</text>"#
    );
    for line in chart.lines {
        draw(&mut out, &axes, line);
    }
    out.push_str("</svg>");
    Some(out)
}

/// Points of a line from which they are drawn small.
const CROWD: usize = 60;

fn draw(out: &mut String, axes: &Axes, line: &Line) {
    let points: Vec<&Point> = line.points.iter().filter(|p| !axes.log || p.value > 0.0).collect();
    let path: Vec<String> =
        points.iter().map(|p| format!("{:.1},{:.1}", axes.x(p.step), axes.y(p.value))).collect();
    let class = match line.style {
        Style::Points => "join",
        Style::Diamonds => "dots",
        Style::Line => "line",
        Style::Limit => "limit",
    };
    let color = line.color;
    let _ = write!(out, r#"<g class="c{color}"><polyline class="{class}" points="{}"/>"#, path.join(" "));
    // points of every step would hide one another
    let radius = if points.len() > CROWD { 1.8 } else { 3.6 };
    let marked = matches!(line.style, Style::Points | Style::Diamonds);
    for point in points.iter().filter(|_| marked) {
        let (x, y) = (axes.x(point.step), axes.y(point.value));
        if let Some(error) = point.error.filter(|e| *e > 0.0) {
            let (high, low) = (axes.y(point.value + error), axes.y(point.value - error));
            let _ =
                write!(out, r#"<line class="bar" x1="{x:.1}" y1="{high:.1}" x2="{x:.1}" y2="{low:.1}"/>"#);
        }
        mark(out, line, point, (x, y), radius, axes.size);
    }
    out.push_str("</g>");
}

/// A point, which on a wide screen tells its number.
fn mark(out: &mut String, line: &Line, point: &Point, (x, y): (f64, f64), radius: f64, size: Size) {
    let fill = if point.settled { "full" } else { "hollow" };
    let told = (size == Size::Wide).then(|| {
        let doubt = if point.settled { "" } else { ", not settled" };
        let number = digits::with_uncertainty(point.value, point.error);
        format!("<title>{}, step {}: {number}{doubt}</title>", escape(&line.name), point.step)
    });
    let told = told.unwrap_or_default();
    let r = radius;
    let _ = match line.style {
        Style::Diamonds => {
            write!(
                out,
                r#"<path class="{fill}" d="M{x:.1} {y:.1}m0 -{r}l{r} {r}l-{r} {r}l-{r} -{r}z">{told}</path>"#
            )
        }
        _ => write!(out, r#"<circle class="{fill}" cx="{x:.1}" cy="{y:.1}" r="{r}">{told}</circle>"#),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(step: u64, value: f64) -> Point {
        Point { step, value, error: Some(0.5 * value.abs()), settled: step != 10 }
    }

    fn line(points: Vec<Point>) -> Line {
        Line { name: "a<b".into(), color: 0, style: Style::Points, points }
    }

    fn chart(lines: &[Line], steps: (u64, u64), log: bool) -> Chart<'_> {
        Chart { title: "x", values: "y in <nats>", lines, steps, log }
    }

    #[test]
    fn every_point_is_drawn_inside_the_frame_and_doubtful_ones_hollow() {
        let lines = [line(vec![point(0, 1e-3), point(1, 2.0), point(10, 300.0), point(100, 40.0)])];
        for log in [true, false] {
            for size in [Size::Wide, Size::Narrow] {
                let svg = svg(&chart(&lines, (0, 100), log), size).expect("drawable");
                assert_eq!(svg.matches("<circle").count(), 4);
                assert_eq!((svg.matches("hollow").count(), svg.matches("class=\"bar\"").count()), (1, 4));
                assert_eq!(svg.contains("a&lt;b"), size == Size::Wide, "{svg}");
                assert!(
                    svg.contains("y in &lt;nats&gt;</text>") && svg.contains("step (updates applied)"),
                    "{svg}"
                );
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            }
        }
    }

    #[test]
    fn what_cannot_be_drawn_is_left_out() {
        let draw = |points: Vec<Point>, log| svg(&chart(&[line(points)], (0, 1), log), Size::Wide);
        assert_eq!(draw(vec![], false), None);
        assert_eq!(draw(vec![point(1, -3.0)], true), None);
        let one = draw(vec![point(1, 3.0), point(2, -1.0)], true).expect("drawable");
        assert_eq!(one.matches("<circle").count(), 1);
    }
}
