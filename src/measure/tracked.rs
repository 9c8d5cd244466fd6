//! What a run is tracked with: from its settings to analyses at work.

use super::batches::{TRAINING, probe};
use super::{Measurement, metadata};
use crate::analyses::ANALYSES;
use crate::base::device::Device;
use crate::base::error::{Error, Result};
use crate::base::resources;
use crate::base::settings::Settings;
use crate::base::takes::{Refusal, or};
use crate::data::Corpus;
use crate::snapshot::analysis::{Analysis, Training, Variants};
use crate::train::{Tracked, TrainConfig};

/// The analyses of a run's settings, every option read and found possible.
///
/// # Errors
/// Where the settings name no analysis, or an option is impossible.
pub fn measurements(config: &TrainConfig, corpus: &Corpus, device: Device) -> Result<Vec<Measurement>> {
    if config.track.is_empty() {
        return Ok(vec![]);
    }
    let settings = Settings {
        dtype: config.dtype,
        device,
        micro_batch: Some(config.batch_size),
        memory: resources::default_memory(),
        seed: config.seed,
    };
    let probe = probe(config, corpus)?;
    let measurement = |tracked: &Tracked| -> Result<Measurement> {
        let (analysis, _) = find(&tracked.analysis)?;
        let given = tracked.options.iter().map(|(name, value)| (&**name, &**value));
        let options = analysis.options().parse(given)?;
        let training = Training {
            config: &config.model,
            optimizer: &config.optimizer,
            probe: &probe,
            settings: &settings,
        };
        let session = analysis.begin(&options, Some(&training))?;
        let mut meta = metadata::of_tracking(analysis, &options, config, device);
        if session.remembers() {
            let training = if corpus.has_validation() { "" } else { TRAINING };
            metadata::add_probe(&mut meta, &probe, &format!("{}{training}", config.data));
        }
        meta.extend(session.remarks().into_iter().map(|(key, text)| (format!("warmlab.{key}"), text)));
        Ok(Measurement { analysis, session, cadence: tracked.cadence.clone(), meta })
    };
    config.track.iter().map(measurement).collect()
}

/// An option and its value.
type Chosen = (&'static str, &'static str);

/// The analysis that --track calls by that name, its own or that of one of its variants, which is an option then.
///
/// # Errors
/// [`Error::Usage`] where training cannot be tracked with it.
pub fn find(name: &str) -> Result<(&'static dyn Analysis, Option<Chosen>)> {
    let able = || ANALYSES.iter().copied().filter(|analysis| analysis.tracks());
    // a variant called as its analysis is what that name means
    let variant = able().find_map(|analysis| {
        let Variants { option, values } = analysis.named_by()?;
        let value = values.iter().find(|value| **value == name)?;
        Some((analysis, Some((option, *value))))
    });
    let own = || able().find(|analysis| analysis.name() == name).map(|analysis| (analysis, None));
    variant.or_else(own).ok_or_else(|| {
        let mut names: Vec<&str> = able().map(|analysis| analysis.name()).collect();
        for value in able().filter_map(|analysis| analysis.named_by()).flat_map(|variants| variants.values) {
            if !names.contains(value) {
                names.push(value);
            }
        }
        if ANALYSES.iter().any(|analysis| analysis.name() == name) {
            return Error::usage_hint(
                format!("--track `{name}` cannot be measured at training steps"),
                format!("--track takes {}; checkpoints are measured with warmlab {name}", or(names)),
            );
        }
        Refusal::word(name, names.iter().copied()).of("--track", name, "`warmlab train --help` explains it")
    })
}
