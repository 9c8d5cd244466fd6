//! The spectral density as rows: raw nodes and weights, a smoothed curve with its band, moments, quantiles, and
//! how different the densities of blocks are.
//!
//! The nodes and weights are the result; the curve is one way to draw them, with a Gaussian kernel whose width
//! is reported. Distances between blocks follow Zhang et al. 2024 (arXiv 2402.16788): heterogeneous blocks
//! are what Adam handles and SGD does not. Here each density is scaled by its largest |node| and smoothed with
//! a width of a hundredth of that before they are compared.
//!
//! Errors are 68% intervals over probes ([`crate::stats::interval`]); of a quantile also the gap that the quadrature leaves: of a probe's
//! measure only as much is known as the Chebyshev-Markov-Stieltjes inequalities say (Golub and Meurant 2010, Matrices,
//! Moments and Quadrature), that its mass up to a node lies between the weights before and up to it. `--trace` estimates the first two moments with the outliers taken out. A
//! distance between two estimated curves is too large on average; the jackknife says by how much, and that is taken off.

use crate::base::row::Row;
use crate::linalg::Measure;
use crate::stats::interval::{self, Jackknife};

/// Points of the curve.
const POINTS: usize = 201;
/// The kernel's standard deviation, as a share of the range of nodes.
const WIDTH: f64 = 0.01;
/// Levels of quantiles.
const LEVELS: [f64; 9] = [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99];
/// Moments: the last one beyond which a single outlier decides everything.
const MOMENTS: std::ops::RangeInclusive<i32> = 1..=4;

/// Rows of one density.
pub fn rows(prefix: &str, measures: &[Measure], matvecs: usize) -> Vec<Row> {
    let name = |quantity: &str| format!("{prefix}/density{quantity}");
    let count = measures.len() as u64;
    let mut rows = Vec::new();
    for (probe, measure) in measures.iter().enumerate() {
        for (i, (node, weight)) in measure.nodes.iter().zip(&measure.weights).enumerate() {
            let place = |row: Row| Row { probe: Some(probe as u32), ..row.index(i + 1) };
            rows.push(place(Row::new(name("_node"), *node).n(matvecs as u64)));
            rows.push(place(Row::new(name("_weight"), *weight).n(matvecs as u64)));
        }
    }
    for k in MOMENTS {
        let samples: Vec<f64> = measures.iter().map(|m| m.integral(|x| x.powi(k))).collect();
        if let Some((mean, half_width)) = interval::of_mean(&samples) {
            rows.push(
                Row::new(name("_moment"), mean).parameter(f64::from(k)).uncertainty(half_width).n(count),
            );
        }
    }
    for level in LEVELS {
        let quantile = |keep: &[usize]| quantile(keep.iter().map(|&i| &measures[i]), level);
        let Jackknife { value, half_width, .. } = Jackknife::of(measures.len(), quantile);
        let (least, most) = bracket(measures, level);
        let row = Row::new(name("_quantile"), value).parameter(level).n(count);
        rows.push(row.uncertainty(half_width.unwrap_or(f64::NAN).hypot((value - least).max(most - value))));
    }
    let (low, high) = range(measures);
    let width = WIDTH * (high - low).max(f64::MIN_POSITIVE);
    rows.push(Row::new(name("_width"), width));
    for i in 0..POINTS {
        let at = low - 3.0 * width + (high - low + 6.0 * width) * i as f64 / (POINTS - 1) as f64;
        let samples: Vec<f64> = measures.iter().map(|m| m.integral(|x| gauss(at - x, width))).collect();
        if let Some((mean, half_width)) = interval::of_positive_mean(&samples) {
            rows.push(Row::new(name(""), mean).parameter(at).uncertainty(half_width).n(count));
        }
    }
    rows
}

fn gauss(x: f64, width: f64) -> f64 {
    let z = x / width;
    (-0.5 * z * z).exp() / (width * std::f64::consts::TAU.sqrt())
}

fn range(measures: &[Measure]) -> (f64, f64) {
    let nodes = || measures.iter().flat_map(|m| m.nodes.iter().copied());
    (nodes().fold(f64::INFINITY, f64::min), nodes().fold(f64::NEG_INFINITY, f64::max))
}

/// Where the mean distribution function crosses `level`: each node's weight counts half below it, and between
/// nodes the function is a straight line.
fn quantile<'a>(measures: impl Iterator<Item = &'a Measure>, level: f64) -> f64 {
    let mut nodes: Vec<(f64, f64)> =
        measures.flat_map(|m| m.nodes.iter().copied().zip(m.weights.iter().copied())).collect();
    nodes.sort_by(|a, b| a.0.total_cmp(&b.0));
    let total: f64 = nodes.iter().map(|(_, weight)| weight).sum();
    let (mut below, mut last) = (0.0, None);
    for (node, weight) in nodes {
        let here = (below + weight / 2.0) / total;
        if here >= level {
            let Some((before, at)) = last else { return node };
            let share = (level - before) / (here - before);
            return at + share * (node - at);
        }
        last = Some((here, node));
        below += weight;
    }
    last.map_or(f64::NAN, |(_, node)| node)
}

/// Between which nodes the quantile of the mean measure lies. From node i to the next a measure's distribution
/// function is at least the weights before i and at most those up to i + 1.
fn bracket(measures: &[Measure], level: f64) -> (f64, f64) {
    let crossing = |shift: isize| {
        let step = |m: &Measure, i: usize| {
            let weight = i.checked_add_signed(shift).and_then(|j| m.weights.get(j));
            (m.nodes[i], weight.copied().unwrap_or(0.0))
        };
        let mut steps: Vec<(f64, f64)> =
            measures.iter().flat_map(|m| (0..m.nodes.len()).map(move |i| step(m, i))).collect();
        steps.sort_by(|a, b| a.0.total_cmp(&b.0));
        // what is there before the first node
        let mut mass = if shift > 0 { measures.iter().filter_map(|m| m.weights.first()).sum() } else { 0.0 };
        steps.into_iter().find_map(|(node, weight)| {
            mass += weight;
            (mass >= level * measures.len() as f64).then_some(node)
        })
    };
    let (low, high) = range(measures);
    (crossing(1).unwrap_or(low), crossing(-1).unwrap_or(high))
}

/// The Jensen-Shannon distance of every pair of blocks and its mean, with 68% jackknife intervals over probes.
pub fn distances(prefix: &str, densities: &[(&str, Vec<Measure>)]) -> Vec<Row> {
    if densities.len() < 2 {
        return vec![];
    }
    let count = densities.iter().map(|(_, measures)| measures.len()).min().unwrap_or(0);
    // a curve per block and probe; a mean of curves is the curve of a mean
    let curves: Vec<Vec<Vec<f64>>> =
        densities.iter().map(|(_, measures)| scaled(&measures[..count])).collect();
    let distance = |a: usize, b: usize, keep: &[usize]| {
        let mean = |block: usize| -> Vec<f64> {
            let mut sum = vec![0.0; POINTS];
            for &probe in keep {
                sum.iter_mut().zip(&curves[block][probe]).for_each(|(s, x)| *s += x / keep.len() as f64);
            }
            sum
        };
        jensen_shannon(&mean(a), &mean(b))
    };
    let row = |name: &str, found: Jackknife| {
        let unbiased = (found.value - found.bias).clamp(0.0, 1.0);
        let row = Row::new(format!("{prefix}/{name}"), unbiased).n(count as u64);
        row.uncertainty(found.half_width.unwrap_or(f64::NAN))
    };
    let mut rows = Vec::new();
    let pairs: Vec<(usize, usize)> =
        (0..densities.len()).flat_map(|a| (a + 1..densities.len()).map(move |b| (a, b))).collect();
    for &(a, b) in &pairs {
        let row = row("js_distance", Jackknife::of(count, |keep| distance(a, b, keep)));
        rows.push(row.scope(format!("{} ~ {}", densities[a].0, densities[b].0)));
    }
    let mean =
        |keep: &[usize]| pairs.iter().map(|&(a, b)| distance(a, b, keep)).sum::<f64>() / pairs.len() as f64;
    rows.push(row("js_mean", Jackknife::of(count, mean)));
    rows
}

/// For each measure of a block, its share in each of [`POINTS`] cells of [−1, 1] after scaling by the block's
/// largest |node|, smoothed.
fn scaled(measures: &[Measure]) -> Vec<Vec<f64>> {
    let (low, high) = range(measures);
    let size = low.abs().max(high.abs()).max(f64::MIN_POSITIVE);
    let cell = |i: usize| -1.0 + 2.0 * i as f64 / (POINTS - 1) as f64;
    let one = |measure: &Measure| -> Vec<f64> {
        let curve: Vec<f64> =
            (0..POINTS).map(|i| measure.integral(|x| gauss(cell(i) - x / size, WIDTH))).collect();
        let total: f64 = curve.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        curve.into_iter().map(|x| x / total).collect()
    };
    measures.iter().map(one).collect()
}

/// √ of the Jensen-Shannon divergence in bits: 0 for equal distributions, 1 for disjoint ones.
fn jensen_shannon(p: &[f64], q: &[f64]) -> f64 {
    let term = |x: f64, middle: f64| if x > 0.0 { x * (x / middle).log2() } else { 0.0 };
    let sum: f64 = p.iter().zip(q).map(|(p, q)| term(*p, (p + q) / 2.0) + term(*q, (p + q) / 2.0)).sum();
    (0.5 * sum).max(0.0).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(nodes: &[f64]) -> Measure {
        Measure { nodes: nodes.to_vec(), weights: vec![1.0 / nodes.len() as f64; nodes.len()] }
    }

    #[test]
    fn quantiles_of_an_even_measure_are_its_levels() {
        let even = measure(&(0..1000).map(|i| i as f64 / 999.0).collect::<Vec<_>>());
        for level in LEVELS {
            assert!((quantile([&even].into_iter(), level) - level).abs() < 1e-3, "{level}");
        }
    }

    #[test]
    fn a_level_lies_between_the_nodes_beside_the_one_it_falls_on() {
        let one = Measure { nodes: vec![-1.0, 0.0, 2.0, 5.0], weights: vec![0.2, 0.3, 0.4, 0.1] };
        for (level, bounds) in [(0.1, (-1.0, 0.0)), (0.3, (-1.0, 2.0)), (0.7, (0.0, 5.0)), (0.95, (2.0, 5.0))]
        {
            assert_eq!(bracket(std::slice::from_ref(&one), level), bounds, "{level}");
        }
    }

    #[test]
    fn the_curve_integrates_to_one_and_shifts_with_the_matrix() {
        let rows = rows("hessian", &[measure(&[0.0, 1.0, 4.0]), measure(&[0.0, 2.0, 4.0])], 6);
        let curve: Vec<(f64, f64)> = rows
            .iter()
            .filter(|r| &*r.quantity == "hessian/density")
            .map(|r| (r.parameter.expect("a place"), r.value.expect("a density")))
            .collect();
        let area: f64 = curve.windows(2).map(|w| (w[1].0 - w[0].0) * (w[0].1 + w[1].1) / 2.0).sum();
        assert!((area - 1.0).abs() < 0.02, "{area}");
    }

    #[test]
    fn distances_are_nil_for_scaled_copies_and_large_for_different_shapes() {
        let (a, b) = (measure(&[-1.0, 0.0, 2.0]), measure(&[-10.0, 0.0, 20.0]));
        let other = measure(&[-3.0, -2.0, 1.0]);
        let densities =
            [("a", vec![a.clone(), a]), ("b", vec![b.clone(), b]), ("c", vec![other.clone(), other])];
        let rows = distances("hessian", &densities);
        let value =
            |scope: &str| rows.iter().find(|r| &*r.scope == scope).and_then(|r| r.value).expect("a distance");
        assert!(value("a ~ b") < 1e-9);
        assert!(value("a ~ c") > 0.7 && value("a ~ c") <= 1.0);
    }
}
