//! From what a forward pass saw to rows: entropies, logits and the residual stream.

use rayon::prelude::*;

use crate::base::row::Row;
use crate::model::{ForwardStatistics, RowStatistics};
use crate::stats::entropy::LowerBound;
use crate::stats::quantile::quantiles;

/// Levels of `attention/entropy_quantile`; the first is the lowest entropy of any row.
pub const LEVELS: [f64; 6] = [0.0, 0.05, 0.25, 0.5, 0.75, 0.95];

/// What the entropy of a row is measured by.
struct Position {
    /// ln T.
    most: f64,
    /// What the norm of the logits allows.
    least: LowerBound,
}

/// One head's softmax rows in a few numbers.
#[derive(Debug, Clone)]
struct Head {
    entropy: f64,
    normalized: f64,
    collapsed: f64,
    /// Where asked for.
    bound: Option<f64>,
    max_logit: f64,
    quantiles: Vec<f64>,
}

impl Head {
    /// Of the rows of several sequences; `positions` are those of one.
    fn new(rows: &[RowStatistics], positions: &[Position], collapsed_below: f64, detailed: bool) -> Self {
        let count = rows.len() as f64;
        let (mut normalized, mut collapsed) = (0.0, 0.0);
        let mut max_logit = f64::NEG_INFINITY;
        for (row, position) in rows.iter().zip(positions.iter().cycle()) {
            if position.most > 0.0 {
                let share = row.entropy / position.most;
                normalized += share;
                collapsed += f64::from(u8::from(share < collapsed_below));
            }
            // a maximum that NaN survives
            max_logit = if row.largest_logit <= max_logit { max_logit } else { row.largest_logit };
        }
        let mut entropies: Vec<f64> = rows.iter().map(|row| row.entropy).collect();
        let entropy = entropies.iter().sum::<f64>() / count;
        let later = count - count / positions.len() as f64;
        let bound = || {
            let least = rows.iter().zip(positions.iter().cycle()).map(|(row, p)| p.least.at(row.logit_norm));
            least.sum::<f64>() / count
        };
        Head {
            entropy,
            normalized: normalized / later,
            collapsed: collapsed / later,
            bound: detailed.then(bound),
            max_logit,
            quantiles: if detailed { quantiles(&mut entropies, &LEVELS) } else { vec![] },
        }
    }
}

/// The rows of one forward pass; none is stamped yet. A row of a softmax is collapsed where its entropy is below
/// `collapsed_below` times the logarithm of its length; `detailed` adds quantiles and the bound.
pub fn rows(statistics: &ForwardStatistics, collapsed_below: f64, detailed: bool) -> Vec<Row> {
    let (seq, tokens) = (statistics.seq(), statistics.num_tokens() as u64);
    let places: Vec<(usize, usize)> = (0..statistics.n_layer())
        .flat_map(|layer| (0..statistics.n_head()).map(move |head| (layer, head)))
        .collect();
    let position = |len: usize| Position { most: (len as f64).ln(), least: LowerBound::new(len) };
    let positions: Vec<Position> = (1..=seq).map(position).collect();
    let of = |&(layer, head): &(usize, usize)| {
        Head::new(&statistics.rows(layer, head), &positions, collapsed_below, detailed)
    };
    let heads: Vec<Head> = places.par_iter().map(of).collect();
    let later = tokens - tokens / seq as u64;
    let numbers = |head: &Head| {
        let mut list = vec![
            Row::new("attention/entropy", head.entropy).n(tokens),
            Row::new("attention/max_logit", head.max_logit).n(tokens),
        ];
        list.extend(head.bound.map(|bound| Row::new("attention/entropy_bound", bound).n(tokens)));
        // a single key leaves nothing to normalise by
        if later > 0 {
            list.push(Row::new("attention/entropy_normalized", head.normalized).n(later));
            let collapsed = Row::new("attention/collapsed_fraction", head.collapsed);
            list.push(collapsed.parameter(collapsed_below).n(later));
        }
        list
    };
    let mut all = numbers(&over_all(&heads));
    for (&(layer, head), of) in places.iter().zip(&heads) {
        let quantiles = LEVELS.iter().zip(&of.quantiles);
        let quantiles = quantiles
            .map(|(level, value)| Row::new("attention/entropy_quantile", *value).parameter(*level).n(tokens));
        let place = |row| Row { layer: Some(layer as u32), head: Some(head as u32), ..row };
        all.extend(numbers(of).into_iter().chain(quantiles).map(place));
    }
    all.push(Row::new("logits/log_z", statistics.log_z()).n(tokens));
    for layer in 0..statistics.n_layer() {
        let names = ["residual/rms", "residual/attention_rms", "residual/mlp_rms"];
        for (name, value) in names.into_iter().zip(statistics.residual_rms(layer)) {
            let row = Row::new(name, value).scope(statistics.module(layer).clone()).n(tokens);
            all.push(Row { layer: Some(layer as u32), ..row });
        }
    }
    all
}

/// Means over heads, and the largest of their largest logits.
fn over_all(heads: &[Head]) -> Head {
    let mean = |of: fn(&Head) -> f64| heads.iter().map(of).sum::<f64>() / heads.len() as f64;
    let largest = |a: f64, b: f64| if b <= a { a } else { b };
    Head {
        entropy: mean(|h| h.entropy),
        normalized: mean(|h| h.normalized),
        collapsed: mean(|h| h.collapsed),
        bound: heads.iter().map(|h| h.bound).sum::<Option<f64>>().map(|sum| sum / heads.len() as f64),
        max_logit: heads.iter().map(|h| h.max_logit).fold(f64::NEG_INFINITY, largest),
        quantiles: vec![],
    }
}
