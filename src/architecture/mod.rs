//! A model before any number: its sizes, and every parameter with its name, shape and role.
//!
//! An architecture is one file and one line of [`ARCHITECTURES`]. It is a list of parameters in the order of the
//! layers; flat vectors, the model's tensors, initialisation, scopes, heads, decay and memory plans follow from
//! it, and nobody else looks into a parameter's name.

mod config;
mod gpt2;
mod parameter;

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub use config::{Activation, GptConfig};
pub use gpt2::GPT2;
pub use parameter::{Initial, Parameter, Projection, Role};

/// Every architecture; the first is what a configuration without `arch` means.
pub static ARCHITECTURES: &[&Architecture] = &[&GPT2];

/// How a model of some sizes is made of parameters.
#[derive(Debug)]
pub struct Architecture {
    /// What `config.json` calls it in `arch`.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// Its parameters in the order of the layers; their places in the flat vector are not filled in yet.
    list: fn(&GptConfig) -> Vec<Parameter>,
}

impl Architecture {
    /// The one of that name.
    fn named(name: &str) -> Result<&'static Self, String> {
        let known = || ARCHITECTURES.iter().map(|a| format!("\"{}\"", a.name)).collect::<Vec<_>>().join(", ");
        let found = ARCHITECTURES.iter().find(|architecture| architecture.name == name);
        found.copied().ok_or_else(|| format!("arch \"{name}\" is not known; what is known: {}", known()))
    }

    fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<&'static Self, D::Error> {
        Architecture::named(&String::deserialize(from)?).map_err(de::Error::custom)
    }
}

impl PartialEq for Architecture {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Serialize for Architecture {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.name.serialize(to)
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
