//! 68% intervals on a checkpoint trained by the library itself: over many seeds each must hold the truth as often as it
//! says, neither less nor more. The truth is the dense matrix for what random probes estimate, all sequences of the
//! validation split for what a batch estimates, all tokens or very many streams for the rest.
//!
//! `WARMLAB_COVERAGE` is the number of seeds: 200 in `make test-all`, which also prints the table; few enough
//! otherwise that only intervals far from what they say are found. Residuals of eigenvalues and the quadrature's
//! brackets around quantiles are bounds, not intervals, and left out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ndarray::{Array1, Array2, s};
use rand::RngExt;
use warmlab::base::observer::Silent;
use warmlab::base::random::stream;
use warmlab::base::row::{Row, Status};
use warmlab::base::values::DType;
use warmlab::data::{Batch, Corpus, Split, sampling};
use warmlab::linalg::{LinearOperator, dense};
use warmlab::operator::{Curvature, GaussNewton, Hessian, Keep};
use warmlab::run;
use warmlab::snapshot::Snapshot;
use warmlab::stats::interval;

use crate::support::{analysis, measure, settings, warmlab};

/// How many seeds, and whether they are all that is asked of the intervals.
fn seeds(few: u64) -> (u64, bool) {
    let all = std::env::var("WARMLAB_COVERAGE").ok().and_then(|n| n.parse().ok());
    (all.unwrap_or(few), all.is_some())
}

/// A run of 300 updates and its validation tokens.
struct Trained {
    _folder: tempfile::TempDir,
    run: PathBuf,
    corpus: Corpus,
    seq: usize,
}

impl Trained {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let arguments = "train --name r --n-layer 1 --n-head 2 --n-embd 8 --block-size 16 --batch-size 16 --steps 300 \
                         --learning-rate 1e-2 --warmup 20 --eval-every 0 --beta2 0.99";
        let output = warmlab(folder.path(), &arguments.split_whitespace().collect::<Vec<_>>());
        assert!(output.status.success(), "{output:?}");
        let run = folder.path().join("runs/r");
        Trained { _folder: folder, run, corpus: Corpus::open("synthetic", &[]).unwrap(), seq: 16 }
    }

    fn at(&self, step: u64, batch: Batch, dtype: DType, seed: u64) -> Snapshot<'static> {
        let path: &Path = &self.run.join(format!("checkpoints/step_{step}"));
        Snapshot::new(run::open(path, dtype).unwrap(), batch, settings(dtype, None, seed))
    }

    /// The first sequences of the validation split.
    fn first(&self, count: usize) -> Batch {
        sampling::sequential(self.corpus.tokens(Split::Val), 0, count, self.seq).unwrap()
    }

    /// Sequences of the validation split at random: of those that [`Self::all`] has, so that the truth is exact.
    fn drawn(&self, count: usize, seed: u64) -> Batch {
        let (random, tokens) = (&mut stream(seed, 0, "coverage"), self.corpus.tokens(Split::Val));
        let mut one = || sampling::sequential(tokens, random.random_range(0..self.sequences()), 1, self.seq);
        Batch::concatenate(&(0..count).map(|_| one().unwrap()).collect::<Vec<_>>())
    }

    /// How many sequences of the validation split are looked at.
    fn sequences(&self) -> usize {
        ((self.corpus.tokens(Split::Val).len() - 1) / self.seq).min(6000)
    }

    /// All of them.
    fn all(&self) -> Batch {
        self.first(self.sequences())
    }
}

/// How often intervals held the truth.
#[derive(Default)]
struct Tally {
    names: BTreeMap<String, [u64; 3]>,
}

impl Tally {
    /// Adds the rows that state an uncertainty and whose truth is known.
    fn add(&mut self, rows: &[Row], truth: impl Fn(&Row) -> Option<f64>) {
        for row in rows {
            let (Some(truth), Some(half_width)) = (truth(row), row.uncertainty) else { continue };
            let name = format!(
                "{} {} {}",
                row.quantity,
                row.scope,
                row.parameter.map_or(String::new(), |p| p.to_string())
            );
            let counts = self.names.entry(name).or_default();
            counts[0] += 1;
            counts[1] += u64::from((row.value.unwrap() - truth).abs() <= half_width);
            counts[2] += u64::from(row.status == Status::Unresolved);
        }
    }

    /// Prints the table and fails where a share is further from 68% than 10 points, or than `seeds` draws allow where they
    /// are few: three binomial standard errors, which are 10 points for 200.
    fn check(&self, seeds: u64) {
        let allowed = (3.0 * (0.683f64 * 0.317 / seeds as f64).sqrt()).max(0.1);
        let mut wrong = vec![];
        for (name, [seen, covered, unresolved]) in &self.names {
            let share = *covered as f64 / *seen as f64;
            let bad = (share - 0.683).abs() > allowed;
            eprintln!(
                "{:5.1}% of {seen:5} ({unresolved} unresolved) {name}{}",
                100.0 * share,
                if bad { "  <<<" } else { "" }
            );
            if bad {
                wrong.push(format!("{name}: {share}"));
            }
        }
        assert!(wrong.is_empty(), "not within {allowed:.2} of 0.683: {wrong:?}");
    }
}

/// The matrix of an operator by its own products; P is worked out here.
fn matrix(snapshot: &Snapshot, operator: &str) -> Array2<f64> {
    let batch = snapshot.batch().unwrap();
    let curvature =
        Curvature::new(snapshot.gpt().unwrap().clone(), batch, batch.batch_size(), Keep::Kept).unwrap();
    let (hessian, ggn) = (Hessian(&curvature), GaussNewton(&curvature));
    let base: &dyn LinearOperator = if operator == "ggn" { &ggn } else { &hessian };
    let a = dense::to_dense(base, 32, &Silent).unwrap().0;
    let a = (&a + &a.t()) / 2.0;
    if operator != "preconditioned" {
        return a;
    }
    let o = snapshot.optimizer().unwrap();
    let v = o.vector("exp_avg_sq").unwrap().to_f64();
    let correction = 1.0 - o.constant("beta2").powf(o.updates as f64);
    let root: Array1<f64> =
        v.iter().map(|v| ((v / correction).sqrt() + o.constant("eps")).powf(-0.5)).collect();
    let a = &a * &root;
    (&a.t() * &root).t().to_owned()
}

fn sum(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().sum()
}

/// What each row of `hessian --trace` ought to say.
fn traced(matrix: &Array2<f64>, snapshot: &Snapshot, operator: &str) -> impl Fn(&Row) -> Option<f64> {
    let (values, n) = (dense::eigh(matrix).unwrap().0.to_vec(), matrix.nrows() as f64);
    let diagonal = matrix.diag().to_owned();
    let parameters = snapshot.config().parameters();
    let prefix = if operator == "hessian" { String::new() } else { format!("{operator}/") };
    let operator = operator.to_string();
    move |row: &Row| {
        if &*row.scope != "all" {
            let block = parameters.iter().find(|p| *p.name == *row.scope)?;
            return (*row.quantity == format!("{operator}/trace"))
                .then(|| diagonal.slice(s![block.range()]).sum());
        }
        let (first, last) = (values[values.len() - 1], values[0]);
        let square = sum(values.iter().map(|x| x * x));
        let name = row.quantity.strip_prefix(&prefix).unwrap_or(&row.quantity);
        match name.strip_prefix(&format!("{operator}/")).unwrap_or(name) {
            "trace" => Some(diagonal.sum()),
            "frobenius_sq" => Some(square),
            "diagonal_sq" => Some(diagonal.dot(&diagonal)),
            "condition/rms" => Some(first / (square / n).sqrt()),
            "spectrum/stable_rank" => Some(square / first.max(-last).powi(2)),
            "effective_rank" => Some(diagonal.sum() / first),
            "condition/mean_abs" => Some(first / (sum(values.iter().map(|x| x.abs())) / n)),
            "spectrum/negative_mass" => {
                Some(-sum(values.iter().map(|x| x.min(0.0))) / sum(values.iter().map(|x| x.abs())))
            }
            "density_moment" => Some(sum(values.iter().map(|x| x.powi(row.parameter.unwrap() as i32))) / n),
            _ => None,
        }
    }
}

#[test]
fn traces_and_norms() {
    let (trained, (seeds, all)) = (Trained::new(), seeds(30));
    let operators = ["hessian", "ggn", "preconditioned"];
    for operator in operators.into_iter().take(if all { 3 } else { 1 }) {
        let mut tally = Tally::default();
        let snapshot = trained.at(300, trained.first(8), DType::F64, 0);
        let dense = matrix(&snapshot, operator);
        let truth = traced(&dense, &snapshot, operator);
        let bottom = if operator == "hessian" { "1" } else { "0" };
        let options = [("operator", operator), ("trace", "true"), ("top", "2"), ("bottom", bottom)];
        for seed in 0..seeds {
            let dtype = if seed % 2 == 0 { DType::F64 } else { DType::F32 };
            let rows =
                measure(analysis("hessian"), &trained.at(300, trained.first(8), dtype, seed), &options);
            for row in &rows {
                let (value, quantity) = (row.value.unwrap(), &*row.quantity);
                let never_negative = quantity.ends_with("_sq") || quantity == "ggn/trace";
                assert!(!never_negative || value >= 0.0, "{row:?}");
            }
            tally.add(&rows, &truth);
        }
        tally.check(seeds);
    }
}

#[test]
fn densities() {
    let (trained, (seeds, all)) = (Trained::new(), seeds(30));
    let mut tally = Tally::default();
    let snapshot = trained.at(300, trained.first(8), DType::F64, 0);
    let dense = matrix(&snapshot, "hessian");
    let values = dense::eigh(&dense).unwrap().0.to_vec();
    let truth = traced(&dense, &snapshot, "hessian");
    // a shallow quadrature knows the moments, and not the curve
    let (probes, depth) = if all { ("10", "80") } else { ("5", "12") };
    let options = [
        ("density", "true"),
        ("top", "2"),
        ("bottom", "0"),
        ("no-completeness", "true"),
        ("probes", probes),
        ("num-matvecs", depth),
    ];
    for seed in 0..seeds {
        let rows =
            measure(analysis("hessian"), &trained.at(300, trained.first(8), DType::F64, seed), &options);
        tally.add(&rows, &truth);
        let width = rows.iter().find(|r| &*r.quantity == "hessian/density_width").unwrap().value.unwrap();
        let curve = |at: f64| {
            let gauss = |x: &f64| (-0.5 * ((x - at) / width).powi(2)).exp();
            sum(values.iter().map(gauss)) / (width * std::f64::consts::TAU.sqrt() * values.len() as f64)
        };
        // all points of the curve as one estimator: there are too many to tell one by one
        for row in rows.into_iter().filter(|row| all && &*row.quantity == "hessian/density") {
            let truth = curve(row.parameter.unwrap());
            tally.add(&[Row { parameter: None, ..row }], |_| Some(truth));
        }
    }
    tally.check(seeds);
}

/// √ of the Jensen-Shannon divergence of two spectra, each scaled by its largest size and smoothed.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    let curve = |values: &[f64]| -> Vec<f64> {
        let size = values.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        let at = |i: usize| -1.0 + 2.0 * i as f64 / 200.0;
        let height =
            |i: usize| sum(values.iter().map(|x| (-0.5 * ((at(i) - x / size) / 0.01).powi(2)).exp()));
        let curve: Vec<f64> = (0..201).map(height).collect();
        let total = sum(curve.iter().copied());
        curve.into_iter().map(|x| x / total).collect()
    };
    let (p, q) = (curve(a), curve(b));
    let term = |x: f64, y: f64| if x > 0.0 { x * (2.0 * x / (x + y)).log2() } else { 0.0 };
    (0.5 * sum(p.iter().zip(&q).map(|(p, q)| term(*p, *q) + term(*q, *p)))).max(0.0).sqrt()
}

#[test]
fn distances() {
    let (seeds, all) = seeds(0);
    if !all {
        // two minutes of products for what the jackknife's own tests tell of
        return;
    }
    let trained = Trained::new();
    let mut tally = Tally::default();
    let snapshot = trained.at(300, trained.first(8), DType::F64, 0);
    let dense = matrix(&snapshot, "hessian");
    let spectra: BTreeMap<String, Vec<f64>> = snapshot
        .config()
        .parameters()
        .iter()
        .map(|p| {
            let block = dense.slice(s![p.range(), p.range()]).to_owned();
            (p.name.to_string(), dense::eigh(&block).unwrap().0.to_vec())
        })
        .collect();
    let options = [("density", "true"), ("scope", "blocks"), ("top", "0"), ("bottom", "0")];
    let names: Vec<&String> = spectra.keys().collect();
    let pairs = (0..names.len()).flat_map(|i| (i + 1..names.len()).map(move |j| (i, j)));
    let all: Vec<f64> = pairs.map(|(i, j)| distance(&spectra[names[i]], &spectra[names[j]])).collect();
    let mean = sum(all.iter().copied()) / all.len() as f64;
    for seed in 0..seeds {
        let rows =
            measure(analysis("hessian"), &trained.at(300, trained.first(8), DType::F64, seed), &options);
        tally.add(&rows, |row| match &*row.quantity {
            "hessian/js_distance" => {
                let (a, b) = row.scope.split_once(" ~ ")?;
                Some(distance(spectra.get(a)?, spectra.get(b)?))
            }
            "hessian/js_mean" => Some(mean),
            _ => None,
        });
    }
    tally.check(seeds);
}

#[test]
fn noise_of_gradients() {
    let (trained, (seeds, all)) = (Trained::new(), seeds(60));
    let options = |more: &[(&'static str, &'static str)]| [&[("no-curvature", "true")], more].concat();
    let whole = measure(analysis("snr"), &trained.at(300, trained.all(), DType::F64, 0), &options(&[]));
    let truth = |row: &Row| {
        let name = if &*row.quantity == "snr/phi_microbatch" { "snr/phi" } else { &*row.quantity };
        whole.iter().find(|r| &*r.quantity == name && r.scope == row.scope).and_then(|r| r.value)
    };
    // few sequences, where most of it is unresolved, more, and enough for every noise scale
    for (count, pieces) in [(8, "4"), (128, "16"), (3072, "64")].into_iter().take(if all { 3 } else { 2 }) {
        let mut tally = Tally::default();
        // where the noise is of few directions no interval of this form is near 68% for every signal, so that 200 draws
        // would find some beyond 10 points by chance; small batches are cheap
        let draws = if count > 128 { seeds } else { 10 * seeds };
        for seed in 0..draws {
            let snapshot = trained.at(300, trained.drawn(count, seed), DType::F64, seed);
            let rows = measure(analysis("snr"), &snapshot, &options(&[("micro-batches", pieces)]));
            // a noise scale has an interval only where it is resolved, which chooses among seeds unless all are
            let fair = |row: &Row| &*row.quantity != "snr/noise_scale" || count > 128 && &*row.scope == "all";
            tally.add(&rows, |row| truth(row).filter(|_| fair(row)));
        }
        eprintln!("{count} sequences");
        tally.check(seeds);
    }
}

#[test]
fn noise_weighed_by_curvature() {
    let (seeds, all) = seeds(0);
    if !all {
        // a product per sequence, for what the same estimator without them tells of
        return;
    }
    let trained = Trained::new();
    let population = trained.first(200).micro_batches(1);
    // early, where the signal is resolved
    let at = |batch, seed| measure(analysis("snr"), &trained.at(16, batch, DType::F64, seed), &[]);
    let whole = at(Batch::concatenate(&population), 0);
    let find =
        |rows: &[Row]| rows.iter().find(|r| &*r.quantity == "snr/noise_scale_curvature").cloned().unwrap();
    let truth = find(&whole).value;
    let mut tally = Tally::default();
    for seed in 0..seeds {
        let random = &mut stream(seed, 0, "population");
        let drawn: Vec<Batch> = (0..32).map(|_| population[random.random_range(0..200)].clone()).collect();
        tally.add(&[find(&at(Batch::concatenate(&drawn), seed))], |_| truth);
    }
    tally.check(seeds);
}

#[test]
fn adaptive_rates_and_representations() {
    let (trained, (seeds, all)) = (Trained::new(), seeds(30));
    let mut tally = Tally::default();
    let batch = || trained.first(16);
    let value = |rows: &[Row], quantity: &str, scope: &str| {
        rows.iter().find(|r| &*r.quantity == quantity && &*r.scope == scope).and_then(|r| r.value)
    };
    let many = if all { "4000" } else { "400" };
    let resampled = |seed: u64, streams: &str| {
        measure(analysis("adam"), &trained.at(16, batch(), DType::F64, seed), &[("resample", streams)])
    };
    let rate = value(&resampled(1_000_000, many), "adam/var_psi", "all");
    let changes = |seed: u64, rows: &str| {
        measure(analysis("angular"), &trained.at(300, batch(), DType::F64, seed), &[("rrc-rows", rows)])
    };
    let whole = changes(0, "256");
    for seed in 0..seeds {
        tally.add(&resampled(seed, "20"), |row| rate.filter(|_| &*row.quantity == "adam/var_psi"));
        tally.add(&changes(seed, "32"), |row| match &*row.quantity {
            "update/rrc" => value(&whole, "update/rrc", &row.scope),
            _ => None,
        });
    }
    tally.check(seeds);
}

#[test]
fn validation_losses() {
    let (trained, (seeds, _)) = (Trained::new(), seeds(200));
    let gpt = trained.at(300, trained.first(1), DType::F64, 0).gpt().unwrap().clone();
    let all = gpt.sequence_losses(&trained.all(), 100).unwrap();
    let truth = sum(all.iter().copied()) / all.len() as f64;
    let mut tally = Tally::default();
    for seed in 0..seeds {
        let losses = gpt.sequence_losses(&trained.drawn(16, seed), 16).unwrap();
        let (loss, half_width) = interval::of_mean(&losses).unwrap();
        tally.add(&[Row::new("train/val_loss", loss).uncertainty(half_width)], |_| Some(truth));
    }
    tally.check(seeds);
}
