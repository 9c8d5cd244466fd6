//! When checkpoints are saved: densely where training is dangerous, sparsely later.

use serde::{Deserialize, Serialize};

/// Step 0 and every step to `early`; from there each time the step has grown by the factor `growth`; every
/// multiple of `every`; the steps of `at`; and the last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Saves {
    /// Last step of the dense window.
    pub early: u64,
    /// Factor between saves after it, at least 1; 1 is off.
    pub growth: f64,
    /// Period; 0 is off.
    pub every: u64,
    /// Further steps.
    pub at: Vec<u64>,
    /// States in memory that are saved when the loss jumps.
    #[serde(default = "three")]
    pub before_jump: usize,
}

fn three() -> usize {
    3
}

/// Checkpoints that no run has.
const TOO_MANY: usize = 1_000_000;

impl Saves {
    /// All steps to save of a run of `last` updates, ascending.
    pub fn steps(&self, last: u64) -> Vec<u64> {
        let mut steps: Vec<u64> = self.unordered(last).collect();
        steps.sort_unstable();
        steps.dedup();
        steps
    }

    /// Whether a run of `last` updates would save more than a million checkpoints, found without a list of them.
    pub fn are_too_many(&self, last: u64) -> bool {
        self.unordered(last).nth(TOO_MANY).is_some()
    }

    fn unordered(&self, last: u64) -> impl Iterator<Item = u64> {
        let growing = (self.growth > 1.0).then(|| self.early.max(1));
        let growing = std::iter::successors(growing, |step| {
            Some(step.checked_add(1)?.max((*step as f64 * self.growth) as u64))
        });
        let periodic = (self.every > 0).then(|| (self.every..=last).step_by(self.every as usize));
        (0..=self.early.min(last))
            .chain(growing.take_while(move |step| *step <= last))
            .chain(periodic.into_iter().flatten())
            .chain(self.at.iter().copied().filter(move |step| *step <= last))
            .chain([last])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_join() {
        let saves = Saves { early: 3, growth: 2.0, every: 20, at: vec![7, 999], before_jump: 3 };
        assert_eq!(saves.steps(50), [0, 1, 2, 3, 6, 7, 12, 20, 24, 40, 48, 50]);
        let rare = Saves { early: 0, growth: 1.0, every: 0, at: vec![], before_jump: 0 };
        assert_eq!(rare.steps(9), [0, 9]);
    }

    #[test]
    fn too_many_are_known_before_they_are_listed() {
        let none = Saves { early: 0, growth: 1.0, every: 0, at: vec![], before_jump: 0 };
        assert!(!none.are_too_many(u64::MAX));
        assert!(!Saves { growth: 1.5, ..none.clone() }.are_too_many(u64::MAX));
        for saves in [
            Saves { early: u64::MAX, ..none.clone() },
            Saves { every: 1, ..none.clone() },
            Saves { growth: 1.0000001, ..none },
        ] {
            assert!(saves.are_too_many(u64::MAX) && !saves.are_too_many(1000), "{saves:?}");
        }
    }
}
