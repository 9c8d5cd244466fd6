//! What an entry of a registry can be told: its keys, each with the values it takes and what it is when left out.

use std::fmt;

use super::takes::Takes;

/// What a key is where it is left out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fallback {
    /// This value.
    Value(&'static str),
    /// The number of updates of the run.
    Updates,
    /// A tenth of the value of another key before it.
    Tenth(&'static str),
}

impl fmt::Display for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fallback::Value(text) => f.write_str(text),
            Fallback::Updates => f.write_str("the run's --steps"),
            Fallback::Tenth(key) => write!(f, "a tenth of {key}"),
        }
    }
}

/// A key of an entry.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// As it is typed.
    pub name: &'static str,
    /// Its name in tables from before entries had names; "" where it is younger.
    pub(super) former: &'static str,
    /// Which values it takes.
    pub takes: Takes,
    /// What it is where it is left out.
    pub fallback: Fallback,
    /// One sentence.
    pub help: &'static str,
}

impl Key {
    /// A key.
    pub const fn new(name: &'static str, takes: Takes, fallback: Fallback, help: &'static str) -> Self {
        Key { name, former: "", takes, fallback, help }
    }

    /// The same, of an entry that is older than names, with the name it had then.
    pub const fn formerly(self, former: &'static str) -> Self {
        Key { former, ..self }
    }
}
