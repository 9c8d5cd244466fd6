//! `warmlab train --resume`: whether the flags that were given agree with the run's own settings, and what more updates
//! mean for its schedule.

use std::path::Path;

use clap::ArgMatches;
use clap::parser::ValueSource;

use crate::base::error::{Error, Result};
use crate::base::specification::Specification;
use crate::train::{Tracked, TrainConfig};

/// A setting in words.
type Words = fn(&TrainConfig) -> String;

/// Every flag of `train` that is a setting of a run, by clap's name.
const SETTINGS: &[(&str, Words)] = &[
    ("data", |c| c.data.clone()),
    ("steps", |c| c.steps.to_string()),
    ("eval_every", |c| c.eval_every.to_string()),
    ("eval_sequences", |c| c.eval_sequences.to_string()),
    ("n_layer", |c| c.model.n_layer.to_string()),
    ("n_head", |c| c.model.n_head.to_string()),
    ("n_embd", |c| c.model.n_embd.to_string()),
    ("block_size", |c| c.model.block_size.to_string()),
    ("vocab_size", |c| c.model.vocab_size.to_string()),
    ("bias", |c| c.model.bias.to_string()),
    ("activation", |c| format!("{:?}", c.model.activation)),
    ("untied", |c| (!c.model.tied_lm_head).to_string()),
    ("schedule", |c| c.schedule.to_string()),
    ("learning_rate", |c| told(c.schedule.specification(), "peak")),
    ("warmup", |c| told(c.schedule.specification(), "warmup")),
    ("lr_decay_steps", |c| told(c.schedule.specification(), "steps")),
    ("min_lr", |c| told(c.schedule.specification(), "min")),
    ("batch_size", |c| c.batch_size.to_string()),
    ("grad_accumulation", |c| c.grad_accumulation.to_string()),
    ("optimizer", |c| c.optimizer.to_string()),
    ("beta1", |c| told(c.optimizer.specification(), "beta1")),
    ("beta2", |c| told(c.optimizer.specification(), "beta2")),
    ("eps", |c| told(c.optimizer.specification(), "eps")),
    ("weight_decay", |c| told(c.optimizer.specification(), "weight_decay")),
    ("grad_clip", |c| c.grad_clip.to_string()),
    ("save_early", |c| c.checkpoints.early.to_string()),
    ("save_growth", |c| c.checkpoints.growth.to_string()),
    ("save_every", |c| c.checkpoints.every.to_string()),
    ("save_at", |c| list(&c.checkpoints.at)),
    ("save_before_jump", |c| c.checkpoints.before_jump.to_string()),
    ("track", |c| tracked(&c.track)),
    ("every", |c| tracked(&c.track)),
    ("track_early", |c| tracked(&c.track)),
    ("track_at", |c| tracked(&c.track)),
    ("out", |c| c.out.display().to_string()),
    ("seed", |c| c.seed.to_string()),
    ("dtype", |c| c.dtype.to_string()),
];

/// Whether a flag stands on the command line.
pub fn given(matches: &ArgMatches, flag: &str) -> bool {
    matches.value_source(flag) == Some(ValueSource::CommandLine)
}

/// Refuses flags that contradict the run in `folder`; `asked` is what the flags make of its settings. More --steps
/// than the run has make it longer.
///
/// # Errors
/// [`Error::Usage`] with both values.
pub fn agree(matches: &ArgMatches, asked: &TrainConfig, run: &TrainConfig, folder: &Path) -> Result<()> {
    for (flag, words) in SETTINGS.iter().filter(|(flag, _)| given(matches, flag)) {
        let (asked_for, has) = (words(asked), words(run));
        if asked_for == has || (*flag == "steps" && asked.steps > run.steps) {
            continue;
        }
        let hint = match *flag {
            "steps" => {
                "a run can be made longer, not shorter; its checkpoints on the way are there to be measured"
            }
            _ => "leave the flag out to go on with the run; other settings are another run: train --name",
        };
        return Err(Error::usage_hint(
            format!(
                "--{} {asked_for} contradicts `{}`, which has {has}",
                flag.replace('_', "-"),
                folder.join("run.toml").display()
            ),
            hint,
        ));
    }
    Ok(())
}

/// What more updates do: the schedule stays as it was set.
pub fn extension(run: &TrainConfig, steps: u64) -> String {
    format!("{} updates become {steps}: {}", run.steps, run.schedule.extended(run.steps, steps))
}

/// The value of a key, which there is where a flag that is short for it was taken.
fn told(all: &Specification, key: &str) -> String {
    all.get(key).unwrap_or_default().to_string()
}

fn list(steps: &[u64]) -> String {
    if steps.is_empty() {
        return "none".into();
    }
    steps.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
}

/// As --track takes it.
fn tracked(all: &[Tracked]) -> String {
    let one = |tracked: &Tracked| {
        let (name, cadence) = (&tracked.analysis, &tracked.cadence);
        let at = list(&cadence.at).replace(',', "+");
        let options: String =
            tracked.options.iter().map(|(name, value)| format!(":{name}={value}")).collect();
        format!("{name}:every={}:early={}:at={at}{options}", cadence.every, cadence.early)
    };
    if all.is_empty() { "nothing tracked".into() } else { all.iter().map(one).collect::<Vec<_>>().join(",") }
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command};

    use super::super::train::Train;
    use super::*;

    #[test]
    fn every_flag_of_training_is_a_setting_or_none_of_the_runs() {
        let command = Train::augment_args(Command::new("train"));
        let none = ["name", "resume", "device", "threads", "quiet", "verbose", "help"];
        for argument in command.get_arguments() {
            let id = argument.get_id().as_str();
            let known = SETTINGS.iter().any(|(flag, _)| *flag == id) || none.contains(&id);
            assert!(known, "--{id} could contradict run.toml in silence");
        }
    }
}
