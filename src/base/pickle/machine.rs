//! The stack machine that a pickle is a program for.

use std::collections::HashMap;
use std::io::BufRead;

use super::input::Input;
use super::value::{Id, MAX_VALUES, Value, damaged};

/// Runs one pickle; its values, and which of them was pickled.
pub(super) fn run(input: &mut dyn BufRead) -> Result<(Vec<Value>, Id), String> {
    let mut machine =
        Machine { input: Input(input), values: vec![], stack: vec![], marks: vec![], memo: HashMap::new() };
    let root = machine.run()?;
    Ok((machine.values, root))
}

struct Machine<'a> {
    input: Input<'a>,
    values: Vec<Value>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl Machine<'_> {
    fn run(&mut self) -> Result<Id, String> {
        loop {
            match self.input.byte()? {
                b'.' => return self.pop(),
                0x80 => {
                    self.input.byte()?;
                }
                0x95 => {
                    self.input.array::<8>()?;
                }
                code => self.step(code)?,
            }
        }
    }

    fn step(&mut self, code: u8) -> Result<(), String> {
        match code {
            // scalars
            b'N' => self.push(Value::None),
            0x88 => self.push(Value::Bool(true)),
            0x89 => self.push(Value::Bool(false)),
            b'K' => self.input.byte().and_then(|n| self.push(Value::Int(n.into()))),
            b'M' => self.input.array().and_then(|n| self.push(Value::Int(u16::from_le_bytes(n).into()))),
            b'J' => self.input.array().and_then(|n| self.push(Value::Int(i32::from_le_bytes(n).into()))),
            b'G' => self.input.array().and_then(|x| self.push(Value::Float(f64::from_be_bytes(x)))),
            0x8a => self.input.long(1).and_then(|n| self.push(n)),
            0x8b => self.input.long(4).and_then(|n| self.push(n)),
            b'I' | b'L' | b'F' => self.input.number_in_words(code).and_then(|n| self.push(n)),
            // strings
            b'V' => self.input.line().and_then(|text| self.push(Value::Text(text.into()))),
            b'U' | 0x8c => self.input.text(1).and_then(|x| self.push(x)),
            b'T' | b'X' => self.input.text(4).and_then(|x| self.push(x)),
            0x8d => self.input.text(8).and_then(|x| self.push(x)),
            b'C' => self.input.bytes(1).and_then(|x| self.push(x)),
            b'B' => self.input.bytes(4).and_then(|x| self.push(x)),
            0x8e | 0x96 => self.input.bytes(8).and_then(|x| self.push(x)),
            // containers
            b'(' => {
                self.marks.push(self.stack.len());
                if self.marks.len() > MAX_VALUES { Err(too_many()) } else { Ok(()) }
            }
            b')' => self.push(Value::Tuple(vec![])),
            b']' | 0x8f => self.push(Value::List(vec![])),
            b'}' => self.push(Value::Dict(vec![])),
            0x85..=0x87 => {
                let from = self.stack.len().checked_sub(usize::from(code - 0x84)).ok_or_else(damaged)?;
                let items = self.stack.split_off(from);
                self.push(Value::Tuple(items))
            }
            b't' => self.pop_to_mark().and_then(|items| self.push(Value::Tuple(items))),
            b'l' | 0x91 => self.pop_to_mark().and_then(|items| self.push(Value::List(items))),
            b'd' => {
                let items = self.pop_to_mark()?;
                let pairs = pairs(&items)?;
                self.push(Value::Dict(pairs))
            }
            b'a' => self.pop().and_then(|item| self.append(vec![item])),
            b'e' | 0x90 => self.pop_to_mark().and_then(|items| self.append(items)),
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.insert(vec![(key, value)])
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.insert(pairs(&items)?)
            }
            // the stack and the memo
            b'0' if self.marks.last() == Some(&self.stack.len()) => self.pop_to_mark().map(|_| ()),
            b'0' => self.pop().map(|_| ()),
            b'1' => self.pop_to_mark().map(|_| ()),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
                Ok(())
            }
            b'p' => self.input.index_in_words().and_then(|at| self.remember(at)),
            b'q' => self.input.byte().and_then(|at| self.remember(at.into())),
            b'r' => self.input.array().and_then(|at| self.remember(u32::from_le_bytes(at))),
            0x94 => self.remember(self.memo.len() as u32),
            b'g' => self.input.index_in_words().and_then(|at| self.recall(at)),
            b'h' => self.input.byte().and_then(|at| self.recall(at.into())),
            b'j' => self.input.array().and_then(|at| self.recall(u32::from_le_bytes(at))),
            // objects
            b'c' => {
                let name = format!("{}.{}", self.input.line()?, self.input.line()?);
                self.push(Value::Global(name.into()))
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (&self.values[module as usize], &self.values[name as usize]) {
                    (Value::Text(module), Value::Text(name)) => {
                        let name = format!("{module}.{name}").into();
                        self.push(Value::Global(name))
                    }
                    _ => Err(damaged()),
                }
            }
            b'P' => {
                let id = self.input.line()?;
                self.push(Value::Text(id.into()))?;
                let id = self.pop()?;
                self.push(Value::Persistent(id))
            }
            b'Q' => self.pop().and_then(|id| self.push(Value::Persistent(id))),
            b'R' | 0x81 => {
                let (args, callable) = (self.pop()?, self.pop()?);
                self.call(callable, args)
            }
            0x92 => {
                let (_, args, callable) = (self.pop()?, self.pop()?, self.pop()?);
                self.call(callable, args)
            }
            b'b' => {
                let state = self.pop()?;
                let top = self.top()?;
                match &mut self.values[top as usize] {
                    Value::Call { state: slot, .. } => *slot = Some(state),
                    // the attributes of a dictionary are not its entries
                    Value::Dict(_) | Value::List(_) => {}
                    _ => return Err(damaged()),
                }
                Ok(())
            }
            other => Err(format!("it has the pickle code 0x{other:02x}, which no checkpoint has")),
        }
    }

    /// What a call makes; the containers of the standard library at once.
    fn call(&mut self, callable: Id, args: Id) -> Result<(), String> {
        let name = match &self.values[callable as usize] {
            Value::Global(name) => name.as_ref(),
            _ => "",
        };
        let Value::Tuple(given) = &self.values[args as usize] else { return Err(damaged()) };
        let first = given.first().map(|&id| &self.values[id as usize]);
        let made = match (name, first) {
            ("collections.OrderedDict", Some(Value::List(items) | Value::Tuple(items))) => {
                let pair = |&id: &Id| match &self.values[id as usize] {
                    Value::List(pair) | Value::Tuple(pair) if pair.len() == 2 => Ok((pair[0], pair[1])),
                    _ => Err(damaged()),
                };
                Value::Dict(items.iter().map(pair).collect::<Result<_, _>>()?)
            }
            ("collections.OrderedDict" | "collections.defaultdict", _) => Value::Dict(vec![]),
            (
                "builtins.set" | "builtins.frozenset" | "__builtin__.set" | "__builtin__.frozenset",
                Some(Value::List(items) | Value::Tuple(items)),
            ) => Value::List(items.clone()),
            _ => Value::Call { callable, args, state: None },
        };
        self.push(made)
    }

    fn push(&mut self, value: Value) -> Result<(), String> {
        if self.values.len() >= MAX_VALUES {
            return Err(too_many());
        }
        self.stack.push(self.values.len() as Id);
        self.values.push(value);
        Ok(())
    }

    fn top(&self) -> Result<Id, String> {
        let lowest = self.marks.last().copied().unwrap_or(0);
        self.stack.last().copied().filter(|_| self.stack.len() > lowest).ok_or_else(damaged)
    }

    fn pop(&mut self) -> Result<Id, String> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().ok_or_else(damaged)?;
        if mark > self.stack.len() {
            return Err(damaged());
        }
        Ok(self.stack.split_off(mark))
    }

    /// Adds to the list on top; an object that is given items is a kind of list.
    fn append(&mut self, items: Vec<Id>) -> Result<(), String> {
        let top = self.top()?;
        match &mut self.values[top as usize] {
            Value::List(list) => list.extend(items),
            object @ Value::Call { .. } => *object = Value::List(items),
            _ => return Err(damaged()),
        }
        Ok(())
    }

    /// Adds to the dictionary on top; an object that is given entries is a kind of dictionary.
    fn insert(&mut self, entries: Vec<(Id, Id)>) -> Result<(), String> {
        let top = self.top()?;
        match &mut self.values[top as usize] {
            Value::Dict(dict) => dict.extend(entries),
            object @ Value::Call { .. } => *object = Value::Dict(entries),
            _ => return Err(damaged()),
        }
        Ok(())
    }

    fn remember(&mut self, at: u32) -> Result<(), String> {
        if self.memo.len() >= MAX_VALUES {
            return Err(too_many());
        }
        let top = self.top()?;
        self.memo.insert(at, top);
        Ok(())
    }

    fn recall(&mut self, at: u32) -> Result<(), String> {
        let id = *self.memo.get(&at).ok_or_else(damaged)?;
        self.stack.push(id);
        Ok(())
    }
}

fn pairs(items: &[Id]) -> Result<Vec<(Id, Id)>, String> {
    let pairs = items.chunks_exact(2);
    if pairs.remainder().is_empty() {
        Ok(pairs.map(|pair| (pair[0], pair[1])).collect())
    } else {
        Err(damaged())
    }
}

fn too_many() -> String {
    format!("its pickle holds more than {MAX_VALUES} values, which no checkpoint does")
}
