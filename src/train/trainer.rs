//! The loop.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::config::TrainConfig;
use super::init::initial_parameters;
use super::listener::Listener;
use super::log::{StepLine, StepLog};
use crate::data::{Batch, Corpus, Split, sampling};
use crate::device::Device;
use crate::error::{Error, IoContext, Result};
use crate::model::{Gpt, Look};
use crate::observer::Observer;
use crate::optim::{AdamW, Part, clip_factor};
use crate::random;
use crate::run::{self, Checkpoint, OptimizerState};
use crate::schedule::Schedule;
use crate::stats;
use crate::step::{Step, sample_tokens};
use crate::values::Values;

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
    folder: PathBuf,
    config: TrainConfig,
    corpus: Corpus,
    gpt: Gpt,
    parameters: Values,
    optimizer: AdamW,
    log: StepLog,
    last_loss: Option<f64>,
    parts: Vec<Part>,
    name: Arc<str>,
}

impl Trainer {
    /// Starts a run in an empty `folder`, or resumes the one that is there at its last checkpoint.
    ///
    /// # Errors
    /// Where the settings, the data or what is in the folder do not fit.
    pub fn new(folder: &Path, config: TrainConfig, corpus: Corpus, device: Device) -> Result<Self> {
        config.validate()?;
        let parameters = config.model.parameters();
        let n = config.model.num_parameters();
        let decayed = parameters.iter().filter(|p| p.shape.len() >= 2).map(|p| p.range()).collect();
        let fresh = AdamW::new(config.optimizer, n, config.dtype, decayed);
        let (values, optimizer, last_loss) = match run::checkpoints(folder)?.pop() {
            None => (initial_parameters(&config.model, config.seed, config.dtype), fresh, None),
            Some((_, path)) => restore(&path, &config, fresh)?,
        };
        let gpt = Gpt::new(&config.model, &values, &device.burn())?;
        // what does not fit is found before anything is written
        training_batch(&config, &corpus, optimizer.step() + 1)?;
        evaluation_batches(&config, &corpus)?;
        fs::create_dir_all(folder).at("create", folder)?;
        run::remove_unfinished(&folder.join("checkpoints"))?;
        config.write(&folder.join("run.toml"))?;
        let log = StepLog::open(&folder.join("steps.jsonl"), optimizer.step())?;
        Ok(Trainer {
            folder: folder.into(),
            config,
            corpus,
            gpt,
            parameters: values,
            optimizer,
            log,
            last_loss,
            parts: Part::all(&parameters),
            name: folder.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned()).into(),
        })
    }

    /// Updates applied.
    pub fn step(&self) -> u64 {
        self.optimizer.step()
    }

    /// Trains to the end, or until the observer asks to stop, telling `listener` of what it wants to hear.
    ///
    /// # Errors
    /// Where the loss is not finite, the disk refuses, or the listener fails.
    pub fn run(&mut self, observer: &dyn Observer, listener: &mut dyn Listener) -> Result<Ended> {
        let last = self.config.steps;
        let saves = self.config.checkpoints.steps(last);
        if self.step() == 0 {
            listener.saving(0)?;
            self.save()?;
            listener.saved(0)?;
        }
        while self.step() < last {
            if observer.stopped() {
                listener.saving(self.step())?;
                self.save()?;
                listener.saved(self.step())?;
                return Ok(Ended::Stopped);
            }
            let saved = saves.binary_search(&(self.step() + 1)).is_ok();
            let line = self.update(saved, listener)?;
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
            if saved {
                listener.saving(self.step())?;
                self.save()?;
                listener.saved(self.step())?;
            }
        }
        Ok(Ended::Finished)
    }

    /// One update; `saved` says that a checkpoint follows, which is then evaluated too.
    fn update(&mut self, saved: bool, listener: &mut dyn Listener) -> Result<StepLine> {
        let step = self.step() + 1;
        let batch = training_batch(&self.config, &self.corpus, step)?;
        let wanted = listener.wants(step)?;
        let micro_batch = self.config.batch_size;
        let asked = wanted.unwrap_or_default();
        let sample = |rows| sample_tokens(self.config.seed, step - 1, batch.num_tokens(), rows);
        let rows = asked.token_rows.map(sample);
        let look = Look {
            tokens: rows.as_deref(),
            statistics: asked.statistics,
            micro_batches: asked.micro_batches && self.config.grad_accumulation > 1,
        };
        let (loss, gradient, seen) = self.gpt.gradient_observed(&batch, micro_batch, look)?;
        let (grad_norm, factor) = clip_factor(&gradient, self.config.grad_clip);
        if !(loss.is_finite() && grad_norm.is_finite()) {
            return Err(Error::NonFinite {
                what: format!("the loss or its gradient at step {step}"),
                hint: Some(
                    "use a lower --learning-rate or a longer --warmup; the last checkpoint is kept".into(),
                ),
            });
        }
        let lr = self.config.schedule.lr(step);
        if wanted.is_some() {
            let last_lr = self.config.schedule.lr(step - 1);
            let parameters = &mut self.parameters;
            let update =
                self.optimizer.update_tracked(parameters, &gradient, factor, lr, last_lr, &self.parts);
            listener.heard(&Step {
                run: &self.name,
                config: &self.config.model,
                optimizer: "adamw",
                update: &update,
                next_lr: self.config.schedule.lr(step + 1),
                grad_clip: self.config.grad_clip,
                batch: &batch,
                gpt: &self.gpt,
                loss,
                grad_norm,
                gradient: &gradient,
                parameters: &self.parameters,
                exp_avg: self.optimizer.exp_avg(),
                exp_avg_sq: self.optimizer.exp_avg_sq(),
                inputs: seen.inputs.as_ref(),
                statistics: seen.statistics.as_ref(),
                micro_batches: seen.micro_batches.as_ref(),
            })?;
        } else {
            self.optimizer.update(&mut self.parameters, &gradient, factor, lr);
        }
        self.gpt.set_parameters(&self.parameters);
        self.last_loss = Some(loss);
        let evaluate = self.config.eval_every > 0 && (step.is_multiple_of(self.config.eval_every) || saved);
        let (val_loss, val_loss_se) = if evaluate { self.evaluate()?.unzip() } else { (None, None) };
        let tokens = step * batch.num_tokens() as u64;
        Ok(StepLine { step, loss, lr, grad_norm, clipped: factor < 1.0, tokens, val_loss, val_loss_se })
    }

    /// (mean loss, its standard error over sequences) on the evaluation sequences.
    fn evaluate(&self) -> Result<Option<(f64, f64)>> {
        let losses = evaluation_batches(&self.config, &self.corpus)?
            .chunks(self.config.batch_size)
            .map(|pieces| self.gpt.sequence_losses(&Batch::concatenate(pieces)))
            .collect::<Result<Vec<_>>>()?
            .concat();
        Ok(stats::mean_and_error(&losses))
    }

    fn save(&self) -> Result<()> {
        let (step, o) = (self.step(), self.config.optimizer);
        let lr = |t: u64| self.config.schedule.lr(t);
        let checkpoint = Checkpoint {
            path: PathBuf::new(),
            run: String::new(),
            format: "native",
            step,
            config: self.config.model.clone(),
            parameters: self.parameters.clone(),
            optimizer: Some(OptimizerState {
                name: "adamw".into(),
                updates: step,
                lr: lr(step + 1),
                last_lr: (step > 0).then(|| lr(step)),
                beta1: o.beta1,
                beta2: o.beta2,
                eps: o.eps,
                weight_decay: o.weight_decay,
                grad_clip: Some(self.config.grad_clip),
                exp_avg: Some(self.optimizer.exp_avg().clone()),
                exp_avg_sq: Some(self.optimizer.exp_avg_sq().clone()),
            }),
            next_grad_norm: None,
            loss: self.last_loss,
            seed: Some(self.config.seed),
            notes: vec![],
            sha256: String::new(),
        };
        run::write_native(&self.folder.join("checkpoints").join(format!("step_{step}")), &checkpoint)
    }
}

/// The batch of an update: a function of the seed and the update alone, so that training resumes anywhere.
fn training_batch(config: &TrainConfig, corpus: &Corpus, update: u64) -> Result<Batch> {
    let sequences = config.batch_size * config.grad_accumulation;
    let random = &mut random::stream(config.seed, update, "training batch");
    let batch = sampling::random(corpus.tokens(Split::Train), sequences, config.model.block_size, random)?;
    batch.check_vocabulary(config.model.vocab_size, corpus.tokens(Split::Train).name())?;
    Ok(batch)
}

/// The first sequences of the validation split, one by one.
fn evaluation_batches(config: &TrainConfig, corpus: &Corpus) -> Result<Vec<Batch>> {
    if config.eval_every == 0 {
        return Ok(vec![]);
    }
    let (tokens, seq) = (corpus.tokens(Split::Val), config.model.block_size);
    let sequences = config.eval_sequences.min((tokens.len().saturating_sub(1) / seq).max(1));
    let batch = sampling::sequential(tokens, 0, sequences, seq)?;
    batch.check_vocabulary(config.model.vocab_size, tokens.name())?;
    Ok(batch.micro_batches(1))
}

/// Parameters and optimizer from a checkpoint of this run.
fn restore(path: &Path, config: &TrainConfig, fresh: AdamW) -> Result<(Values, AdamW, Option<f64>)> {
    let checkpoint = run::open(path, config.dtype)?;
    if checkpoint.config != config.model {
        return Err(Error::file(path, "holds another model than run.toml describes"));
    }
    let moments = checkpoint.optimizer.and_then(|o| o.exp_avg.zip(o.exp_avg_sq));
    let Some((m, v)) = moments else {
        return Err(Error::file(path, "has no optimizer state, so training cannot go on from it"));
    };
    Ok((checkpoint.parameters, fresh.restore(m, v, checkpoint.step), checkpoint.loss))
}
