//! Pickles as plain data: a stack machine that builds values and calls nothing.
//!
//! A call that the pickle asks for is kept as what it is, a name with arguments and a state, for whoever
//! knows that name: numpy's numbers, torch's tensors and the attributes of objects are read from there.
//! Values lie in one list and refer to each other by position, so that shared and even circular values
//! cost nothing and nothing is dropped recursively.

mod input;
mod machine;
mod value;

use std::io::BufRead;

pub use value::{Id, Value};

/// The values of one pickle.
#[derive(Debug)]
pub struct Pickle {
    values: Vec<Value>,
    root: Id,
}

impl Pickle {
    /// Parses one pickle and leaves `input` behind it.
    ///
    /// # Errors
    /// What is wrong with it, a phrase.
    pub fn parse(input: &mut dyn BufRead) -> Result<Self, String> {
        let (values, root) = machine::run(input)?;
        Ok(Pickle { values, root })
    }

    /// The value that was pickled.
    pub fn root(&self) -> Id {
        self.root
    }

    /// All values, the innermost first.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// The value at `id`.
    pub fn value(&self, id: Id) -> &Value {
        &self.values[id as usize]
    }

    /// The items of a list or a tuple.
    pub fn items(&self, id: Id) -> &[Id] {
        match self.value(id) {
            Value::List(items) | Value::Tuple(items) => items,
            _ => &[],
        }
    }

    /// The entries of a dictionary, or the attributes of an object.
    pub fn entries(&self, id: Id) -> &[(Id, Id)] {
        match self.value(id) {
            Value::Dict(entries) => entries,
            Value::Call { state: Some(state), .. } => match self.value(*state) {
                Value::Dict(entries) => entries,
                _ => &[],
            },
            _ => &[],
        }
    }

    /// An entry of a dictionary, or an attribute of an object, by its name; the last of that name, as in
    /// Python.
    pub fn get(&self, id: Id, name: &str) -> Option<Id> {
        self.entries(id).iter().rev().find(|(key, _)| self.text(*key) == Some(name)).map(|(_, value)| *value)
    }

    /// The text of a string, or of the name of a class.
    pub fn text(&self, id: Id) -> Option<&str> {
        match self.value(id) {
            Value::Text(text) | Value::Global(text) => Some(text),
            _ => None,
        }
    }

    /// A whole number that is not negative.
    pub fn size(&self, id: Id) -> Option<usize> {
        match self.value(id) {
            Value::Int(n) => usize::try_from(*n).ok(),
            _ => None,
        }
    }
}
