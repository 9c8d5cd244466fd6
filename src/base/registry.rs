//! Registries of what is chosen by a [`Specification`]: one entry per file, one line per entry in the list, and nothing
//! else in the code names one.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::{Error, Result};
use super::key::Key;
use super::specification::Specification;
use super::takes::Refusal;

/// What is chosen: a trait's `dyn`, with the list of those there are.
pub trait Listed: Send + Sync + 'static {
    /// The flag that chooses one.
    const FLAG: &'static str;
    /// All of them; the first is what a run has that names none.
    const ENTRIES: &'static [&'static Entry<Self>];
}

/// One line of a registry.
pub struct Entry<T: ?Sized> {
    /// As it is typed.
    pub name: &'static str,
    /// What it is, with its formula, in one sentence.
    pub about: &'static str,
    /// Where it is from.
    pub source: &'static str,
    /// What it can be told.
    pub keys: &'static [Key],
    /// Makes it of a filled specification; or says what is impossible about it.
    pub make: fn(&Specification) -> std::result::Result<Arc<T>, String>,
}

/// An entry with the values of its keys.
pub struct Chosen<T: ?Sized + 'static> {
    entry: &'static Entry<T>,
    specification: Specification,
    made: Arc<T>,
}

impl<T: Listed + ?Sized> Chosen<T> {
    /// What a specification asks for in a run of so many `updates`.
    ///
    /// # Errors
    /// [`Error::Usage`] where there is no such entry, or it cannot be told this.
    pub fn new(asked: &Specification, updates: Option<u64>) -> Result<Self> {
        let name = asked.name();
        let unnamed = name.is_empty().then_some(T::ENTRIES[0]);
        let named = || T::ENTRIES.iter().copied().find(|entry| entry.name == name);
        let entry = unnamed.or_else(named).ok_or_else(|| {
            let names = T::ENTRIES.iter().map(|entry| entry.name);
            Refusal::word(name, names).of(T::FLAG, name, &format!("warmlab list {}s describes them", T::FLAG))
        })?;
        Self::of(entry, asked, updates)
    }

    /// An entry, which need not be in the list, told what a specification asks for.
    ///
    /// # Errors
    /// [`Error::Usage`] where it cannot be told this.
    pub fn of(entry: &'static Entry<T>, asked: &Specification, updates: Option<u64>) -> Result<Self> {
        let specification = asked.filled(T::FLAG, entry.name, entry.keys, updates)?;
        let impossible = |problem| Error::usage(format!("{} {}: {problem}", T::FLAG, entry.name));
        let made = (entry.make)(&specification).map_err(impossible)?;
        Ok(Chosen { entry, specification, made })
    }

    /// What `text`, as it stands on the command line, asks for.
    ///
    /// # Errors
    /// [`Error::Usage`] where it is no specification, or cannot be had.
    pub fn parse(text: &str, updates: Option<u64>) -> Result<Self> {
        Self::new(&Specification::parse(T::FLAG, text)?, updates)
    }

    /// The entry that a run has which names none, with the values of some keys.
    ///
    /// # Errors
    /// [`Error::Usage`] where it cannot be told this.
    pub fn usual<'a>(
        values: impl IntoIterator<Item = (&'a str, Option<String>)>,
        updates: u64,
    ) -> Result<Self> {
        let named = Specification::named(T::ENTRIES[0].name);
        let given = values.into_iter().filter_map(|(key, value)| Some((key, value?)));
        Self::new(&given.fold(named, |asked, (key, value)| asked.with(key, value)), Some(updates))
    }

    /// Its entry.
    pub fn entry(&self) -> &'static Entry<T> {
        self.entry
    }

    /// All its keys and their values.
    pub fn specification(&self) -> &Specification {
        &self.specification
    }

    /// What stands for it in the hash of a run: of the first entry what it was before there were names.
    pub fn hashed(&self) -> Specification {
        if self.entry.name == T::ENTRIES[0].name {
            self.specification.nameless(self.entry.keys)
        } else {
            self.specification.clone()
        }
    }
}

impl<T: ?Sized> Clone for Chosen<T> {
    fn clone(&self) -> Self {
        Chosen { specification: self.specification.clone(), made: self.made.clone(), ..*self }
    }
}

impl<T: ?Sized> Deref for Chosen<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.made
    }
}

impl<T: ?Sized> PartialEq for Chosen<T> {
    fn eq(&self, other: &Self) -> bool {
        self.specification == other.specification
    }
}

impl<T: ?Sized> fmt::Display for Chosen<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.specification.fmt(f)
    }
}

impl<T: ?Sized> fmt::Debug for Chosen<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<T: ?Sized> Serialize for Chosen<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        self.specification.serialize(serializer)
    }
}

impl<'de, T: Listed + ?Sized> Deserialize<'de> for Chosen<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        Chosen::new(&Specification::deserialize(deserializer)?, None).map_err(D::Error::custom)
    }
}
