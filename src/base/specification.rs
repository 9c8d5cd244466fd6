//! `name:key=value,key=value`: how schedules and optimizers are told, the same on the command line, in the tables of
//! run.toml and in study files.
//!
//! A specification is text until an entry's keys have read it ([`Specification::filled`]); from there on it holds every
//! key of the entry once, in the entry's order, each value written in the one way that numbers of equal value share.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::Error as _;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::error::{Error, Result};
use super::key::{Fallback, Key};
use super::takes::{Refusal, Takes, nearest, or};

/// A name and the values of some keys.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Specification {
    name: String,
    values: Vec<(String, String)>,
}

impl Specification {
    /// Of an entry, with all keys left out.
    pub fn named(name: &str) -> Self {
        Specification { name: name.into(), values: Vec::new() }
    }

    /// The same with a value for `key`.
    pub fn with(mut self, key: &str, value: impl fmt::Display) -> Self {
        self.values.push((key.into(), value.to_string()));
        self
    }

    /// Of a table, in which what is no single value is no key of any entry.
    pub fn of_scalars(table: BTreeMap<String, serde_json::Value>) -> Self {
        let mut specification = Specification::default();
        for (key, value) in table {
            let text = match value {
                serde_json::Value::String(text) => text,
                serde_json::Value::Array(_) | serde_json::Value::Object(_) => continue,
                scalar => scalar.to_string(),
            };
            match key.as_str() {
                "name" => specification.name = text,
                _ => specification.values.push((key, text)),
            }
        }
        specification
    }

    /// Reads what `flag` was given.
    ///
    /// # Errors
    /// [`Error::Usage`] where it is no list of settings.
    pub fn parse(flag: &str, text: &str) -> Result<Self> {
        let (name, settings) = text.split_once(':').unwrap_or((text, ""));
        if name.is_empty() {
            let hint = format!("write it as {flag} name:key=value,key=value");
            return Err(Error::usage_hint(format!("{flag} `{text}` is not a name and its settings"), hint));
        }
        let mut specification = Specification::named(name);
        for setting in settings.split(',').filter(|_| !settings.is_empty()) {
            let (key, value) = setting.split_once('=').ok_or_else(|| {
                Error::usage_hint(
                    format!("{flag} {name}: `{setting}` is no setting"),
                    format!("write it as {flag} {name}:key=value,key=value"),
                )
            })?;
            let (key, value) = (key.trim(), value.trim());
            if specification.get(key).is_some() {
                return Err(Error::usage(format!("{flag} {name}: {key} is given twice")));
            }
            specification = specification.with(key, value);
        }
        Ok(specification)
    }

    /// The name of its entry; "" in a table from before entries had names.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value of a key, where it has one.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Keys and values, in order.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The same with what it leaves out taken from `base`, if that is of the same entry.
    pub fn over(mut self, base: &Specification) -> Self {
        let left_out =
            base.values.iter().filter(|(key, _)| base.name == self.name && self.get(key).is_none());
        let left_out: Vec<_> = left_out.cloned().collect();
        self.values.extend(left_out);
        self
    }

    /// All keys of the entry `name`, each with its value; `flag` is what they were given to.
    ///
    /// # Errors
    /// [`Error::Usage`] where a key is none of the entry's, a value none of the key's, or one is missing that only a
    /// run's `updates` tell.
    pub fn filled(&self, flag: &str, name: &str, keys: &[Key], updates: Option<u64>) -> Result<Self> {
        let old = self.name.is_empty();
        let spelt = |key: &Key| if old && !key.former.is_empty() { key.former } else { key.name };
        if let Some((unknown, _)) =
            self.values.iter().find(|(given, _)| keys.iter().all(|k| spelt(k) != given))
        {
            let names = || keys.iter().map(|key| key.name);
            let hint = match nearest(unknown, names()) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("it has {}", or(names())),
            };
            return Err(Error::usage_hint(format!("{flag} {name} has no key `{unknown}`"), hint));
        }
        let mut all = Specification::named(name);
        for key in keys {
            let value = match (self.get(spelt(key)), key.fallback, updates) {
                (Some(text), ..) => text.to_string(),
                (None, Fallback::Value(text), _) => text.to_string(),
                (None, Fallback::Tenth(other), _) => format!("{:?}", all.number(other) / 10.0),
                (None, Fallback::Updates, Some(updates)) => updates.to_string(),
                (None, Fallback::Updates, None) => {
                    return Err(Error::usage(format!("{flag} {name} needs {}", spelt(key))));
                }
            };
            let written = written(key.takes, &value).map_err(|refusal| {
                let what = format!("{flag} {name}: {}", spelt(key));
                refusal.of(&what, &value, &format!("{}: {}", key.name, key.help))
            })?;
            all = all.with(key.name, written);
        }
        Ok(all)
    }

    /// The number a key has in a filled specification.
    pub fn number(&self, key: &str) -> f64 {
        self.value(key).parse().unwrap_or(f64::NAN)
    }

    /// The whole number a key has in a filled specification.
    pub fn whole(&self, key: &str) -> u64 {
        self.value(key).parse().unwrap_or(u64::MAX)
    }

    fn value(&self, key: &str) -> &str {
        self.get(key).unwrap_or_else(|| panic!("{} has no key {key}", self.name))
    }

    /// A filled specification as a table had it before entries had names, younger keys left out where they are what they
    /// are when left out: what hashes of older runs were made of.
    pub fn nameless(&self, keys: &[Key]) -> Self {
        let old = |key: &Key| {
            let value = self.value(key.name).to_string();
            let plain = matches!(key.fallback, Fallback::Value(text) if written(key.takes, text).as_ref() == Ok(&value));
            let name = if key.former.is_empty() { key.name } else { key.former };
            (!key.former.is_empty() || !plain).then(|| (name.to_string(), value))
        };
        Specification { name: String::new(), values: keys.iter().filter_map(old).collect() }
    }
}

/// A value in the one way it is written.
fn written(takes: Takes, text: &str) -> std::result::Result<String, Refusal> {
    match takes {
        Takes::Whole(..) => takes.whole(text).map(|number| number.to_string()),
        Takes::Number(..) => takes.number(text).map(|number| format!("{number:?}")),
        _ => takes.check(text).map(|()| text.to_string()),
    }
}

impl fmt::Display for Specification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (i, (key, value)) in self.values.iter().enumerate() {
            write!(f, "{}{key}={value}", if i == 0 { ":" } else { "," })?;
        }
        Ok(())
    }
}

/// A table: the name where there is one, and the keys with values of their types.
impl Serialize for Specification {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut table = serializer.serialize_map(None)?;
        if !self.name.is_empty() {
            table.serialize_entry("name", &self.name)?;
        }
        for (key, text) in &self.values {
            match (text.parse::<u64>(), text.parse::<f64>(), text.parse::<bool>()) {
                (Ok(whole), ..) => table.serialize_entry(key, &whole)?,
                (_, Ok(number), _) => table.serialize_entry(key, &number)?,
                (.., Ok(switch)) => table.serialize_entry(key, &switch)?,
                _ => table.serialize_entry(key, text)?,
            }
        }
        table.end()
    }
}

impl<'de> Deserialize<'de> for Specification {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let table: BTreeMap<String, serde_json::Value> = Deserialize::deserialize(deserializer)?;
        match table.iter().find(|(_, value)| value.is_array() || value.is_object()) {
            Some((key, _)) => Err(D::Error::custom(format!("`{key}` is no single value"))),
            None => Ok(Specification::of_scalars(table)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &[Key] = &[
        Key::new("peak", Takes::NOT_NEGATIVE, Fallback::Value("1e-3"), "largest").formerly("peak"),
        Key::new("steps", Takes::COUNT, Fallback::Updates, "last").formerly("decay"),
        Key::new("min", Takes::NOT_NEGATIVE, Fallback::Tenth("peak"), "floor").formerly("min_lr"),
        Key::new("law", Takes::Word(&["a", "b"]), Fallback::Value("a"), "which"),
    ];

    fn filled(text: &str) -> Result<Specification> {
        Specification::parse("--x", text)?.filled("--x", "n", KEYS, Some(50))
    }

    #[test]
    fn what_is_left_out_is_filled_in_and_numbers_are_written_one_way() {
        assert_eq!(filled("n").expect("filled").to_string(), "n:peak=0.001,steps=50,min=0.0001,law=a");
        let told = filled("n:min=0, peak=2 ,law=b").expect("filled");
        assert_eq!(told.to_string(), "n:peak=2.0,steps=50,min=0.0,law=b");
        assert_eq!((told.number("peak"), told.whole("steps")), (2.0, 50));
        assert_eq!(Specification::parse("--x", "n:peak=3").expect("read").over(&told).get("law"), Some("b"));
        assert_eq!(Specification::parse("--x", "m:peak=3").expect("read").over(&told).get("law"), None);
    }

    #[test]
    fn a_slip_is_one_sentence() {
        for (text, said) in [
            ("n:peak", "--x n: `peak` is no setting"),
            ("n:peak=1,peak=2", "--x n: peak is given twice"),
            ("n:peek=1", "--x n has no key `peek`"),
            ("n:peak=-1", "--x n: peak `-1` is not a number of at least 0"),
            ("n:peak=nan", "--x n: peak `nan` is not a number of at least 0"),
            ("n:law=c", "--x n: law `c` is not a or b"),
            ("n:steps=1.5", "--x n: steps `1.5` is not a whole number from 0 to 1000000000"),
        ] {
            assert_eq!(filled(text).expect_err(text).to_string(), said);
        }
        assert!(Specification::named("n").filled("--x", "n", KEYS, None).is_err(), "steps are not known");
    }

    #[test]
    fn tables_keep_types_and_those_without_a_name_are_read_and_hashed_as_they_were() {
        let table = toml::to_string(&filled("n:law=b").expect("filled")).expect("a table");
        assert_eq!(table, "name = \"n\"\npeak = 0.001\nsteps = 50\nmin = 0.0001\nlaw = \"b\"\n");
        let back: Specification = toml::from_str(&table).expect("read");
        assert_eq!(back.filled("x", "n", KEYS, None).expect("filled"), filled("n:law=b").expect("filled"));
        let old: Specification = toml::from_str("peak = 3e-3\ndecay = 50\nmin_lr = 1e-8").expect("read");
        let old = old.filled("x", "n", KEYS, None).expect("filled");
        assert_eq!(old.to_string(), "n:peak=0.003,steps=50,min=1e-8,law=a");
        let hashed = serde_json::to_string(&old.nameless(KEYS)).expect("plain data");
        assert_eq!(hashed, r#"{"peak":0.003,"decay":50,"min_lr":1e-8}"#);
    }
}
