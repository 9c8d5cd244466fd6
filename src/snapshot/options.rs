//! The options of an analysis: one struct, whose fields are the flags of its command and its settings in training, and
//! whose values in words are what the metadata says and the names of reports follow from.

use std::any::Any;
use std::error::Error as _;
use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches, Args, Command};
use serde::Serialize;
use serde_json::Value;

use crate::base::error::{Error, Result};
use crate::base::takes::Refusal;

/// A struct of options: clap makes flags of its fields, serde their names and values in words.
pub trait Choices: Args + Serialize + Any + Send + Sync {
    /// Brings values that may be repeated, as they stand on a command line, into one order, each once.
    fn in_order(&mut self) {}
}

/// Of an analysis that can be told nothing.
#[derive(Debug, Clone, Args, Serialize)]
pub struct NoChoices {}

impl Choices for NoChoices {}

/// Which flags an analysis has, and how they are read.
#[derive(Clone, Copy)]
pub struct Flags {
    add: fn(Command) -> Command,
    /// The values in what clap matched, brought into one order where that is asked for.
    read: fn(&ArgMatches, bool) -> clap::error::Result<Options>,
}

impl Flags {
    /// The fields of a struct.
    pub fn of<T: Choices>() -> Self {
        Flags {
            add: T::augment_args,
            read: |matches, in_order| {
                let mut choices = T::from_arg_matches(matches)?;
                if in_order {
                    choices.in_order();
                }
                Ok(Options::new(choices))
            },
        }
    }

    /// Adds them to a command.
    pub fn add_to(self, command: Command) -> Command {
        (self.add)(command)
    }

    /// Each of them.
    pub fn all(self) -> Vec<Arg> {
        self.add_to(Command::new("")).get_arguments().cloned().collect()
    }

    /// Their names, without dashes.
    pub fn names(self) -> Vec<String> {
        self.all().iter().filter_map(Arg::get_long).map(String::from).collect()
    }

    /// Their values on a command line, defaults filled in.
    ///
    /// # Errors
    /// [`Error::Usage`] where the command line was another command's.
    pub fn read(self, matches: &ArgMatches) -> Result<Options> {
        (self.read)(matches, true).map_err(|e| Error::usage(e.to_string()))
    }

    /// Without any value given.
    ///
    /// # Errors
    /// [`Error::Usage`] where a flag has to be given.
    pub fn defaults(self) -> Result<Options> {
        self.parse([])
    }

    /// The values of settings by name, with `|` between those of one that may be repeated, defaults filled in.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the setting and the value that is refused.
    pub fn parse<'a>(self, settings: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Options> {
        let mut words = Vec::new();
        for (name, value) in settings {
            let otherwise = "leave it out to have the default";
            self.check(name, value).map_err(|refusal| refusal.of(&format!("--{name}"), value, otherwise))?;
            words.extend(self.words(name, value));
        }
        self.parse_words(words).map_err(|e| Error::usage(e.to_string()))
    }

    /// Whether a setting takes a value.
    ///
    /// # Errors
    /// A [`Refusal`] where it does not.
    pub fn check(self, name: &str, value: &str) -> std::result::Result<(), Refusal> {
        let refusal = |e: clap::Error| {
            let own = e.source().and_then(|source| source.downcast_ref::<Refusal>()).cloned();
            own.unwrap_or_else(|| Refusal { problem: "is not understood".into(), instead: None })
        };
        self.parse_words(self.words(name, value)).map(drop).map_err(refusal)
    }

    /// As a command line has them; a switch is on where its value is `true`.
    fn words(self, name: &str, value: &str) -> Vec<String> {
        let all = self.all();
        match all.iter().find(|arg| arg.get_long() == Some(name)).map(Arg::get_action) {
            Some(ArgAction::SetTrue) if value == "true" => vec![format!("--{name}")],
            Some(ArgAction::SetTrue) => vec![],
            Some(ArgAction::Append) => value.split('|').map(|one| format!("--{name}={one}")).collect(),
            _ => vec![format!("--{name}={value}")],
        }
    }

    fn parse_words(self, words: Vec<String>) -> clap::error::Result<Options> {
        let command = self.add_to(Command::new("").no_binary_name(true));
        command.try_get_matches_from(words).and_then(|matches| (self.read)(&matches, false))
    }
}

/// The options of an analysis, chosen.
#[derive(Clone)]
pub struct Options {
    choices: Arc<dyn Any + Send + Sync>,
    text: String,
}

impl Options {
    fn new<T: Choices>(choices: T) -> Self {
        Options { text: text(&choices), choices: Arc::new(choices) }
    }

    /// The analysis's own struct.
    ///
    /// # Panics
    /// Where they are another analysis's: a caller's mistake.
    pub fn of<T: Choices>(&self) -> &T {
        self.choices.downcast_ref().expect("the options of this analysis")
    }

    /// `name=value` pairs in the order of the names, for the metadata: numbers that mean the same are written alike,
    /// and a switch that is off is left out.
    pub fn normalised(&self) -> &str {
        &self.text
    }
}

fn text(choices: &impl Serialize) -> String {
    let one = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => {
            number.as_f64().map_or_else(String::new, |x| x.to_string())
        }
        other => other.to_string(),
    };
    let values = |value: &Value| match value {
        Value::Bool(false) => None,
        Value::Array(values) => Some(values.iter().map(one).collect::<Vec<_>>().join("|")),
        value => Some(one(value)),
    };
    let json = serde_json::to_value(choices).unwrap_or_default();
    let fields = json.as_object().into_iter().flatten();
    let mut pairs: Vec<String> =
        fields.filter_map(|(name, value)| Some(format!("{name}={}", values(value)?))).collect();
    pairs.sort();
    pairs.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::takes::{Numbers, Takes, numbers, real, whole, word};

    #[derive(Args, Serialize)]
    #[serde(rename_all = "kebab-case")]
    struct Own {
        /// A number
        #[arg(long, default_value = "1e-3", value_parser = real(Takes::POSITIVE))]
        tol: f64,
        /// A count
        #[arg(long, default_value_t = 40, value_parser = whole::<usize>(Takes::COUNT))]
        max_matvecs: usize,
        /// Numbers
        #[arg(long, default_value = "0.5", value_parser = numbers(Takes::SHARE))]
        levels: Numbers,
        /// Words
        #[arg(long, default_value = "b", value_parser = word::<String>(&["a", "b"]))]
        word: Vec<String>,
        /// A switch
        #[arg(long)]
        exact: bool,
    }

    impl Choices for Own {
        fn in_order(&mut self) {
            self.word.sort();
            self.word.dedup();
        }
    }

    #[test]
    fn what_means_the_same_is_written_alike() {
        let flags = Flags::of::<Own>();
        let text = |settings: &[(&str, &str)]| {
            flags.parse(settings.iter().copied()).map(|options| options.normalised().to_string())
        };
        let defaults = "levels=0.5 max-matvecs=40 tol=0.001 word=b";
        assert_eq!(text(&[]).as_deref().ok(), Some(defaults));
        let same = [("tol", "0.0010"), ("max-matvecs", "040"), ("levels", " 0.50"), ("exact", "false")];
        assert_eq!(text(&same).as_deref().ok(), Some(defaults));
        let other = [("tol", "1e-7"), ("levels", "0.1,1e0"), ("word", "b|a|b"), ("exact", "true")];
        let words = "exact=true levels=0.1,1 max-matvecs=40 tol=0.0000001 word=b|a|b";
        assert_eq!(text(&other).as_deref().ok(), Some(words));
        let options = flags.parse(other).expect("understood");
        assert_eq!((options.of::<Own>().tol, &options.of::<Own>().levels.0[..]), (1e-7, &[0.1, 1.0][..]));
    }

    #[test]
    fn of_a_command_line_each_value_counts_once_in_one_order() {
        let flags = Flags::of::<Own>();
        let command = flags.add_to(Command::new("some"));
        let matches = command.get_matches_from(["some", "--word", "b", "--word=a", "--word", "b"]);
        let options = flags.read(&matches).expect("understood");
        assert_eq!(options.of::<Own>().word, ["a", "b"]);
    }

    #[test]
    fn a_refusal_names_the_setting_and_the_value() {
        let flags = Flags::of::<Own>();
        assert_eq!(flags.names(), ["tol", "max-matvecs", "levels", "word", "exact"]);
        for (name, value, problem) in [
            ("tol", "-1", "--tol `-1` is not a number above 0"),
            ("max-matvecs", "1.5", "--max-matvecs `1.5` is not a whole number from 0 to 1000000000"),
            (
                "levels",
                "0.1,2",
                "--levels `0.1,2` is not a list, with commas, of which each is a number from 0 to 1",
            ),
            ("word", "b|c", "--word `b|c` is not a or b"),
            ("other", "1", "--other `1` is not understood"),
        ] {
            assert_eq!(flags.parse([(name, value)]).err().map(|e| e.to_string()).as_deref(), Some(problem));
        }
    }
}
