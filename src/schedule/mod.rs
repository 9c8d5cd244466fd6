//! Learning-rate schedules, one per file: the rate of update t, counted from 1.

mod constant;
mod warmup_cosine;

use crate::base::registry::{Chosen, Entry, Listed};

/// A learning rate for every update.
pub trait Rates: Send + Sync {
    /// The rate of update t, counted from 1.
    fn lr(&self, t: u64) -> f64;

    /// It in words, for the facts of a run.
    fn words(&self) -> String;

    /// What it does in a run of `updates` updates that goes on to `more`: a clause.
    fn extended(&self, updates: u64, more: u64) -> String;
}

/// A schedule with its numbers.
pub type Schedule = Chosen<dyn Rates>;

/// Every schedule.
pub const SCHEDULES: &[&Entry<dyn Rates>] = &[&warmup_cosine::ENTRY, &constant::ENTRY];

impl Listed for dyn Rates {
    const FLAG: &'static str = "--schedule";
    const ENTRIES: &'static [&'static Entry<Self>] = SCHEDULES;
}

/// A rate without the digits that its arithmetic left behind.
fn rate(rate: f64) -> String {
    let text = format!("{rate:.6e}");
    text.parse::<f64>().map_or(text, |rate| rate.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::specification::Specification;

    #[test]
    fn every_schedule_has_a_finite_rate_at_every_update_and_survives_being_written() {
        for entry in SCHEDULES {
            let schedule = Schedule::new(&Specification::named(entry.name), Some(200)).expect("the defaults");
            assert!((1..400).all(|t| schedule.lr(t).is_finite() && schedule.lr(t) >= 0.0), "{schedule}");
            let text = schedule.to_string();
            let parsed = Specification::parse("--schedule", &text).expect("parsed");
            let table = toml::to_string(&schedule).expect("a table");
            let back: Schedule = toml::from_str(&table).expect("read");
            for other in [Schedule::new(&parsed, None).expect("the same"), back] {
                assert_eq!(other, schedule);
                assert!((1..400).all(|t| other.lr(t).to_bits() == schedule.lr(t).to_bits()), "{text}");
            }
            assert!(!entry.about.ends_with('.') && !schedule.words().is_empty());
            assert!(!schedule.extended(200, 300).is_empty());
        }
        let names: std::collections::BTreeSet<_> = SCHEDULES.iter().map(|entry| entry.name).collect();
        assert_eq!(names.len(), SCHEDULES.len());
    }

    #[test]
    fn rates_are_told_without_noise() {
        assert_eq!((rate(0.0), rate(0.0006000000000000001)), ("0".into(), "0.0006".into()));
    }
}
