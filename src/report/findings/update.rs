//! What the first update did.

use std::sync::Arc;

use super::words::{Finding, listed, number, together};
use crate::base::row::Row;
use crate::report::select::whole;

/// How far the first update turned the weights, and how long it was.
pub fn first_update(rows: &[Row], runs: &[Arc<str>]) -> Option<Finding> {
    let of = |quantity| runs.iter().map(|run| whole(rows, run, quantity)).collect::<Vec<_>>();
    let (step, angles) = together(&of("update/angle"), |step, _| -(step as f64))?;
    let angles = listed(runs, angles.iter().map(|m| format!("{} rad", number(m))));
    let size = together(&of("adam/update_rms"), |at, _| if at == step { 1.0 } else { 0.0 })
        .filter(|(at, _)| *at == step);
    let size = size.map_or_else(String::new, |(_, sizes)| {
        format!(
            "; in units of the learning rate its root mean square was {}",
            listed(runs, sizes.iter().map(number))
        )
    });
    let which = if step == 1 {
        "The first update".to_string()
    } else {
        format!("Update {step}, the first measured,")
    };
    Some(Finding {
        sentence: format!("{which} turned the weights by {angles}{size}."),
        caveat: "The angle is proportional to the learning rate of that update. Adam's first update has size 1 whatever the \
                 gradient is: that is its bias correction, not the run."
            .into(),
    })
}
