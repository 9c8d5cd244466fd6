//! What an analysis is: from snapshots to rows.
//!
//! An analysis writes no file, prints nothing, reads no clock and picks no seed. It declares its name, its
//! quantities and its options; the command line, `warmlab list`, the metadata and the conformance tests
//! follow from the declaration. It measures a snapshot, whether that is a checkpoint's or training's.

use std::collections::BTreeMap;

use crate::architecture::GptConfig;
use crate::base::error::Result;
use crate::base::figure::{Column, Figure};
use crate::base::observer::Observer;
use crate::base::row::Row;
use crate::base::settings::Settings;
use crate::base::vectors::Vectors;
use crate::data::Batch;
use crate::optim::Optimizer;
use crate::run::Moments;
use crate::snapshot::options::{Flags, Options};
use crate::snapshot::{Needs, Snapshot};

/// A named number an analysis may report.
#[derive(Debug, Clone, Copy)]
pub struct Quantity {
    /// Slash name. `{operator}` stands for hessian, ggn, preconditioned, preconditioned_next.
    pub name: &'static str,
    /// Its unit; "" for a pure number.
    pub unit: &'static str,
    /// What it is, in one sentence.
    pub about: &'static str,
}

/// The values of an option that training calls by their names, as if each were an analysis; one session measures all.
#[derive(Debug, Clone, Copy)]
pub struct Variants {
    /// The option.
    pub option: &'static str,
    /// Its values.
    pub values: &'static [&'static str],
}

/// Whether what is measured every `every` updates of a run in training is due at update `t`: the first is; 0 is off.
pub fn falls_due(every: u64, t: u64) -> bool {
    every > 0 && (t <= 1 || t.is_multiple_of(every))
}

/// What is known of a run in training before its first step.
pub struct Training<'a> {
    /// The architecture.
    pub config: &'a GptConfig,
    /// How it is updated.
    pub optimizer: &'a Optimizer,
    /// The batch that is the same at every step: what analyses of checkpoints measure on by default.
    pub probe: &'a Batch,
    /// Precision, device, memory, seed.
    pub settings: &'a Settings,
}

/// An analysis at work on one run: its options understood, and what it remembers from step to step.
pub trait Session {
    /// What it needs of the pass on the snapshot's batch at `step`, where somebody makes that pass for it.
    fn needs(&self, _step: u64) -> Needs {
        Needs::default()
    }

    /// Measures a snapshot. The rows know their place; run, analysis, batch and step are the snapshot's
    /// ([`Snapshot::stamp`]).
    ///
    /// # Errors
    /// Where the snapshot lacks what is needed, an option does not fit it, or a computation fails.
    fn measure(&mut self, snapshot: &Snapshot, observer: &dyn Observer) -> Result<Vec<Row>>;

    /// What a reader of all its numbers must know of how they are made: metadata keys and words.
    fn remarks(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// Whether it depends on the steps before.
    fn remembers(&self) -> bool {
        false
    }

    /// Everything remembered, by name: what a later process goes on from. Empty where the next step does not depend on
    /// those before.
    fn state(&self) -> BTreeMap<String, Vectors> {
        BTreeMap::new()
    }

    /// Goes on from a [`state`](Self::state).
    ///
    /// # Errors
    /// Where it is not one of this analysis of this run.
    fn restore(&mut self, _state: BTreeMap<String, Vectors>) -> Result<()> {
        Ok(())
    }
}

/// One entry of the catalogue.
pub trait Analysis: Sync {
    /// Its command.
    fn name(&self) -> &'static str;
    /// What it measures, in one sentence.
    fn about(&self) -> &'static str;
    /// A command line that works.
    fn example(&self) -> &'static str;
    /// What it may report.
    fn quantities(&self) -> &'static [Quantity];
    /// What it can be told.
    fn options(&self) -> Flags;
    /// How its numbers are drawn on the page of a report.
    fn figures(&self) -> &'static [Figure] {
        &[]
    }
    /// Its columns in the table of runs side by side.
    fn columns(&self) -> &'static [Column] {
        &[]
    }
    /// Conventions a reader of the numbers must know, for the metadata.
    fn notes(&self) -> &'static str;

    /// Which of the optimizer's moments it reads: what it does not is not kept in memory.
    fn moments(&self, _options: &Options) -> Moments {
        Moments::Both
    }

    /// The option whose values are names of their own where training steps are measured: `--track ggn` means
    /// `--track hessian:operator=ggn`.
    fn named_by(&self) -> Option<Variants> {
        None
    }

    /// Whether it can measure training as it happens.
    fn tracks(&self) -> bool {
        false
    }

    /// Begins to measure a run: its checkpoints, or its steps as they are made where `training` is given.
    ///
    /// # Errors
    /// Where an option is impossible, or the memory too small.
    fn begin(&self, options: &Options, training: Option<&Training>) -> Result<Box<dyn Session>>;

    /// Measures one snapshot alone.
    ///
    /// # Errors
    /// As [`begin`](Self::begin) and [`Session::measure`].
    fn run(&self, snapshot: &Snapshot, options: &Options, observer: &dyn Observer) -> Result<Vec<Row>> {
        let rows = self.begin(options, None)?.measure(snapshot, observer)?;
        Ok(snapshot.stamp(self.name(), rows))
    }
}
