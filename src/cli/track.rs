//! What `warmlab train` measures as it goes: from flags to settings of the run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use super::flags::whole;
use crate::base::error::{Error, Result};
use crate::base::steps::Steps;
use crate::base::takes::{Refusal, Takes, nearest, or};
use crate::measure::tracked::find;
use crate::train::{Cadence, Tracked};

/// Measurements at training steps.
#[derive(Args)]
pub struct Track {
    /// Analyses of training steps, such as adam,angular, and curvature: hessian, ggn, preconditioned,
    /// preconditioned-next; NAME:KEY=VALUE sets every, early, at (1+5+10) or an
    /// option of the analysis for it alone
    #[arg(long, value_name = "LIST", value_delimiter = ',', help_heading = "Tracking")]
    track: Vec<String>,
    /// Track every Nth update; 0 is off
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole::<u64>(Takes::COUNT), help_heading = "Tracking")]
    every: u64,
    /// Track every update up to this one [default: 2/(1-beta2), the updates Adam's second moment needs]
    #[arg(long, value_name = "N", value_parser = whole::<u64>(Takes::COUNT), help_heading = "Tracking")]
    track_early: Option<u64>,
    /// Track these updates too, such as 5,10,50-60
    #[arg(long, value_name = "LIST", value_parser = Steps::from_str, help_heading = "Tracking")]
    track_at: Option<Steps>,
    /// Folder for reports of tracked steps
    #[arg(long, value_name = "DIR", default_value = "reports", help_heading = "Tracking")]
    pub out: PathBuf,
}

impl Track {
    /// The flags as settings of a run of `last` updates.
    ///
    /// # Errors
    /// [`Error::Usage`] for an analysis that cannot track, or a key it does not have.
    pub fn tracked(&self, settling: u64, last: u64) -> Result<Vec<Tracked>> {
        let early = self.track_early.unwrap_or(settling);
        let at = self.track_at.as_ref().map_or_else(Vec::new, |steps| steps.up_to(last));
        self.all(last, |_| Cadence { early, every: self.every, at: at.clone() })
    }

    /// The flags that were `given` as settings of a run of `last` updates that tracks `run`: what they leave open is as
    /// it is there.
    ///
    /// # Errors
    /// As [`tracked`](Self::tracked).
    pub fn asked(&self, run: &[Tracked], last: u64, given: impl Fn(&str) -> bool) -> Result<Vec<Tracked>> {
        let set = |cadence: &Cadence| Cadence {
            early: self.track_early.unwrap_or(cadence.early),
            every: if given("every") { self.every } else { cadence.every },
            at: self.track_at.as_ref().map_or_else(|| cadence.at.clone(), |steps| steps.up_to(last)),
        };
        if !given("track") {
            return Ok(run.iter().map(|t| Tracked { cadence: set(&t.cadence), ..t.clone() }).collect());
        }
        let theirs = |analysis: &str| run.iter().find(|tracked| tracked.analysis == analysis).or(run.first());
        let none = Cadence { early: 0, every: self.every, at: vec![] };
        self.all(last, |analysis| set(theirs(analysis).map_or(&none, |tracked| &tracked.cadence)))
    }

    /// The list of --track, each analysis with the cadence of its own unless its text says more.
    fn all(&self, last: u64, cadence: impl Fn(&str) -> Cadence) -> Result<Vec<Tracked>> {
        let mut all: Vec<Tracked> = Vec::new();
        for text in &self.track {
            let name = parse(text, &Cadence { early: 0, every: 0, at: vec![] }, last)?.analysis;
            let tracked = parse(text, &cadence(&name), last)?;
            match all.iter_mut().find(|other| other.analysis == tracked.analysis) {
                Some(other) => join(other, tracked)?,
                None => all.push(tracked),
            }
        }
        Ok(all)
    }
}

/// Adds the variants of the second to the first: one analysis is tracked once.
fn join(first: &mut Tracked, mut second: Tracked) -> Result<()> {
    let option = find(&first.analysis)?.0.named_by().map_or("", |variants| variants.option);
    let (Some(a), Some(b)) = (first.options.remove(option), second.options.remove(option)) else {
        return Err(Error::usage(format!("--track names {} twice", first.analysis)));
    };
    if *first != second {
        return Err(Error::usage_hint(
            format!("--track gives {a} and {b} different settings, and they share one search"),
            format!("give them together: {}:{option}={a}|{b}:every=N", first.analysis),
        ));
    }
    if a.split('|').any(|variant| b.split('|').any(|other| variant == other)) {
        return Err(Error::usage(format!("--track names {b} twice")));
    }
    first.options.insert(option.into(), format!("{a}|{b}"));
    Ok(())
}

/// NAME[:KEY=VALUE]...
fn parse(text: &str, cadence: &Cadence, last: u64) -> Result<Tracked> {
    let mut parts = text.split(':');
    let name = parts.next().unwrap_or_default();
    let mut cadence = cadence.clone();
    let (analysis, variant) = find(name)?;
    let mut options: BTreeMap<String, String> =
        variant.into_iter().map(|(option, value)| (option.into(), value.into())).collect();
    for part in parts {
        let (key, value) = part.split_once('=').ok_or_else(|| {
            Error::usage_hint(format!("`{part}` is no setting"), format!("write it as {part}=VALUE"))
        })?;
        let refuse = |refusal: Refusal| {
            let what = format!("--track {}: {key}", analysis.name());
            refusal.of(&what, value, "`warmlab train --help` explains it")
        };
        match key {
            "every" => cadence.every = Takes::COUNT.whole(value).map_err(refuse)?,
            "early" => cadence.early = Takes::COUNT.whole(value).map_err(refuse)?,
            "at" => {
                // commas stand between analyses
                let steps: Steps = value.replace('+', ",").parse().map_err(refuse)?;
                cadence.at = steps.up_to(last);
            }
            _ => {
                let own = analysis.options().names();
                if !own.iter().any(|name| name == key) {
                    let own = own.iter().map(String::as_str);
                    let names: Vec<&str> = ["every", "early", "at"].into_iter().chain(own).collect();
                    let near =
                        nearest(key, names.iter().copied()).map(|near| format!("did you mean {near}?"));
                    return Err(Error::usage_hint(
                        format!("--track {}: there is no setting `{key}`", analysis.name()),
                        near.unwrap_or_else(|| format!("it has {}", or(names))),
                    ));
                }
                analysis.options().check(key, value).map_err(refuse)?;
                options.insert(key.to_string(), value.to_string());
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
        let tracked = parse("angular:every=5:at=1+7-9:rrc-rows=8", &common, 8).expect("parsed");
        assert_eq!(tracked.cadence, Cadence { early: 40, every: 5, at: vec![1, 7, 8] });
        assert_eq!(tracked.options["rrc-rows"], "8");
        for bad in ["sharpness", "adam:every", "adam:every=x", "adam:rrc-rows=8", "adam:at=1+b", ""] {
            assert!(parse(bad, &common, 8).is_err(), "{bad}");
        }
    }

    #[test]
    fn operators_are_tracked_together() {
        let common = Cadence { early: 40, every: 1, at: vec![] };
        let joined = |texts: &[&str]| {
            let mut all = texts.iter().map(|text| parse(text, &common, 8).expect("parsed"));
            let mut first = all.next().expect("one");
            all.try_for_each(|next| join(&mut first, next)).map(|()| first)
        };
        let tracked = joined(&["hessian", "preconditioned", "preconditioned-next"]).expect("joined");
        assert_eq!(tracked.analysis, "hessian");
        assert_eq!(tracked.options["operator"], "hessian|preconditioned|preconditioned-next");
        for bad in [["adam", "adam"], ["hessian", "hessian"], ["hessian", "ggn:every=3"]] {
            assert!(joined(&bad).is_err(), "{bad:?}");
        }
    }
}
