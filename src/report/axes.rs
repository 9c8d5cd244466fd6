//! Where numbers lie in a drawing, and which of them the axes name.

/// A screen's share of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// A desk's, or paper: every point tells its number.
    Wide,
    /// A telephone's.
    Narrow,
}

impl Size {
    pub fn width(self) -> f64 {
        if self == Size::Wide { 720.0 } else { 360.0 }
    }

    pub fn height(self) -> f64 {
        if self == Size::Wide { 260.0 } else { 250.0 }
    }
}

pub const LEFT: f64 = 72.0;
pub const RIGHT: f64 = 14.0;
pub const TOP: f64 = 10.0;
pub const BOTTOM: f64 = 42.0;

/// Where numbers lie in the drawing.
pub struct Axes {
    pub size: Size,
    steps: (u64, u64),
    values: (f64, f64),
    pub log: bool,
}

impl Axes {
    /// Around all of these `values`; `None` where none of them can be drawn.
    pub fn new(values: impl Iterator<Item = f64>, steps: (u64, u64), log: bool, size: Size) -> Option<Self> {
        let drawable = |x: &f64| x.is_finite() && (!log || *x > 0.0);
        let all: Vec<f64> = values.filter(drawable).collect();
        let place = |x: f64| if log { x.ln() } else { x };
        let low = place(all.iter().copied().reduce(f64::min)?);
        let high = place(all.iter().copied().reduce(f64::max)?);
        let room =
            if high > low { 0.06 * (high - low) } else { 0.5 * if log { 1.0 } else { high.abs().max(1e-9) } };
        Some(Axes { size, steps, values: (low - room, high + room), log })
    }

    /// From the left.
    pub fn x(&self, step: u64) -> f64 {
        let place = |step: u64| (1.0 + step as f64).ln();
        let (first, last) = (place(self.steps.0), place(self.steps.1));
        let share = if last > first { (place(step) - first) / (last - first) } else { 0.5 };
        LEFT + 6.0 + share * (self.size.width() - LEFT - RIGHT - 12.0)
    }

    /// Inside the frame; what lies beyond is drawn on its edge.
    pub fn y(&self, value: f64) -> f64 {
        let place = match (self.log, value > 0.0) {
            (true, true) => value.ln(),
            (true, false) => f64::NEG_INFINITY,
            (false, _) => value,
        };
        let share = (place - self.values.0) / (self.values.1 - self.values.0);
        let height = self.size.height();
        height - BOTTOM - share.clamp(0.0, 1.0) * (height - TOP - BOTTOM)
    }

    /// Round values, few.
    pub fn value_ticks(&self) -> Vec<f64> {
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
    pub fn step_ticks(&self) -> Vec<u64> {
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

/// A tick's number in few characters.
pub fn label(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || (1e-3..1e4).contains(&size) {
        // ticks are multiples of a round step: what lies behind it is rounding
        let text = format!("{value:.6}");
        return text.trim_end_matches('0').trim_end_matches('.').to_string();
    }
    format!("{value:.0e}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!([nice(0.3), nice(1.0), nice(13.0), nice(0.07)], [0.5, 1.0, 20.0, 0.1]);
        let labels = [0.0, 0.30000000000000004, 5e4, 2e6, 5e-5].map(label);
        assert_eq!(labels, ["0", "0.3", "5e4", "2e6", "5e-5"]);
        for (low, high, log) in [(1e-9, 1e9, true), (1.0, 1.1, true), (-3.0, 7.0, false), (2.0, 2.0, false)] {
            let values = [low, high].into_iter().flat_map(|x: f64| [x, x - 0.5 * x.abs(), x + 0.5 * x.abs()]);
            let axes = Axes::new(values, (0, 9), log, Size::Wide).expect("drawable");
            let ticks = axes.value_ticks();
            assert!((1..=12).contains(&ticks.len()), "{low} {high}: {ticks:?}");
        }
    }
}
