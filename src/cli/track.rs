//! What `warmlab train` measures as it goes: from flags to a listener.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;

use super::meta;
use crate::analyses::ANALYSES;
use crate::analysis::{Analysis, Options};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::track::{Tracker, Tracking};
use crate::train::{Cadence, Tracked, TrainConfig};

/// Measurements at training steps.
#[derive(Args)]
pub struct Track {
    /// Analyses of training steps, such as adam,angular; NAME:KEY=VALUE sets every, early, at (1+5+10) or an
    /// option of the analysis for it alone
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "Tracking")]
    track: Vec<String>,
    /// Track every Nth update; 0 is off
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Tracking")]
    every: u64,
    /// Track every update up to this one [default: 2/(1-beta2), the updates Adam's second moment needs]
    #[arg(long, value_name = "N", help_heading = "Tracking")]
    track_early: Option<u64>,
    /// Track these updates too, such as 5,10,50
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "Tracking")]
    track_at: Vec<u64>,
    /// Folder for reports of tracked steps
    #[arg(long, value_name = "DIR", default_value = "reports", help_heading = "Tracking")]
    out: PathBuf,
}

impl Track {
    /// The flags as settings of a run.
    ///
    /// # Errors
    /// [`Error::Usage`] for an analysis that cannot track, or a key it does not have.
    pub fn tracked(&self, beta2: f64) -> Result<Vec<Tracked>> {
        let early = self.track_early.unwrap_or((2.0 / (1.0 - beta2)).round() as u64);
        let cadence = Cadence { early, every: self.every, at: self.track_at.clone() };
        self.track.iter().map(|text| parse(text, &cadence)).collect()
    }

    /// The listener of a run in `folder` that goes on after update `step`.
    ///
    /// # Errors
    /// Where the run's settings name no analysis, or its journals cannot be read.
    pub fn listener(
        &self,
        folder: &Path,
        step: u64,
        config: &TrainConfig,
        device: Device,
    ) -> Result<Tracker> {
        let tracking = |tracked: &Tracked| -> Result<Tracking> {
            let analysis = analysis(&tracked.analysis)?;
            let mut options = Options::defaults(analysis.options());
            for (name, value) in &tracked.options {
                options.set(name, vec![value.clone()]);
            }
            let meta = meta::tracking_metadata(analysis, &options, config, device);
            Ok(Tracking { analysis, options, cadence: tracked.cadence.clone(), meta })
        };
        let name = folder.file_name().unwrap_or_default();
        let tracked = config.track.iter().map(tracking).collect::<Result<_>>()?;
        Tracker::open(&self.out.join(name), step, tracked)
    }
}

fn analysis(name: &str) -> Result<&'static dyn Analysis> {
    let able = || ANALYSES.iter().filter(|analysis| analysis.tracks());
    able().find(|analysis| analysis.name() == name).copied().ok_or_else(|| {
        let names: Vec<&str> = able().map(|analysis| analysis.name()).collect();
        Error::usage_hint(
            format!("`{name}` cannot be measured at training steps"),
            format!("--track takes {}", names.join(", ")),
        )
    })
}

/// NAME[:KEY=VALUE]...
fn parse(text: &str, cadence: &Cadence) -> Result<Tracked> {
    let mut parts = text.split(':');
    let analysis = analysis(parts.next().unwrap_or_default())?;
    let mut cadence = cadence.clone();
    let mut options = BTreeMap::new();
    for part in parts {
        let (key, value) = part.split_once('=').ok_or_else(|| {
            Error::usage_hint(format!("`{part}` is no setting"), format!("write it as {part}=VALUE"))
        })?;
        let number =
            || value.parse().map_err(|_| Error::usage(format!("`{part}`: `{value}` is not a whole number")));
        match key {
            "every" => cadence.every = number()?,
            "early" => cadence.early = number()?,
            "at" => {
                let list: Option<Vec<u64>> = value.split('+').map(|step| step.parse().ok()).collect();
                cadence.at =
                    list.ok_or_else(|| Error::usage(format!("`{part}` is no list such as 1+5+10")))?;
            }
            _ if analysis.options().iter().any(|option| option.name == key) => {
                options.insert(key.to_string(), value.to_string());
            }
            _ => {
                let names: Vec<&str> = analysis.options().iter().map(|option| option.name).collect();
                return Err(Error::usage_hint(
                    format!("`{}` has no setting `{key}`", analysis.name()),
                    format!("it has every, early, at, {}", names.join(", ")),
                ));
            }
        }
    }
    Ok(Tracked { analysis: analysis.name().into(), cadence, options })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_one_analysis_are_its_own() {
        let common = Cadence { early: 40, every: 1, at: vec![] };
        let tracked = parse("angular:every=5:at=1+7:rrc-rows=8", &common).expect("parsed");
        assert_eq!(tracked.cadence, Cadence { early: 40, every: 5, at: vec![1, 7] });
        assert_eq!(tracked.options["rrc-rows"], "8");
        for bad in ["hessian", "adam:every", "adam:every=x", "adam:rrc-rows=8", "adam:at=1+b", ""] {
            assert!(parse(bad, &common).is_err(), "{bad}");
        }
    }
}
