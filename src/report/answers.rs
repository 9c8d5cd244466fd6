//! Which of several answers to one question is shown.
//!
//! A quantity may have been measured on several batches, in several precisions, to several tolerances, in training
//! and at checkpoints. The rule: **of several batches the one that covers most steps** (a fixed one before those of
//! training, then the first by file name), at all its steps, so that no line mixes batches; **on that batch, step by
//! step, what is settled before what is not, f64 before f32, then the smallest uncertainty, then the first by file
//! name**. All rows of a list come from one file. What was chosen between is said.
//!
//! Reports of different checkpoints at one step are never merged: each is a run of its own, called by its hash.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::conflict::{Conflict, at, sentences};
use super::folder::Source;
use crate::base::row::{Row, Status};

/// Digits of a checkpoint's hash that tell two of one step apart.
const DIGITS: usize = 8;
/// Two numbers of the same settings that differ by less, relatively, are one answer.
const ROUNDING: f64 = 1e-6;
/// Batches drawn anew at every update.
const TRAINING: &str = "training batches";

/// Which of several answers is shown of a quantity of a run, in words: (run, quantity) to a phrase.
pub type Choices = BTreeMap<(Arc<str>, Arc<str>), String>;

/// The rows that are shown.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    /// One answer to each question, in the order of files.
    pub rows: Vec<Row>,
    /// The file each is from: its place among the sources.
    pub sources: Vec<usize>,
    /// What is shown where a quantity had several.
    pub choices: Choices,
    /// Sentences: what had several answers and which is shown, and which checkpoints share a step.
    pub notes: Vec<String>,
}

/// What has one answer: quantity, scope, layer, head, of a run at a step.
type Question = (Arc<str>, u64, Arc<str>, Arc<str>, Option<u32>, Option<u32>);

/// One answer to each question of the run's reports.
pub fn choose(sources: &[Source]) -> Answers {
    let mut notes = Vec::new();
    let runs = runs(sources, &mut notes);
    let name = |source: usize, row: &Row| -> Arc<str> {
        runs.get(&(source, row.step)).cloned().unwrap_or_else(|| row.run.clone())
    };
    let question = |source: usize, row: &Row| -> Question {
        (name(source, row), row.step, row.quantity.clone(), row.scope.clone(), row.layer, row.head)
    };
    let batches = chosen_batches(sources, &name);
    // the candidates of each question, with their first row
    let mut asked: HashMap<Question, Vec<(usize, &Row)>> = HashMap::new();
    for (i, row) in all(sources) {
        let candidates = asked.entry(question(i, row)).or_default();
        if candidates.last().is_none_or(|(last, _)| *last != i) {
            candidates.push((i, row));
        }
    }
    let mut found: BTreeMap<(Arc<str>, Arc<str>), Conflict> = BTreeMap::new();
    let mut chosen: HashMap<Question, usize> = HashMap::new();
    for (question, candidates) in &asked {
        let key = (question.0.clone(), question.2.clone());
        let batch = &batches[&key];
        let on_it = candidates.iter().filter(|(i, row)| label(&sources[*i], row) == *batch);
        let best = on_it.min_by(|a, b| rank(sources, a).total_cmp(&rank(sources, b)).then(a.0.cmp(&b.0)));
        if let Some((i, _)) = best {
            chosen.insert(question.clone(), *i);
        }
        if several(sources, candidates, batch) {
            let conflict = found.entry(key).or_default();
            conflict.steps.insert(question.1);
            conflict.between.extend(candidates.iter().map(|(i, row)| (*i, label(&sources[*i], row))));
            conflict.shown.extend(best.map(|(i, row)| (*i, label(&sources[*i], row))));
        }
    }
    let phrase = |conflict: &Conflict| {
        format!("several answers at {}, {}", at(&conflict.steps), conflict.describe(sources))
    };
    let choices = found.iter().map(|(key, conflict)| (key.clone(), phrase(conflict))).collect();
    notes.extend(sentences(sources, found));
    let mut answers = Answers { notes, choices, ..Answers::default() };
    for (i, row) in all(sources) {
        if chosen.get(&question(i, row)) == Some(&i) {
            answers.rows.push(Row { run: name(i, row), ..row.clone() });
            answers.sources.push(i);
        }
    }
    answers
}

fn all(sources: &[Source]) -> impl Iterator<Item = (usize, &Row)> {
    sources.iter().enumerate().flat_map(|(i, source)| source.rows.iter().map(move |row| (i, row)))
}

/// The names of those runs that share a step: (file, step) to name.
fn runs(sources: &[Source], notes: &mut Vec<String>) -> HashMap<(usize, u64), Arc<str>> {
    let mut checkpoints: BTreeMap<(Arc<str>, u64), BTreeMap<&str, Vec<usize>>> = BTreeMap::new();
    for (i, source) in sources.iter().enumerate() {
        let Some(row) = source.rows.first() else { continue };
        let hash = source.says("checkpoint_sha256");
        if !hash.is_empty() {
            let step = checkpoints.entry((row.run.clone(), row.step)).or_default();
            step.entry(hash).or_default().push(i);
        }
    }
    let mut names = HashMap::new();
    for ((run, step), hashes) in checkpoints.into_iter().filter(|(_, hashes)| hashes.len() > 1) {
        let mut several = Vec::new();
        for (hash, files) in hashes {
            let name: Arc<str> = format!("{run}@{}", &hash[..hash.len().min(DIGITS)]).into();
            names.extend(files.into_iter().map(|file| ((file, step), name.clone())));
            several.push(name.to_string());
        }
        notes.push(format!(
            "step {step} of `{run}` has reports of {} different checkpoints, which are shown apart: {}",
            several.len(),
            several.join(", ")
        ));
    }
    names
}

/// What a row's batch is called: in training each update has its own.
fn label(source: &Source, row: &Row) -> String {
    let Some(batch) = &row.batch else { return String::new() };
    let tracked = source.says("checkpoint_sha256").is_empty();
    if tracked && !source.says("probe_sha256").starts_with(&**batch) {
        TRAINING.into()
    } else {
        batch.to_string()
    }
}

/// The batch that each quantity of each run is shown on.
fn chosen_batches(
    sources: &[Source],
    name: &impl Fn(usize, &Row) -> Arc<str>,
) -> HashMap<(Arc<str>, Arc<str>), String> {
    let mut covered: HashMap<(Arc<str>, Arc<str>), Vec<(String, BTreeSet<u64>)>> = HashMap::new();
    for (i, row) in all(sources) {
        let batches = covered.entry((name(i, row), row.quantity.clone())).or_default();
        let label = label(&sources[i], row);
        match batches.iter_mut().find(|(batch, _)| *batch == label) {
            Some((_, steps)) => {
                steps.insert(row.step);
            }
            None => batches.push((label, BTreeSet::from([row.step]))),
        }
    }
    let most = |batches: Vec<(String, BTreeSet<u64>)>| {
        // of equals the first
        let best = batches.into_iter().reduce(|best, next| {
            let size = |of: &(String, BTreeSet<u64>)| (of.1.len(), of.0 != TRAINING);
            if size(&next) > size(&best) { next } else { best }
        });
        best.map(|(batch, _)| batch).unwrap_or_default()
    };
    covered.into_iter().map(|(key, batches)| (key, most(batches))).collect()
}

/// Lower is better: settled, precise, certain.
fn rank(sources: &[Source], (i, row): &(usize, &Row)) -> f64 {
    let status = match row.status {
        Status::Ok => 0.0,
        Status::Unresolved => 1.0,
        Status::Incomplete => 2.0,
        Status::Unconverged => 3.0,
        Status::Undefined | Status::Nonfinite => 4.0,
    };
    let precision = if sources[*i].says("dtype") == "f64" { 0.0 } else { 1.0 };
    // below 1, so that it decides last
    let uncertainty = row.uncertainty.map_or(0.0, |u| u / (1.0 + u));
    4.0 * status + 2.0 * precision + uncertainty
}

/// Whether the candidates are more than one answer.
fn several(sources: &[Source], candidates: &[(usize, &Row)], batch: &str) -> bool {
    let Some((first, row)) = candidates.first() else { return false };
    candidates.iter().any(|(i, other)| {
        let close = match (row.value, other.value) {
            (Some(a), Some(b)) => (a - b).abs() <= ROUNDING * a.abs().max(b.abs()),
            (a, b) => a == b,
        };
        let dtype = sources[*i].says("dtype") != sources[*first].says("dtype");
        label(&sources[*i], other) != batch || dtype || !close
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::row::Origin;

    /// A report of λ1 at the given steps.
    fn source(file: &str, meta: &[(&str, &str)], batch: &str, values: &[(u64, f64, f64)]) -> Source {
        let row = |(step, value, uncertainty): &(u64, f64, f64)| {
            let row = Row::new("hessian/lambda", *value).index(1).uncertainty(*uncertainty);
            row.stamp(&Origin::new("r", "hessian", batch, *step))
        };
        let meta = meta.iter().map(|(key, value)| (format!("warmlab.{key}"), value.to_string()));
        Source { path: file.into(), meta: meta.collect(), rows: values.iter().map(row).collect() }
    }

    fn values(answers: &Answers) -> Vec<(u64, f64)> {
        answers.rows.iter().map(|row| (row.step, row.value.expect("finite"))).collect()
    }

    #[test]
    fn the_batch_that_covers_most_steps_is_shown_alone() {
        let sources = [
            source("a", &[("checkpoint_sha256", "1")], "aaaaaaaa", &[(1, 5.0, 0.1)]),
            source("b", &[("checkpoint_sha256", "1")], "bbbbbbbb", &[(1, 6.0, 0.1)]),
            source("c", &[("checkpoint_sha256", "2")], "bbbbbbbb", &[(2, 7.0, 0.1)]),
            source("d", &[("checkpoint_sha256", "3")], "aaaaaaaa", &[(3, 8.0, 0.1)]),
            source("e", &[("checkpoint_sha256", "4")], "bbbbbbbb", &[(4, 9.0, 0.1)]),
        ];
        let answers = choose(&sources);
        assert_eq!(values(&answers), [(1, 6.0), (2, 7.0), (4, 9.0)]);
        assert_eq!(answers.sources, [1, 2, 4]);
        let [note] = answers.notes.as_slice() else { panic!("{:?}", answers.notes) };
        assert!(
            note.contains("batch (aaaaaaaa, bbbbbbbb)") && note.contains("shown: batch bbbbbbbb"),
            "{note}"
        );
        assert!(note.contains("hessian/lambda") && note.contains("2 steps"), "{note}");
        let choice = &answers.choices[&("r".into(), "hessian/lambda".into())];
        assert!(note.ends_with(&**choice), "{choice}");
    }

    #[test]
    fn on_one_batch_the_better_answer_is_shown_at_each_step() {
        let with = |dtype, tol| [("checkpoint_sha256", "1"), ("dtype", dtype), ("options", tol)];
        let sources = [
            source("a", &with("f32", "tol=0.01 top=1"), "aaaaaaaa", &[(1, 5.1, 0.1)]),
            source("b", &with("f32", "tol=0.001 top=1"), "aaaaaaaa", &[(1, 5.01, 0.01)]),
            source("c", &with("f64", "tol=0.01 top=1"), "aaaaaaaa", &[(1, 5.2, 0.2)]),
        ];
        let answers = choose(&sources[..2]);
        assert_eq!(values(&answers), [(1, 5.01)]);
        let [note] = answers.notes.as_slice() else { panic!("{:?}", answers.notes) };
        assert!(note.contains("tol (0.001, 0.01); shown: tol 0.001") && !note.contains("top"), "{note}");
        assert_eq!(values(&choose(&sources)), [(1, 5.2)], "f64 before f32");
        // agreeing answers of equal settings are one
        let same = [sources[0].clone(), Source { path: "z".into(), ..sources[0].clone() }];
        let answers = choose(&same);
        assert!(answers.notes.is_empty() && answers.rows.len() == 1, "{:?}", answers.notes);
    }

    #[test]
    fn two_checkpoints_at_one_step_are_two_runs() {
        let (a, b) = ("1111111111", "2222222222");
        let sources = [
            source("a", &[("checkpoint_sha256", a)], "aaaaaaaa", &[(1, 5.0, 0.1)]),
            source("b", &[("checkpoint_sha256", b)], "aaaaaaaa", &[(1, 6.0, 0.1)]),
            source("c", &[("checkpoint_sha256", b)], "aaaaaaaa", &[(2, 7.0, 0.1)]),
        ];
        let answers = choose(&sources);
        let runs: Vec<&str> = answers.rows.iter().map(|row| &*row.run).collect();
        assert_eq!(runs, ["r@11111111", "r@22222222", "r"]);
        assert!(answers.notes.len() == 1 && answers.notes[0].contains("r@11111111, r@22222222"));
    }

    #[test]
    fn what_is_tracked_on_the_probe_is_of_its_batch_and_the_rest_of_training_batches() {
        let probe = [("probe_sha256", "aaaaaaaa99")];
        let sources = [
            source("a", &[("checkpoint_sha256", "1")], "aaaaaaaa", &[(1, 5.0, 0.01)]),
            source("b", &probe, "aaaaaaaa", &[(1, 5.1, 0.1), (2, 6.0, 0.1)]),
            source("c", &probe, "bbbbbbbb", &[(1, 50.0, 0.1)]),
        ];
        let answers = choose(&sources);
        assert_eq!(values(&answers), [(1, 5.0), (2, 6.0)]);
        assert!(answers.notes[0].contains("training batches") && answers.notes[0].contains("in training"));
    }
}
