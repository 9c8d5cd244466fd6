//! One rate for every update.

use std::sync::Arc;

use super::{Rates, rate};
use crate::base::key::{Fallback, Key};
use crate::base::registry::Entry;
use crate::base::takes::Takes;

/// The line in the registry.
pub const ENTRY: Entry<dyn Rates> = Entry {
    name: "constant",
    about: "peak at every update, the first included",
    source: "gradient descent as it is: what a run without warmup is compared with",
    keys: &[Key::new("peak", Takes::NOT_NEGATIVE, Fallback::Value("1e-3"), "the rate")],
    make: |told| Ok(Arc::new(Constant(told.number("peak")))),
};

struct Constant(f64);

impl Rates for Constant {
    fn lr(&self, _: u64) -> f64 {
        self.0
    }

    fn words(&self) -> String {
        format!("constant {}", rate(self.0))
    }

    fn extended(&self, updates: u64, more: u64) -> String {
        format!("updates {} to {more} keep the learning rate {}", updates + 1, rate(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_update_has_the_one_rate() {
        let constant = Constant(0.02);
        assert!([1, 2, 1000].iter().all(|t| constant.lr(*t) == 0.02));
        assert_eq!(constant.extended(10, 20), "updates 11 to 20 keep the learning rate 0.02");
    }
}
