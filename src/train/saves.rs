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
}

impl Saves {
    /// All steps to save of a run of `last` updates, ascending.
    pub fn steps(&self, last: u64) -> Vec<u64> {
        let mut steps: Vec<u64> = (0..=self.early.min(last)).collect();
        if self.growth > 1.0 {
            let mut step = self.early.max(1);
            while step <= last {
                steps.push(step);
                step = ((step as f64 * self.growth) as u64).max(step + 1);
            }
        }
        if self.every > 0 {
            steps.extend((self.every..=last).step_by(self.every as usize));
        }
        steps.extend(self.at.iter().copied().filter(|step| *step <= last));
        steps.push(last);
        steps.sort_unstable();
        steps.dedup();
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_join() {
        let saves = Saves { early: 3, growth: 2.0, every: 20, at: vec![7, 999] };
        assert_eq!(saves.steps(50), [0, 1, 2, 3, 6, 7, 12, 20, 24, 40, 48, 50]);
        let rare = Saves { early: 0, growth: 1.0, every: 0, at: vec![] };
        assert_eq!(rare.steps(9), [0, 9]);
    }
}
