//! One figure of the page: points over steps as an SVG.
//!
//! Steps are spaced like ln(1 + step), because what matters happens in the first ones and step 0 exists. Colours
//! are CSS classes of the page, so that one drawing serves light and dark. A point that is not settled is hollow. Each
//! panel is drawn twice, for wide and for narrow screens, because letters that shrink with a drawing cannot be read.

use std::fmt::Write;

use super::digits;
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

/// A screen's share of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// A desk's, or paper: every point tells its number.
    Wide,
    /// A telephone's.
    Narrow,
}

impl Size {
    fn width(self) -> f64 {
        if self == Size::Wide { 720.0 } else { 360.0 }
    }

    fn height(self) -> f64 {
        if self == Size::Wide { 260.0 } else { 250.0 }
    }
}

const LEFT: f64 = 72.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 42.0;

/// Where numbers lie in the drawing.
struct Axes {
    size: Size,
    steps: (u64, u64),
    values: (f64, f64),
    log: bool,
}

impl Axes {
    /// Around all points and the error bars of settled ones; `None` where nothing can be drawn.
    fn new(chart: &Chart, size: Size) -> Option<Self> {
        let Chart { lines, steps, log, .. } = *chart;
        let drawable = |x: &f64| x.is_finite() && (!log || *x > 0.0);
        let ends = |p: &Point| {
            let error = p.error.filter(|_| p.settled).unwrap_or(0.0);
            [p.value, p.value - error, p.value + error]
        };
        let all: Vec<f64> =
            lines.iter().flat_map(|l| l.points.iter().flat_map(ends)).filter(drawable).collect();
        let place = |x: f64| if log { x.ln() } else { x };
        let low = place(all.iter().copied().reduce(f64::min)?);
        let high = place(all.iter().copied().reduce(f64::max)?);
        let room =
            if high > low { 0.06 * (high - low) } else { 0.5 * if log { 1.0 } else { high.abs().max(1e-9) } };
        Some(Axes { size, steps, values: (low - room, high + room), log })
    }

    fn x(&self, step: u64) -> f64 {
        let place = |step: u64| (1.0 + step as f64).ln();
        let (first, last) = (place(self.steps.0), place(self.steps.1));
        let share = if last > first { (place(step) - first) / (last - first) } else { 0.5 };
        LEFT + 6.0 + share * (self.size.width() - LEFT - RIGHT - 12.0)
    }

    /// Inside the frame; what lies beyond is drawn on its edge.
    fn y(&self, value: f64) -> f64 {
        let place = match (self.log, value > 0.0) {
            (true, true) => value.ln(),
            (true, false) => f64::NEG_INFINITY,
            (false, _) => value,
        };
        let share = (place - self.values.0) / (self.values.1 - self.values.0);
        let height = self.size.height();
        height - BOTTOM - share.clamp(0.0, 1.0) * (height - TOP - BOTTOM)
    }

    fn value_ticks(&self) -> Vec<f64> {
        let (low, high) = self.values;
        if !self.log {
            let step = nice((high - low) / 5.0);
            let first = (low / step).ceil() as i64;
            return (first..).map(|i| i as f64 * step).take_while(|x| *x <= high).take(12).collect();
        }
        let decades =
            (low / std::f64::consts::LN_10).floor() as i32..=(high / std::f64::consts::LN_10).ceil() as i32;
        let every = (decades.clone().count() / 6).max(1) as i32;
        let parts: &[f64] = if high - low < 5.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        decades
            .filter(|d| d % every == 0)
            .flat_map(|d| parts.iter().map(move |p| p * 10f64.powi(d)))
            .filter(|x| (low..=high).contains(&x.ln()))
            .collect()
    }

    /// 0, 1, 2, 5, 10, …, as far as their labels do not touch.
    fn step_ticks(&self) -> Vec<u64> {
        let round = (0..19).flat_map(|d| [1, 2, 5].map(|p| 10u64.saturating_pow(d).saturating_mul(p)));
        let (first, last) = self.steps;
        let mut ticks: Vec<u64> = Vec::new();
        for step in std::iter::once(0).chain(round).filter(|s| (first..=last).contains(s)) {
            if ticks.last().is_none_or(|before| self.x(step) - self.x(*before) > 32.0) {
                ticks.push(step);
            }
        }
        ticks
    }
}

/// 1, 2 or 5 times a power of ten, at least `x`.
fn nice(x: f64) -> f64 {
    let decade = 10f64.powf(x.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|p| p * decade).find(|p| *p >= x * 0.999).unwrap_or(10.0 * decade)
}

/// The drawing, or `None` where no point can be drawn.
pub fn svg(chart: &Chart, size: Size) -> Option<String> {
    let axes = Axes::new(chart, size)?;
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

/// A tick's number in few characters.
fn label(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || (1e-3..1e4).contains(&size) {
        // ticks are multiples of a round step: what lies behind it is rounding
        let text = format!("{value:.6}");
        return text.trim_end_matches('0').trim_end_matches('.').to_string();
    }
    format!("{value:.0e}")
}

/// Text that stands for itself in HTML, in attributes too.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
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

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!([nice(0.3), nice(1.0), nice(13.0), nice(0.07)], [0.5, 1.0, 20.0, 0.1]);
        let labels = [0.0, 0.30000000000000004, 5e4, 2e6, 5e-5].map(label);
        assert_eq!(labels, ["0", "0.3", "5e4", "2e6", "5e-5"]);
        for (low, high, log) in [(1e-9, 1e9, true), (1.0, 1.1, true), (-3.0, 7.0, false), (2.0, 2.0, false)] {
            let lines = [line(vec![point(0, low), point(9, high)])];
            let axes = Axes::new(&chart(&lines, (0, 9), log), Size::Wide).expect("drawable");
            let ticks = axes.value_ticks();
            assert!((1..=12).contains(&ticks.len()), "{low} {high}: {ticks:?}");
        }
    }
}
