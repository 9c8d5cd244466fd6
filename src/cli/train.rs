//! `warmlab train`.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{ArgMatches, Args};

use super::datasets;
use super::flags::{Computing, Everywhere, RUNS, real, whole, word};
use super::rates::Rates;
use super::resume;
use super::terminal::Terminal;
use super::track::Track;
use super::update_rule::UpdateRule;
use super::verdict::Outcome;
use crate::architecture::{self, Activation, GptConfig};
use crate::base::error::{Error, Result};
use crate::base::observer::Observer;
use crate::base::resources;
use crate::base::steps::Steps;
use crate::base::takes::Takes;
use crate::data::Corpus;
use crate::measure::{Tracker, metadata, tracked};
use crate::optim::Optimizer;
use crate::report::with_uncertainty;
use crate::run;
use crate::schedule::Schedule;
use crate::train::{Ended, RunFolder, Saves, StepLine, StepLog, Tracked, TrainConfig, Trainer, check};

/// A factor between saves.
const GROWTH: Takes = Takes::Number("a number of at least 1", |x| x >= 1.0);

/// Train a GPT, saving what is needed to measure it
#[derive(Args)]
#[command(after_help = "Examples:\n  warmlab train --data synthetic --name first --steps 200\n  \
                  warmlab train --data synthetic --name cold --warmup 0 --learning-rate 3e-3 --steps 200\n  \
                  warmlab train --data synthetic --name tracked --steps 50 --track adam,hessian,preconditioned\n  \
                  warmlab train --resume first")]
pub struct Train {
    /// Tokens: a .bin file, a folder with train.bin and val.bin, or a dataset
    #[arg(long, value_name = "FILE|DIR|NAME", default_value = "synthetic", help_heading = "Run")]
    data: String,
    /// The run's name; its folder is runs/NAME [default: run-1, run-2, ...]
    #[arg(long, help_heading = "Run")]
    name: Option<String>,
    /// Go on with the run in this folder from its last checkpoint; all settings are the run's own, and more --steps than
    /// it has make it longer
    #[arg(long, value_name = "DIR", help_heading = "Run", conflicts_with = "name")]
    resume: Option<PathBuf>,
    /// Updates in all
    #[arg(long, value_parser = whole::<u64>(Takes::POSITIVE_COUNT), value_name = "N", default_value_t = 500, help_heading = "Run")]
    steps: u64,
    /// Updates between evaluations on the validation split (saved steps are evaluated too); 0 is off
    #[arg(long, value_parser = whole::<u64>(Takes::COUNT), value_name = "N", default_value_t = 100, help_heading = "Run")]
    eval_every: u64,
    /// Sequences an evaluation reads
    #[arg(long, value_parser = whole::<usize>(Takes::POSITIVE_COUNT), value_name = "B", default_value_t = 64, help_heading = "Run")]
    eval_sequences: usize,

    /// Transformer blocks
    #[arg(long, value_parser = whole::<usize>(Takes::POSITIVE_COUNT), default_value_t = 4, help_heading = "Model")]
    n_layer: usize,
    /// Attention heads per block
    #[arg(long, value_parser = whole::<usize>(Takes::POSITIVE_COUNT), default_value_t = 4, help_heading = "Model")]
    n_head: usize,
    /// Width
    #[arg(long, value_parser = whole::<usize>(Takes::POSITIVE_COUNT), default_value_t = 128, help_heading = "Model")]
    n_embd: usize,
    /// Tokens per sequence
    #[arg(long, value_parser = whole::<usize>(Takes::POSITIVE_COUNT), default_value_t = 64, help_heading = "Model")]
    block_size: usize,
    /// Token ids are below this [default: the data's vocabulary]
    #[arg(long, value_parser = whole::<usize>(Takes::POSITIVE_COUNT), help_heading = "Model")]
    vocab_size: Option<usize>,
    /// Give linear layers and norms biases
    #[arg(long, help_heading = "Model")]
    bias: bool,
    /// Nonlinearity: gelu (exact) or gelu_tanh
    #[arg(long, default_value = "gelu", value_parser = word::<String>(&["gelu", "gelu_tanh"]), help_heading = "Model")]
    activation: String,
    /// Give the LM head a matrix of its own
    #[arg(long, help_heading = "Model")]
    untied: bool,

    #[command(flatten)]
    rates: Rates,
    /// Sequences per micro-batch
    #[arg(long, value_parser = whole::<usize>(Takes::POSITIVE_COUNT), value_name = "B", default_value_t = 12, help_heading = "Optimizer")]
    batch_size: usize,
    /// Micro-batches per update
    #[arg(long, value_parser = whole::<usize>(Takes::POSITIVE_COUNT), value_name = "N", default_value_t = 1, help_heading = "Optimizer")]
    grad_accumulation: usize,
    #[command(flatten)]
    rule: UpdateRule,
    /// Gradient norm above which it is scaled down; 0 is off
    #[arg(long, value_parser = real(Takes::NOT_NEGATIVE), default_value_t = 1.0, help_heading = "Optimizer")]
    grad_clip: f64,

    /// Save every step up to this one
    #[arg(long, value_parser = whole::<u64>(Takes::COUNT), value_name = "N", default_value_t = 2, help_heading = "Checkpoints")]
    save_early: u64,
    /// After that, save each time the step has grown by this factor; 1 is off
    #[arg(long, value_parser = real(GROWTH), value_name = "FACTOR", default_value_t = 2.0, help_heading = "Checkpoints")]
    save_growth: f64,
    /// Save every N steps; 0 is off
    #[arg(long, value_parser = whole::<u64>(Takes::COUNT), value_name = "N", default_value_t = 100, help_heading = "Checkpoints")]
    save_every: u64,
    /// Save these steps too, such as 5,10,50-60
    #[arg(long, value_name = "LIST", value_parser = Steps::from_str, help_heading = "Checkpoints")]
    save_at: Option<Steps>,
    /// Keep the last N states in memory, and save them when the loss jumps; 0 is off
    #[arg(long, value_parser = whole::<usize>(Takes::COUNT), value_name = "N", default_value_t = 3, help_heading = "Checkpoints")]
    save_before_jump: usize,

    #[command(flatten)]
    track: Track,
    #[command(flatten)]
    computing: Computing,
    #[command(flatten)]
    everywhere: Everywhere,
}

impl Train {
    /// Trains to the end, to Ctrl-C, or to the first step that is not finite.
    pub fn run(&self, matches: &ArgMatches, terminal: &Terminal) -> Result<Outcome> {
        let _ = &self.everywhere;
        let resumed = match &self.resume {
            Some(named) => Some(RunFolder::open(&run::folder(named, Path::new(RUNS))?)?),
            None => None,
        };
        let (folder, config) = match resumed {
            Some((folder, run)) => {
                let config = self.resumed(run, folder.path(), matches, terminal)?;
                (Some(folder), config)
            }
            None => (None, self.config()?),
        };
        let corpus = Corpus::open(&config.data, &datasets::places())?.to_train_on()?;
        // what does not fit, or cannot be tracked, is refused before anything is written
        check(&config, &corpus)?;
        let last = config.steps;
        let n = config.model.num_parameters();
        let tokens = config.batch_size * config.grad_accumulation * config.model.block_size;
        if let Some(rate) = corpus.entropy_rate {
            terminal.say(&format!(
                "no model can reach a loss below {} nats on this data",
                crate::report::plain(rate)
            ));
        }
        if !corpus.has_validation() && config.eval_every > 0 {
            terminal.say(&format!(
                "`{}` has no val.bin: the validation loss is measured on training tokens",
                config.data
            ));
        }
        let measured = tracked::measurements(&config, &corpus, self.computing.device)?;
        let folder = match folder {
            Some(folder) => {
                folder.write(&config)?;
                folder
            }
            None => RunFolder::create(Path::new(RUNS), self.name.as_deref(), &config)?,
        };
        let path = folder.path().to_path_buf();
        let reports = config.out.join(folder.name());
        let training = metadata::of_training(&config, self.computing.device);
        let mut trainer =
            Trainer::new(folder, config, corpus, self.computing.device, resources::default_memory())?;
        let from = trainer.step();
        let mut listener = Tracker::open(&reports, trainer.position(), training, measured)?;
        listener.notes().iter().for_each(|note| terminal.warn(note));
        let folder = path;
        let name = folder.display();
        terminal.say(&match from {
            0 => format!("training {name}: {n} parameters, {tokens} tokens per update, updates 1 to {last}"),
            _ if from == last => {
                format!("{name} is finished: all {last} updates are applied; --steps N extends it")
            }
            _ => format!(
                "resuming {name}: {n} parameters, {tokens} tokens per update, updates {} to {last}",
                from + 1
            ),
        });
        let (states, bytes) = trainer.ring();
        if states > 0 && from < last {
            terminal.say(&format!(
                "the last {states} states stay in memory ({}) and are saved when the loss jumps",
                words(bytes)
            ));
        }
        let ended = trainer.run(terminal, &mut listener);
        terminal.finish();
        let lines = StepLog::read(&folder.join("steps.jsonl"))?;
        jumps(&folder, &lines)?.iter().for_each(|jump| terminal.warn(jump));
        let ended = ended?;
        if let Some(line) = lines.iter().rev().find(|line| line.val_loss.is_some()) {
            let text = with_uncertainty(line.val_loss.unwrap_or(f64::NAN), line.val_loss_half_width());
            terminal.say(&format!(
                "validation loss {text} after {} updates (68% interval over sequences)",
                line.step
            ));
        }
        match ended {
            Ended::Finished => {
                terminal.data(&format!("{}\n", folder.display()))?;
                terminal.say(&format!(
                    "measure it: warmlab hessian --run {} --ckpt step_{last}",
                    folder.display()
                ));
                Ok(Outcome::Done)
            }
            Ended::Stopped => {
                terminal.say(&format!("go on with: warmlab train --resume {}", folder.display()));
                terminal.check()?;
                Ok(Outcome::Done)
            }
        }
    }

    /// The settings of a run that goes on, and longer where that was asked for.
    fn resumed(
        &self,
        run: TrainConfig,
        folder: &Path,
        matches: &ArgMatches,
        terminal: &Terminal,
    ) -> Result<TrainConfig> {
        let track = self.track.asked(&run.track, run.steps, |flag| resume::given(matches, flag))?;
        let vocab_size = self.vocab_size.unwrap_or(run.model.vocab_size);
        let given = |flag: &str| resume::given(matches, flag);
        let made = (self.rule.over(&run, given)?, self.rates.over(&run, given)?);
        let asked = self.settings(vocab_size, run.steps, made, track);
        resume::agree(matches, &asked, &run, folder)?;
        if !resume::given(matches, "steps") || self.steps == run.steps {
            return Ok(run);
        }
        terminal.say(&resume::extension(&run, self.steps));
        Ok(TrainConfig { steps: self.steps, ..run })
    }

    fn config(&self) -> Result<TrainConfig> {
        let corpus = Corpus::open(&self.data, &datasets::places())?.to_train_on()?;
        let vocab_size = self.vocab_size.or(corpus.vocab_size).ok_or_else(|| {
            Error::usage_hint(
                format!("`{}` does not say how large its vocabulary is", self.data),
                "say it: --vocab-size 50257 for GPT-2 tokens",
            )
        })?;
        let optimizer = self.rule.asked()?;
        let track = self.track.tracked(optimizer.settling().round() as u64, self.steps)?;
        let config = self.settings(vocab_size, self.steps, (optimizer, self.rates.asked(self.steps)?), track);
        config.validate()?;
        Ok(config)
    }

    /// The flags as settings; lists of steps end at `last`.
    fn settings(
        &self,
        vocab_size: usize,
        last: u64,
        (optimizer, schedule): (Optimizer, Schedule),
        track: Vec<Tracked>,
    ) -> TrainConfig {
        TrainConfig {
            warmlab: env!("CARGO_PKG_VERSION").into(),
            data: self.data.clone(),
            seed: self.computing.seed,
            steps: self.steps,
            batch_size: self.batch_size,
            grad_accumulation: self.grad_accumulation,
            grad_clip: self.grad_clip,
            dtype: self.computing.dtype,
            eval_every: self.eval_every,
            eval_sequences: self.eval_sequences,
            model: GptConfig {
                arch: &architecture::GPT2,
                n_layer: self.n_layer,
                n_head: self.n_head,
                n_embd: self.n_embd,
                block_size: self.block_size,
                vocab_size,
                bias: self.bias,
                activation: if self.activation == "gelu" { Activation::Gelu } else { Activation::GeluTanh },
                layer_norm_eps: 1e-5,
                tied_lm_head: !self.untied,
            },
            optimizer,
            schedule,
            checkpoints: Saves {
                early: self.save_early,
                growth: self.save_growth,
                every: self.save_every,
                at: self.save_at.as_ref().map_or_else(Vec::new, |steps| steps.up_to(last)),
                before_jump: self.save_before_jump,
            },
            out: self.track.out.clone(),
            track,
        }
    }
}

/// Jumps of the loss that are told one by one.
const TOLD: usize = 3;

/// What to say at the end of the updates at which the loss jumped.
fn jumps(folder: &Path, lines: &[StepLine]) -> Result<Vec<String>> {
    let jumps: Vec<&StepLine> = lines.iter().filter(|line| line.jump.is_some()).collect();
    if jumps.is_empty() {
        return Ok(vec![]);
    }
    let kept: Vec<(u64, u64)> = run::checkpoints(folder)?
        .iter()
        .filter_map(|(step, path)| Some((*step, run::kept_before(path)?)))
        .collect();
    let one = |line: &&StepLine| {
        let steps: Vec<String> = kept
            .iter()
            .filter(|(_, jump)| *jump == line.step)
            .map(|(step, _)| format!("step_{step}"))
            .collect();
        let kept = if steps.is_empty() {
            String::new()
        } else {
            format!("; kept from before it: {}", steps.join(", "))
        };
        format!(
            "the loss jumped to {:.4} at update {}, on the weights of step {}{kept}",
            line.loss,
            line.step,
            line.step - 1
        )
    };
    let mut told: Vec<String> = jumps.iter().take(TOLD).map(one).collect();
    if let Some(more) = jumps.len().checked_sub(TOLD).filter(|more| *more > 0) {
        told.push(format!(
            "the loss jumped {more} more times: event/spike in the reports of `train` says when"
        ));
    }
    Ok(told)
}

/// `1.5 MiB`.
fn words(bytes: u64) -> String {
    let mib = bytes as f64 / f64::from(1 << 20);
    if mib < 1024.0 { format!("{mib:.1} MiB") } else { format!("{:.1} GiB", mib / 1024.0) }
}
