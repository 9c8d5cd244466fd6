//! What clap refuses, said the way everything else is: one sentence and what to type.

use std::error::Error as _;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::base::error::Error;
use crate::base::takes::{Refusal, nearest, or};

/// The refusal of the words in `error`; `command` is the whole command line's.
pub fn refusal(error: &clap::Error, command: &Command) -> Error {
    let typed: Vec<String> = std::env::args().skip(1).collect();
    let named = typed.iter().find_map(|word| command.find_subcommand(word));
    let name = named.map_or("warmlab".into(), |c| format!("warmlab {}", c.get_name()));
    let help = format!("{name} --help");
    let (argument, value) = (text(error, ContextKind::InvalidArg), text(error, ContextKind::InvalidValue));
    let flag = argument.split([' ', '=']).next().unwrap_or_default();
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let word = text(error, ContextKind::InvalidSubcommand);
            let commands: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
            let hint = match nearest(&word, commands.iter().copied()) {
                Some(near) => format!("did you mean warmlab {near}?"),
                None => format!("the commands are {}", or(commands)),
            };
            Error::usage_hint(format!("`{word}` is no command"), hint)
        }
        ErrorKind::UnknownArgument if !flag.starts_with('-') => {
            Error::usage_hint(format!("`{name}` has no use for the word `{argument}`"), help)
        }
        ErrorKind::UnknownArgument => {
            let flags: Vec<String> = named
                .into_iter()
                .flat_map(Command::get_arguments)
                .filter_map(|arg| arg.get_long().map(|long| format!("--{long}")))
                .collect();
            let hint = match nearest(flag, flags.iter().map(String::as_str)) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("its flags: {help}"),
            };
            Error::usage_hint(format!("`{name}` has no flag {flag}"), hint)
        }
        ErrorKind::ValueValidation => {
            let refusal = error.source().and_then(|source| source.downcast_ref::<Refusal>()).cloned();
            let refusal =
                refusal.unwrap_or_else(|| Refusal { problem: "is not understood".into(), instead: None });
            let default = named.and_then(|c| default(c, flag));
            let otherwise = default.map_or_else(
                || help.clone(),
                |default| format!("{flag} {default} is the default; all of it: {help}"),
            );
            refusal.of(flag, &value, &otherwise)
        }
        ErrorKind::InvalidValue => Error::usage_hint(format!("{flag} needs a value: {argument}"), help),
        ErrorKind::ArgumentConflict => {
            let other = text(error, ContextKind::PriorArg);
            let other = other.split(' ').next().unwrap_or_default();
            Error::usage_hint(format!("{flag} and {other} exclude each other"), "leave one of them out")
        }
        ErrorKind::MissingRequiredArgument => Error::usage_hint(format!("`{name}` needs {argument}"), help),
        _ => Error::usage_hint(format!("`{name}` does not understand this"), help),
    }
}

/// What a flag is where it is left out.
fn default(command: &Command, flag: &str) -> Option<String> {
    let long = flag.strip_prefix("--")?;
    let arg = command.get_arguments().find(|arg| arg.get_long() == Some(long))?;
    arg.get_default_values().first().map(|value| value.to_string_lossy().into_owned())
}

fn text(error: &clap::Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(" "),
        _ => String::new(),
    }
}
