//! Steps as people name them: `1,5,10-20`.

use std::ops::RangeInclusive;
use std::str::FromStr;

use super::takes::{Refusal, Takes};

/// A list of steps and of ranges of steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steps(Vec<RangeInclusive<u64>>);

impl Steps {
    /// Whether `step` is one of them.
    pub fn contains(&self, step: u64) -> bool {
        self.0.iter().any(|range| range.contains(&step))
    }

    /// The entry of the list, as one would type it, that none of `steps` belongs to: a step that is not there, or a
    /// range without any.
    pub fn without(&self, steps: &[u64]) -> Option<String> {
        let empty = self.0.iter().find(|range| !steps.iter().any(|step| range.contains(step)))?;
        Some(if empty.start() == empty.end() {
            format!("step {}", empty.start())
        } else {
            format!("step from {} to {}", empty.start(), empty.end())
        })
    }

    /// All of them up to `last`, ascending; what lies beyond is nobody's.
    pub fn up_to(&self, last: u64) -> Vec<u64> {
        let mut steps: Vec<u64> =
            self.0.iter().flat_map(|range| *range.start()..=last.min(*range.end())).collect();
        steps.sort_unstable();
        steps.dedup();
        steps
    }
}

impl FromStr for Steps {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let refuse =
            |instead| Refusal { problem: "is not a list of steps such as 1,5,10-20".into(), instead };
        let number = |text: &str| Takes::WHOLE.whole(text.trim()).ok();
        let mut ranges = Vec::new();
        for part in text.split(',') {
            let ends = match part.split_once('-').or_else(|| part.split_once("..")) {
                None => number(part).map(|step| (step, step)),
                Some((first, last)) => number(first).zip(number(last.trim_start_matches('='))),
            };
            match ends {
                None => return Err(refuse(None)),
                Some((first, last)) if first > last => {
                    let turned = text.replace(part, &format!("{last}-{first}"));
                    return Err(Refusal {
                        problem: format!("has a range that runs backwards, {part}"),
                        ..refuse(Some(turned))
                    });
                }
                Some((first, last)) => ranges.push(first..=last),
            }
        }
        Ok(Steps(ranges))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(text: &str) -> Steps {
        text.parse().expect(text)
    }

    #[test]
    fn single_steps_ranges_and_mixed_lists_are_read() {
        assert_eq!(steps("1,5,10-12").up_to(100), [1, 5, 10, 11, 12]);
        assert_eq!(steps("3-100000000000").up_to(5), [3, 4, 5]);
        assert_eq!(steps("10-12, 11,1").up_to(100), [1, 10, 11, 12]);
        assert_eq!(steps("0").up_to(100), [0]);
        assert_eq!(steps("2..4").up_to(9), steps("2-4").up_to(9));
        assert!(steps("1-100").contains(100) && !steps("1-100").contains(0));
    }

    #[test]
    fn a_list_says_which_part_of_it_is_not_there() {
        assert_eq!(steps("1-100").without(&[0, 10, 200]), None);
        assert_eq!(steps("10,20").without(&[0, 10, 200]).as_deref(), Some("step 20"));
        assert_eq!(steps("10,20-30").without(&[0, 10, 200]).as_deref(), Some("step from 20 to 30"));
    }

    #[test]
    fn what_is_no_list_of_steps_is_refused() {
        for bad in ["", "x", "1,", "-5", "1-", "1.5", "1-2-3", "99999999999999999999"] {
            assert!(bad.parse::<Steps>().is_err(), "{bad}");
        }
        assert_eq!("1,20-10".parse::<Steps>().expect_err("backwards").instead.as_deref(), Some("1,10-20"));
    }
}
