//! What several answers to one question differ in, in words.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::folder::Source;

/// What differs between answers to one quantity.
#[derive(Default)]
pub struct Conflict {
    /// Where.
    pub steps: BTreeSet<u64>,
    /// Files, with what their batch is called.
    pub between: BTreeSet<(usize, String)>,
    /// What is shown.
    pub shown: BTreeSet<(usize, String)>,
}

impl Conflict {
    /// (what differs, the values there are, those shown).
    fn differences(&self, sources: &[Source]) -> Vec<(String, BTreeSet<String>, BTreeSet<String>)> {
        let of = |files: &BTreeSet<(usize, String)>| {
            let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for (i, batch) in files {
                for (key, value) in settings(&sources[*i], batch) {
                    all.entry(key).or_default().insert(value);
                }
            }
            all
        };
        let (between, shown) = (of(&self.between), of(&self.shown));
        let differing = between.into_iter().filter(|(_, values)| values.len() > 1);
        differing
            .map(|(key, values)| (key.clone(), values, shown.get(&key).cloned().unwrap_or_default()))
            .collect()
    }

    /// What differs and what is shown, a clause that follows "several answers".
    pub fn describe(&self, sources: &[Source]) -> String {
        let list =
            |values: &BTreeSet<String>| values.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let differences = self.differences(sources);
        let differ: Vec<String> =
            differences.iter().map(|(key, all, _)| format!("{key} ({})", list(all))).collect();
        let shown: Vec<String> =
            differences.iter().map(|(key, _, shown)| format!("{key} {}", list(shown))).collect();
        match differ.is_empty() {
            true => "which differ in nothing that is written down: the first file by name is shown".into(),
            false => format!("which differ in {}; shown: {}", differ.join(" and "), shown.join(", ")),
        }
    }
}

/// Steps in words.
pub fn at(steps: &BTreeSet<u64>) -> String {
    match (steps.len(), steps.first()) {
        (1, Some(step)) => format!("step {step}"),
        (count, _) => format!("{count} steps"),
    }
}

/// Everything two files of one run may differ in.
fn settings(source: &Source, batch: &str) -> BTreeMap<String, String> {
    let tracked = source.says("checkpoint_sha256").is_empty();
    let own = [
        ("batch", if batch.is_empty() { "none" } else { batch }),
        ("dtype", source.says("dtype")),
        ("device", source.says("device")),
        ("analysis", source.says("analysis")),
        ("measured", if tracked { "in training" } else { "at checkpoints" }),
        ("start", if source.says("start").is_empty() { "at random" } else { "near the step before" }),
    ];
    let options = source.says("options").split(' ').filter_map(|option| option.split_once('='));
    own.into_iter().chain(options).map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

/// One sentence for all quantities of a run whose answers differ alike.
pub fn sentences(sources: &[Source], found: BTreeMap<(Arc<str>, Arc<str>), Conflict>) -> Vec<String> {
    let mut alike: BTreeMap<(Arc<str>, String), (Vec<Arc<str>>, BTreeSet<u64>)> = BTreeMap::new();
    for ((run, quantity), conflict) in found {
        let (quantities, steps) = alike.entry((run, conflict.describe(sources))).or_default();
        quantities.push(quantity);
        steps.extend(conflict.steps);
    }
    let sentence =
        |((run, text), (quantities, steps)): ((Arc<str>, String), (Vec<Arc<str>>, BTreeSet<u64>))| {
            let names: Vec<&str> = quantities.iter().take(3).map(|name| &**name).collect();
            let more = match quantities.len().saturating_sub(3) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let have = if quantities.len() == 1 { "has" } else { "have" };
            format!("`{run}`: {}{more} {have} several answers at {}, {text}", names.join(", "), at(&steps))
        };
    alike.into_iter().map(sentence).collect()
}
