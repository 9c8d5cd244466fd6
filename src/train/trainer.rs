//! The loop.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use super::batches::{evaluation_batches, training_batch};
use super::config::TrainConfig;
use super::folder::RunFolder;
use super::init::initial_parameters;
use super::jumps::Jumps;
use super::listener::{Listener, Position};
use super::log::{StepLine, StepLog};
use super::resumption::{restore, resumable};
use super::ring::{self, Held, Ring};
use crate::base::device::Device;
use crate::base::error::{Error, Result};
use crate::base::files;
use crate::base::observer::Observer;
use crate::base::settings::Settings;
use crate::base::values::Values;
use crate::data::{Batch, Corpus};
use crate::model::{Gpt, Look, Seen};
use crate::optim::{Part, Updater, clip_factor};
use crate::run::{self, Checkpoint, OptimizerState};
use crate::snapshot::{Needs, NextUpdate, Snapshot, sample_tokens};
use crate::stats;

/// How training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// All updates are applied.
    Finished,
    /// The observer asked to stop; a checkpoint of the last update is saved.
    Stopped,
}

/// A run in progress.
pub struct Trainer {
    folder: RunFolder,
    config: TrainConfig,
    settings: Settings,
    corpus: Corpus,
    gpt: Gpt,
    parameters: Values,
    updater: Updater,
    log: StepLog,
    last_loss: Option<f64>,
    name: Arc<str>,
    /// Steps the settings save, ascending.
    saves: Vec<u64>,
    /// The last step saved.
    saved: Option<u64>,
    jumps: Jumps,
    ring: Ring,
}

/// Finds what does not fit together before anything is written.
///
/// # Errors
/// Where the settings are impossible, or the data is not for them.
pub fn check(config: &TrainConfig, corpus: &Corpus) -> Result<()> {
    config.validate()?;
    training_batch(config, corpus, 1)?;
    evaluation_batches(config, corpus).map(drop)
}

impl Trainer {
    /// Starts the run in `folder`, or resumes the one that is there at its last checkpoint. States kept for a jump of
    /// the loss take at most a quarter of `memory`.
    ///
    /// # Errors
    /// Where the settings, the data or what is in the folder do not fit.
    pub fn new(
        folder: RunFolder,
        config: TrainConfig,
        corpus: Corpus,
        device: Device,
        memory: u64,
    ) -> Result<Self> {
        check(&config, &corpus)?;
        let parameters = config.model.parameters();
        let fresh = Updater::new(config.optimizer.clone(), Part::all(&parameters), config.dtype);
        let path = folder.path();
        run::remove_unfinished(&path.join("checkpoints"))?;
        files::remove_left(path)?;
        let last = resumable(path)?;
        let saved = last.as_ref().map(|(step, _)| *step);
        let (values, updater, last_loss) = match last {
            None => (initial_parameters(&config.model, config.seed, config.dtype), fresh, None),
            Some((_, path)) => restore(&path, &config, fresh)?,
        };
        if updater.step() > config.steps {
            return Err(Error::file(
                path,
                format!("is at step {} already, beyond the {} of run.toml", updater.step(), config.steps),
            ));
        }
        let gpt = Gpt::new(&config.model, &values, &device.burn())?;
        let log = StepLog::open(&path.join("steps.jsonl"), updater.step())?;
        let mut jumps = Jumps::default();
        for line in StepLog::read(&path.join("steps.jsonl"))?.iter().take(updater.step() as usize) {
            jumps.hear(line.loss);
        }
        let fitting = memory / 4 / state_bytes(&config);
        let ring = Ring::new(config.checkpoints.before_jump.min(fitting as usize));
        let settings = Settings {
            dtype: config.dtype,
            device,
            micro_batch: Some(config.batch_size),
            memory,
            seed: config.seed,
        };
        Ok(Trainer {
            settings,
            name: folder.name().into(),
            saves: config.checkpoints.steps(config.steps),
            folder,
            config,
            corpus,
            gpt,
            parameters: values,
            updater,
            log,
            last_loss,
            saved,
            jumps,
            ring,
        })
    }

    /// Updates applied.
    pub fn step(&self) -> u64 {
        self.updater.step()
    }

    /// How many states are kept in memory for a jump of the loss, and the bytes they take.
    pub fn ring(&self) -> (usize, u64) {
        (self.ring.size(), self.ring.size() as u64 * state_bytes(&self.config))
    }

    /// Where the run stands.
    pub fn position(&self) -> Position {
        let before = self.saves.partition_point(|save| *save < self.step());
        Position { step: self.step(), since: before.checked_sub(1).map_or(0, |i| self.saves[i]) }
    }

    /// Trains to the end, or until the observer asks to stop, telling `listener` of what it wants to hear.
    ///
    /// # Errors
    /// Where the loss is not finite, the disk refuses, the folder is another's, or the listener fails.
    pub fn run(&mut self, observer: &dyn Observer, listener: &mut dyn Listener) -> Result<Ended> {
        let last = self.config.steps;
        if self.step() == 0 {
            self.save(listener)?;
        }
        while self.step() < last {
            if observer.stopped() {
                self.save(listener)?;
                return Ok(Ended::Stopped);
            }
            self.folder.check()?;
            let saved = self.saves.binary_search(&(self.step() + 1)).is_ok();
            let line = self.update(saved, observer, listener)?;
            let state = match line.val_loss {
                Some(val_loss) => format!("loss {:.4}, validation {val_loss:.4}", line.loss),
                None => format!("loss {:.4}", line.loss),
            };
            observer.progress(line.step, last, &state);
            if !self.log.append(&line)? {
                observer.note(&format!(
                    "step {} differs from what an earlier process wrote; steps.jsonl goes on from here \
                     (another machine, version or thread count rounds differently)",
                    line.step
                ));
            }
            listener.logged(&line)?;
            if saved {
                self.save(listener)?;
            }
        }
        self.finish(listener)?;
        listener.saved(self.position())?;
        Ok(Ended::Finished)
    }

    /// One update; `saved` says that a checkpoint follows, which is then evaluated too.
    fn update(
        &mut self,
        saved: bool,
        observer: &dyn Observer,
        listener: &mut dyn Listener,
    ) -> Result<StepLine> {
        let step = self.step() + 1;
        let batch = training_batch(&self.config, &self.corpus, step)?;
        let needs = listener.needs(step - 1);
        let (loss, gradient, seen) = self.pass(&batch, needs.unwrap_or_default())?;
        let (grad_norm, factor) = clip_factor(&gradient, self.config.grad_clip);
        if !(loss.is_finite() && grad_norm.is_finite()) {
            let kept = self.keep(step, listener)?;
            // what led here is what people will want to see
            self.finish(listener)?;
            // nothing follows: what is known becomes a report
            listener.saved(self.position())?;
            return Err(Error::NonFinite {
                what: format!("the loss or its gradient at step {step}"),
                hint: Some(format!(
                    "use a lower --learning-rate or a longer --warmup; the last checkpoint is kept{kept}"
                )),
            });
        }
        let jump = self.jumps.hear(loss);
        if let Some(height) = jump {
            let kept = self.keep(step, listener)?;
            observer.note(&format!(
                "the loss jumps at update {step}: {loss:.4} is {height:.0} robust standard deviations above the \
                 median before{kept}"
            ));
        }
        let about = Checkpoint { next_grad_norm: Some(grad_norm), ..self.about() };
        let held = Held { parameters: &self.parameters, state: self.updater.state() };
        let state = (needs.is_some() || self.ring.size() > 0).then(|| self.ring.push(about, held));
        let (lr, last_lr) = (self.config.schedule.lr(step), self.config.schedule.lr(step - 1));
        let line = StepLine {
            step,
            loss,
            lr,
            grad_norm,
            clipped: factor < 1.0,
            tokens: step * batch.num_tokens() as u64,
            batch: Some(batch.id()),
            jump,
            val_loss: None,
            val_loss_se: None,
            val_sequences: None,
            val_batch: None,
        };
        if needs.is_some() || listener.needs(step).is_some() {
            let parameters = &mut self.parameters;
            let statistics = self.updater.update_tracked(parameters, &gradient, factor, lr, last_lr);
            if let (Some(_), Some(state)) = (needs, state) {
                let next = NextUpdate {
                    statistics: statistics.clone(),
                    parameters: Cow::Borrowed(&self.parameters),
                    vectors: self.updater.vectors().map(|(name, v)| (name, Cow::Borrowed(v))).collect(),
                };
                let snapshot = Snapshot::new(state, batch, self.settings.clone());
                let snapshot = snapshot.with_model(self.gpt.clone()).with_pass(loss, gradient, seen);
                listener.measure(snapshot.with_next_update(next))?;
            }
            listener.updated(statistics);
        } else {
            self.updater.update(&mut self.parameters, &gradient, factor, lr);
        }
        self.gpt.set_parameters(&self.parameters);
        self.last_loss = Some(loss);
        let evaluate = self.config.eval_every > 0 && (step.is_multiple_of(self.config.eval_every) || saved);
        self.evaluated(line, evaluate)
    }

    /// The snapshot that the run ends with: no update follows it.
    fn finish(&self, listener: &mut dyn Listener) -> Result<()> {
        if listener.needs(self.step()).is_none() {
            return Ok(());
        }
        listener.measure(self.snapshot_without_batch())
    }

    /// The gradient pass on a batch, and in it whatever else is needed.
    fn pass(&self, batch: &Batch, needs: Needs) -> Result<(f64, Values, Seen)> {
        let sample = |rows| sample_tokens(self.config.seed, self.step(), batch.num_tokens(), rows);
        let tokens = needs.token_rows.map(sample);
        let look = Look {
            tokens: tokens.as_deref(),
            statistics: needs.statistics,
            micro_batches: needs.micro_batches && self.config.grad_accumulation > 1,
        };
        self.gpt.gradient_observed(batch, self.config.batch_size, look)
    }

    /// The state as it is, where no batch follows.
    fn snapshot_without_batch(&self) -> Snapshot<'static> {
        Snapshot::without_batch(self.checkpoint(), self.settings.clone()).with_model(self.gpt.clone())
    }

    /// The line with the loss on the evaluation sequences, where they are to be read.
    fn evaluated(&self, line: StepLine, evaluate: bool) -> Result<StepLine> {
        if !evaluate {
            return Ok(line);
        }
        let (losses, batch) = self.evaluate()?;
        let (val_loss, val_loss_se) = stats::mean_and_error(&losses).unzip();
        Ok(StepLine {
            val_loss,
            val_loss_se,
            val_sequences: Some(losses.len()),
            val_batch: Some(batch),
            ..line
        })
    }

    /// The loss of each evaluation sequence, and what rows call them together.
    fn evaluate(&self) -> Result<(Vec<f64>, String)> {
        let batch = Batch::concatenate(&evaluation_batches(&self.config, &self.corpus)?);
        Ok((self.gpt.sequence_losses(&batch, self.config.batch_size)?, batch.id()))
    }

    /// A checkpoint of the last update, once: what it speaks for is on disk before it is, and what a checkpoint
    /// makes superfluous goes after it.
    fn save(&mut self, listener: &mut dyn Listener) -> Result<()> {
        let step = self.step();
        if self.saved == Some(step) {
            return Ok(());
        }
        self.folder.check()?;
        self.log.sync()?;
        listener.saving(step)?;
        let path = self.folder.path().join("checkpoints").join(format!("step_{step}"));
        run::write_native(&path, &self.checkpoint())?;
        self.saved = Some(step);
        listener.saved(self.position())
    }

    /// Writes the ring's states out, because the loss of update `jump` jumped; returns which, in words.
    fn keep(&self, jump: u64, listener: &mut dyn Listener) -> Result<String> {
        self.folder.check()?;
        self.log.sync()?;
        listener.sync()?;
        let mut kept = Vec::new();
        for state in self.ring.states() {
            let name = format!("step_{}", state.step);
            let path = self.folder.path().join("checkpoints").join(&name);
            if !path.exists() {
                run::write_native_kept(&path, state, jump)?;
            }
            kept.push(name);
        }
        Ok(if kept.is_empty() {
            String::new()
        } else {
            format!("; from before there are {}", kept.join(", "))
        })
    }

    /// The state as it is.
    fn checkpoint(&self) -> Checkpoint {
        let held = Held { parameters: &self.parameters, state: self.updater.state() };
        ring::filled(self.about(), held, None)
    }

    /// What is known of the state beside its vectors.
    fn about(&self) -> Checkpoint {
        let step = self.step();
        let lr = |t: u64| self.config.schedule.lr(t);
        Checkpoint {
            run: self.name.to_string(),
            format: "native",
            step,
            config: self.config.model.clone(),
            optimizer: Some(OptimizerState {
                told: self.config.optimizer.specification().clone(),
                updates: step,
                lr: lr(step + 1),
                last_lr: (step > 0).then(|| lr(step)),
                grad_clip: Some(self.config.grad_clip),
                ..OptimizerState::default()
            }),
            parameters: Values::zeros(0, self.config.dtype),
            path: PathBuf::new(),
            next_grad_norm: None,
            without_optimizer: None,
            loss: self.last_loss,
            seed: Some(self.config.seed),
            notes: vec![],
            sha256: String::new(),
        }
    }
}

/// Bytes of a state: the parameters and the optimizer's vectors.
fn state_bytes(config: &TrainConfig) -> u64 {
    let vectors = 1 + config.optimizer.vectors().len();
    (vectors * config.model.num_parameters() * config.dtype.size()) as u64
}
