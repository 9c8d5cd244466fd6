//! Which values a flag or an option takes, and the word that helps when it is given another.
//!
//! A refusal is a phrase that follows the flag and the value, and, where one can be guessed, the value that was
//! meant: of a closed list of words the nearest, of `1e3` where a whole number is needed `1000`.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::error::Error;

/// The largest count there is anything of.
const MOST: u64 = 1_000_000_000;

/// The values an option takes.
#[derive(Debug, Clone, Copy)]
pub enum Takes {
    /// Whole numbers: which, in words, and whether one of them is it.
    Whole(&'static str, fn(u64) -> bool),
    /// Finite numbers: which, in words, and whether one of them is it.
    Number(&'static str, fn(f64) -> bool),
    /// One of these words.
    Word(&'static [&'static str]),
}

impl Takes {
    /// Any, such as a seed.
    pub const WHOLE: Takes = Takes::Whole("a whole number", |_| true);
    /// 0, 1, 2, ...: more than no machine holds is a slip of the finger.
    pub const COUNT: Takes = Takes::Whole("a whole number from 0 to 1000000000", |n| n <= MOST);
    /// 1, 2, ...
    pub const POSITIVE_COUNT: Takes =
        Takes::Whole("a whole number from 1 to 1000000000", |n| (1..=MOST).contains(&n));
    /// What a spread needs: 2, 3, ...
    pub const SEVERAL: Takes =
        Takes::Whole("a whole number from 2 to 1000000000", |n| (2..=MOST).contains(&n));
    /// What a spread needs, or nothing: 0, 2, 3, ...
    pub const NONE_OR_SEVERAL: Takes =
        Takes::Whole("0, or a whole number from 2 to 1000000000", |n| n <= MOST && n != 1);
    /// Above 0.
    pub const POSITIVE: Takes = Takes::Number("a number above 0", |x| x > 0.0);
    /// At least 0.
    pub const NOT_NEGATIVE: Takes = Takes::Number("a number of at least 0", |x| x >= 0.0);
    /// A share.
    pub const SHARE: Takes = Takes::Number("a number from 0 to 1", |x| (0.0..=1.0).contains(&x));
    /// At least 0 and below 1.
    pub const BELOW_ONE: Takes =
        Takes::Number("a number of at least 0 and below 1", |x| (0.0..1.0).contains(&x));

    /// Which values, in words.
    fn words(self) -> String {
        match self {
            Takes::Whole(what, _) | Takes::Number(what, _) => what.into(),
            Takes::Word(words) => or(words.iter().copied()),
        }
    }

    /// Whether `text` is such a value.
    ///
    /// # Errors
    /// A [`Refusal`] where it is not.
    pub fn check(self, text: &str) -> Result<(), Refusal> {
        match self {
            Takes::Whole(..) => self.whole(text).map(|_| ()),
            Takes::Number(..) => self.number(text).map(|_| ()),
            Takes::Word(words) if words.contains(&text) => Ok(()),
            Takes::Word(words) => Err(Refusal::word(text, words.iter().copied())),
        }
    }

    /// The whole number in `text`.
    ///
    /// # Errors
    /// A [`Refusal`] where it is none, or none of these.
    pub fn whole(self, text: &str) -> Result<u64, Refusal> {
        let (what, fits) = match self {
            Takes::Whole(what, fits) => (what, fits),
            _ => ("a whole number", (|_| true) as fn(u64) -> bool),
        };
        if let Some(number) = text.parse().ok().filter(|n| fits(*n)) {
            return Ok(number);
        }
        // 1e3, 1_000 and 1000.0 are whole numbers to people
        let meant: Option<f64> = text.replace('_', "").parse().ok();
        let meant = meant.filter(|x| x.fract() == 0.0 && (0.0..1e15).contains(x)).map(|x| x as u64);
        let instead = meant.filter(|n| fits(*n)).map(|n| n.to_string());
        Err(Refusal { problem: format!("is not {what}"), instead })
    }

    /// The number in `text`.
    ///
    /// # Errors
    /// A [`Refusal`] where it is none, or none of these.
    pub fn number(self, text: &str) -> Result<f64, Refusal> {
        let (what, fits) = match self {
            Takes::Number(what, fits) => (what, fits),
            _ => ("a number", (|_| true) as fn(f64) -> bool),
        };
        let refusal = || Refusal { problem: format!("is not {what}"), instead: None };
        text.parse().ok().filter(|x: &f64| x.is_finite() && fits(*x)).ok_or_else(refusal)
    }
}

/// A value parser of whole numbers.
pub fn whole<T: TryFrom<u64>>(takes: Takes) -> impl Fn(&str) -> Result<T, Refusal> + Clone {
    move |text| {
        let number = takes.whole(text)?;
        T::try_from(number).map_err(|_| Refusal { problem: "is too large".into(), instead: None })
    }
}

/// A value parser of numbers.
pub fn real(takes: Takes) -> impl Fn(&str) -> Result<f64, Refusal> + Clone {
    move |text| takes.number(text)
}

/// A value parser of a closed list of words.
pub fn word<T: FromStr>(words: &'static [&'static str]) -> impl Fn(&str) -> Result<T, Refusal> + Clone {
    move |text| {
        Takes::Word(words).check(text)?;
        text.parse().map_err(|_| Refusal::word(text, words.iter().copied()))
    }
}

/// Numbers with commas between them.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbers(pub Vec<f64>);

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0.iter().map(f64::to_string).collect::<Vec<_>>().join(","))
    }
}

impl Serialize for Numbers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A value parser of lists of numbers.
pub fn numbers(each: Takes) -> impl Fn(&str) -> Result<Numbers, Refusal> + Clone {
    move |text| {
        let number = |part: &str| each.number(part.trim()).map_err(|_| Refusal::list(&each.words()));
        text.split(',').map(number).collect::<Result<_, _>>().map(Numbers)
    }
}

/// Why a value is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct Refusal {
    /// A phrase that follows the flag and the value.
    pub problem: String,
    /// The value that was meant, where it can be guessed.
    pub instead: Option<String>,
}

impl Refusal {
    /// Of a word that is none of `words`.
    pub fn word<'a>(text: &str, words: impl Iterator<Item = &'a str> + Clone) -> Self {
        let instead = nearest(text, words.clone()).map(str::to_string);
        Refusal { problem: format!("is not {}", or(words)), instead }
    }

    fn list(what: &str) -> Self {
        Refusal { problem: format!("is not a list, with commas, of which each is {what}"), instead: None }
    }

    /// The refusal of `value` as a value of `flag`; without a guess `otherwise` is what to type.
    pub fn of(self, flag: &str, value: &str, otherwise: &str) -> Error {
        let hint =
            self.instead.map_or_else(|| otherwise.to_string(), |word| format!("did you mean {flag} {word}?"));
        Error::usage_hint(format!("{flag} `{value}` {}", self.problem), hint)
    }
}

/// The word most like `text`, where one is like it: a slip of the finger, a part of it, another case.
pub fn nearest<'a>(text: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Below this two words have nothing to do with each other.
    const ALIKE: f64 = 0.75;
    let text = text.to_lowercase();
    let likeness = |word: &str| {
        let word = word.to_lowercase();
        let within = text.len() > 2 && word.contains(&text);
        strsim::jaro_winkler(&text, &word).max(if within { ALIKE } else { 0.0 })
    };
    let scored = words.into_iter().map(|word| (likeness(word), word)).filter(|(score, _)| *score >= ALIKE);
    // of equals the first
    let best = scored.reduce(|best, next| if next.0 > best.0 { next } else { best });
    best.map(|(_, word)| word)
}

/// `a, b or c`.
pub fn or<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<&str> = words.into_iter().collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_offered_and_no_far_one() {
        let operators = ["hessian", "ggn", "preconditioned", "preconditioned-next"];
        for (typed, meant) in [
            ("precond", Some("preconditioned")),
            ("Hessian", Some("hessian")),
            ("hesian", Some("hessian")),
            ("next", Some("preconditioned-next")),
            ("preconditioned_next", Some("preconditioned-next")),
            ("gnn", Some("ggn")),
            ("fisher", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, operators), meant, "{typed}");
        }
        assert_eq!(nearest("layer", ["all", "blocks", "layers", "heads"]), Some("layers"));
    }

    #[test]
    fn numbers_that_are_not_of_the_kind_are_refused_in_words() {
        assert_eq!(Takes::POSITIVE_COUNT.whole("7"), Ok(7));
        for bad in ["0", "-1", "1.5", "x", "", "99999999999999999999999", "nan"] {
            let refusal = Takes::POSITIVE_COUNT.whole(bad).expect_err(bad);
            assert_eq!(
                (&*refusal.problem, refusal.instead),
                ("is not a whole number from 1 to 1000000000", None)
            );
        }
        assert_eq!(Takes::COUNT.whole("1e3").expect_err("a float").instead.as_deref(), Some("1000"));
        for bad in ["-1", "nan", "inf", "1,5", "", "x"] {
            assert!(Takes::NOT_NEGATIVE.number(bad).is_err(), "{bad}");
        }
        assert_eq!(
            Takes::BELOW_ONE.number("1").expect_err("1").problem,
            "is not a number of at least 0 and below 1"
        );
        let levels = numbers(Takes::SHARE);
        assert_eq!(levels("0.1, 1e0"), Ok(Numbers(vec![0.1, 1.0])));
        assert!(levels("0.1,2").is_err() && levels("").is_err());
    }

    #[test]
    fn a_refusal_says_what_to_type() {
        let dtype = word::<String>(&["f32", "f64"]);
        let error = dtype("fp64").expect_err("no such type").of("--dtype", "fp64", "x");
        assert_eq!(error.to_string(), "--dtype `fp64` is not f32 or f64");
        assert_eq!(error.hint(), Some("did you mean --dtype f64?"));
        assert_eq!(or(["a"]), "a");
    }
}
