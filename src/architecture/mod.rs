//! A model before any number: its sizes, and the name and shape of every parameter.

mod gpt;

pub use gpt::{Activation, GptConfig, Parameter};
