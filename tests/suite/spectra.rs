//! Random spectra against the solver: what it reports is there, in its place, and nothing is skipped beyond the
//! probability it states. The oracle is the prescribed spectrum. WARMLAB_SPECTRA says how many; `make test-all` tries
//! ten thousand.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use rand::RngExt;
use warmlab::base::error::Result;
use warmlab::base::observer::Silent;
use warmlab::base::random::{Random, stream};
use warmlab::base::values::{DType, Values};
use warmlab::base::vectors::Vectors;
use warmlab::linalg::completeness::{self, Look, look};
use warmlab::linalg::operator::Products;
use warmlab::linalg::{Completeness, LinearOperator, Request, Ritz, eigsh, panel, probes};

fn count() -> u64 {
    std::env::var("WARMLAB_SPECTRA").ok().and_then(|n| n.parse().ok()).unwrap_or(100)
}

/// Between two words on how far it is.
const QUIET: Duration = Duration::from_secs(20);

/// Says how far a long test is, now and then.
struct Progress {
    start: Instant,
    last: Instant,
}

impl Progress {
    fn new() -> Self {
        Progress { start: Instant::now(), last: Instant::now() }
    }

    fn say(&mut self, what: impl FnOnce() -> String) {
        if self.last.elapsed() >= QUIET {
            self.last = Instant::now();
            eprintln!("{:.0} s: {}", self.start.elapsed().as_secs_f64(), what());
        }
    }
}

/// H D H with D diagonal and H = I − 2uuᵀ: a full matrix whose products cost three passes.
struct Reflected {
    diagonal: Vec<f64>,
    u: Option<Vec<f64>>,
    dtype: DType,
}

impl Reflected {
    fn new(diagonal: Vec<f64>, dtype: DType, random: &mut Random) -> Self {
        let n = diagonal.len();
        let u = random.random_bool(0.5).then(|| probes::sphere(1, n, DType::F64, random).row(0));
        Reflected { diagonal, u, dtype }
    }

    fn reflect(&self, x: &mut [f64]) {
        if let Some(u) = &self.u {
            let overlap: f64 = 2.0 * u.iter().zip(x.iter()).map(|(u, x)| u * x).sum::<f64>();
            x.iter_mut().zip(u).for_each(|(x, u)| *x -= overlap * u);
        }
    }

    /// The eigenvectors of these eigenvalues, added up, and a little of everything.
    fn near(&self, places: &[usize], noise: f64, random: &mut Random) -> Vectors {
        let n = self.diagonal.len();
        let mut sum = vec![0.0; n];
        places.iter().for_each(|&i| sum[i] += 1.0);
        self.reflect(&mut sum);
        let other = probes::sphere(1, n, DType::F64, random).row(0);
        sum.iter_mut().zip(other).for_each(|(x, y)| *x += noise * y);
        Vectors::new(Values::F64(sum).cast(self.dtype), n)
    }
}

impl LinearOperator for Reflected {
    fn n(&self) -> usize {
        self.diagonal.len()
    }

    fn dtype(&self) -> DType {
        self.dtype
    }

    fn apply(&self, x: &Vectors) -> Result<Vectors> {
        let n = self.n();
        let mut out = Vectors::zeros(0, n, self.dtype);
        for i in 0..x.k() {
            let mut row = x.row(i);
            self.reflect(&mut row);
            row.iter_mut().zip(&self.diagonal).for_each(|(x, d)| *x *= d);
            self.reflect(&mut row);
            out.append(&Vectors::new(Values::F64(row).cast(self.dtype), n));
        }
        Ok(out)
    }
}

/// Kinds of spectra that make solvers skip, repeat, or run for ever.
const KINDS: u64 = 10;

fn spectrum(kind: u64, n: usize, random: &mut Random) -> Vec<f64> {
    let bulk = |random: &mut Random| random.random_range(-1.0..1.0);
    let mut values: Vec<f64> = match kind {
        // constant, two values, or nothing at all
        0 => {
            let pair = [0.0, 1.0, -1.0, 3.0];
            let (a, b) = (pair[random.random_range(0..4)], pair[random.random_range(0..4)]);
            (0..n).map(|i| if i.is_multiple_of(3) { a } else { b }).collect()
        }
        // singular: a few eigenvalues, the rest zero
        1 => {
            let rank = random.random_range(1..9);
            (0..n).map(|i| if i < rank { random.random_range(-2.0..5.0) } else { 0.0 }).collect()
        }
        // a steady decay
        2 => {
            let ratio: f64 = random.random_range(0.3..0.98);
            (0..n).map(|i| ratio.powi(i.min(2000) as i32)).collect()
        }
        // a bulk without outliers, dense at its edges
        3 => (0..n).map(|_| (std::f64::consts::PI * random.random_range(0.0..1.0)).cos()).collect(),
        // positive definite, far from zero
        4 => (0..n).map(|_| 5.0 + bulk(random)).collect(),
        _ => (0..n).map(|_| bulk(random)).collect(),
    };
    let outliers: Vec<f64> = match kind {
        5 => (0..8).map(|_| random.random_range(1.5..50.0)).collect(),
        // copies
        6 => {
            let (a, b): (f64, f64) = (random.random_range(1.2..12.0), random.random_range(1.2..12.0));
            let copies = random.random_range(2..6);
            std::iter::repeat_n(a, copies).chain([b, b * 0.9]).collect()
        }
        // clusters, and gaps down to rounding
        7 => {
            let gap = 10f64.powi(-random.random_range(1..14));
            (0..5).map(|i| 4.0 * (1.0 - gap * f64::from(i))).chain([3.0, 2.0]).collect()
        }
        // both ends
        8 => (0..4).flat_map(|_| [random.random_range(1.1..9.0), -random.random_range(1.1..9.0)]).collect(),
        // a double one above a bulk that is wide beside its gap: {12, 12, 10.5} over ±9
        9 => {
            let gap: f64 = random.random_range(0.02..0.4);
            vec![1.0 + 2.0 * gap, 1.0 + 2.0 * gap, 1.0 + gap]
        }
        _ => vec![],
    };
    let places = outliers.len().min(n);
    values[..places].copy_from_slice(&outliers[..places]);
    values
}

struct Case {
    operator: Reflected,
    request: Request,
    warm_start: Option<Vectors>,
    /// The spectrum, descending.
    truth: Vec<f64>,
}

/// A list of a million takes as long as a thousand others: the first is the 542nd.
fn is_of_a_million(seed: u64) -> bool {
    seed % 1000 == 542
}

fn case(seed: u64) -> Case {
    let random = &mut stream(seed, 0, "spectra");
    let n = match seed % 100 {
        42 if is_of_a_million(seed) => 1_000_000,
        7 | 42 => 100_000,
        1 | 13 | 29 | 38 | 51 | 63 => 10_000,
        i if i.is_multiple_of(9) => random.random_range(1..12),
        _ => random.random_range(12..1500),
    };
    let dtype = if random.random_bool(0.5) { DType::F32 } else { DType::F64 };
    let scale = [1e-15, 1.0, 1e15][random.random_range(0..3)];
    let kind = random.random_range(0..KINDS);
    let values = spectrum(kind, n, random).into_iter().map(|x| scale * x);
    // as the products see them
    let values: Vec<f64> = Values::F64(values.collect()).cast(dtype).to_f64();
    let operator = Reflected::new(values, dtype, random);
    let (top, bottom) = match random.random_range(0..20) {
        0 => (300, 1),
        1 => (0, random.random_range(1..4)),
        _ => (random.random_range(1..7), random.random_range(0..3)),
    };
    let small = n <= 10_000;
    let request = Request {
        top,
        bottom,
        tol: [1e-3, 1e-3, 1e-2, 1e-6][random.random_range(0..4)],
        max_matvecs: [300, 1, 6, 40, 300, 300, 300, 300, 300, 1000]
            [random.random_range(0..if n < 2000 { 10 } else { 9 })]
        // orthogonalisation takes their square
        .min(if is_of_a_million(seed) { 150 } else { 1000 }),
        completeness: true,
        max_basis: if small && random.random_bool(0.3) { 16.max(top.min(n) + bottom + 5) } else { 301 },
    };
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| operator.diagonal[j].total_cmp(&operator.diagonal[i]));
    let warm_start = match random.random_range(0..6) {
        // as a step of a run leaves it to the next, or what has nothing to do with it
        0 => Some(operator.near(&order[..top.min(3).min(n)], 0.1, random)),
        1 => Some(operator.near(&[order[n / 2]], 0.0, random)),
        _ => None,
    };
    let truth = order.iter().map(|&i| operator.diagonal[i]).collect();
    Case { operator, request, warm_start, truth }
}

/// What became of the lists.
#[derive(Debug, Default)]
struct Tally {
    lists: usize,
    /// Lists of which every pair is converged and the check was passed.
    settled: usize,
    /// Pairs reported as settled.
    pairs: usize,
    /// Those of them that are no eigenvalue, or one more copy than there is, and the lists they are in.
    ghosts: Vec<(u64, String)>,
    /// Lists that skip an eigenvalue no further beyond than they say they may.
    within: usize,
    /// Lists that skip one further beyond.
    beyond: Vec<u64>,
    slowest: (f64, u64),
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.lists += other.lists;
        self.settled += other.settled;
        self.pairs += other.pairs;
        self.ghosts.extend(other.ghosts);
        self.within += other.within;
        self.beyond.extend(other.beyond);
        if other.slowest.0 > self.slowest.0 {
            self.slowest = other.slowest;
        }
    }

    fn describe(&self) -> String {
        format!(
            "{} lists, {} of them settled, {} pairs, {} ghosts; an eigenvalue is skipped within the stated γ in {} \
             lists and beyond it in {}; the slowest took {:.0} s (seed {})",
            self.lists,
            self.settled,
            self.pairs,
            self.ghosts.len(),
            self.within,
            self.beyond.len(),
            self.slowest.0,
            self.slowest.1
        )
    }
}

/// Checks one end: `truth` from its end inwards, mirrored for the smallest; returns the γ of the worst eigenvalue
/// that is skipped.
fn check_end(seed: u64, pairs: &[Ritz], truth: &[f64], rounding: f64, tally: &mut Tally) -> Option<f64> {
    let settled: Vec<&Ritz> = pairs.iter().take_while(|pair| pair.converged).collect();
    assert!(pairs[settled.len()..].iter().all(|pair| !pair.converged), "{seed}: {pairs:?}");
    let mut worst: Option<f64> = None;
    for (i, pair) in settled.iter().enumerate() {
        let allowed = pair.residual + rounding;
        let nearest = truth.iter().map(|x| (x - pair.value).abs()).fold(f64::INFINITY, f64::min);
        if nearest > allowed {
            tally.ghosts.push((seed, format!("{pair:?} is no eigenvalue, {nearest:e} off")));
        }
        // the i-th largest of any orthonormal set is at most the i-th eigenvalue
        if pair.value > truth[i] + rounding {
            tally.ghosts.push((seed, format!("number {i}, {pair:?}, is above {:e}", truth[i])));
        }
        if pair.value < truth[i] - allowed {
            let last = settled[settled.len() - 1].value;
            let gamma = (truth[i] - last) / (last - truth[truth.len() - 1]);
            worst = Some(worst.unwrap_or(0.0).max(gamma));
        }
    }
    tally.pairs += settled.len();
    worst
}

fn mirrored(pairs: &[Ritz]) -> Vec<Ritz> {
    pairs.iter().map(|pair| Ritz { value: -pair.value, ..*pair }).collect()
}

fn check(seed: u64) -> Tally {
    let mut tally = Tally::default();
    let Case { operator, request, warm_start, truth } = case(seed);
    let started = Instant::now();
    let random = &mut stream(seed, 1, "spectra");
    let found = eigsh(&operator, &request, warm_start.as_ref(), random, &Silent)
        .unwrap_or_else(|e| panic!("seed {seed}: {e} {request:?} n = {}", truth.len()));
    let n = truth.len();
    tally.slowest = (started.elapsed().as_secs_f64(), seed);
    assert!(found.matvecs <= request.max_matvecs, "{seed}: {} of {request:?}", found.matvecs);
    let (top, bottom) = (request.top.min(n), request.bottom.min(n - request.top.min(n)));
    assert_eq!((found.top.len(), found.bottom.len()), (top, bottom), "{seed}");
    let size = truth[0].abs().max(truth[n - 1].abs());
    let rounding = 50.0 * operator.dtype.epsilon() * size;
    let all = || found.top.iter().chain(&found.bottom);
    assert!(all().all(|pair| pair.value.is_finite() && pair.residual.is_finite()), "{seed}: {found:?}");
    // vectors are orthonormal, and the residuals are theirs
    let gram = panel::gram(&found.vectors, &found.vectors);
    for ((i, j), x) in gram.indexed_iter() {
        let expected = f64::from(u8::from(i == j));
        assert!((x - expected).abs() < 1e3 * operator.dtype.epsilon(), "{seed}: {i} {j} {x}");
    }
    if found.vectors.k() == top + bottom {
        let mut again = operator.apply(&found.vectors).unwrap();
        let values = ndarray::Array1::from_iter(all().map(|pair| pair.value));
        panel::subtract(&mut again, &found.vectors, &ndarray::Array2::from_diag(&values));
        for (pair, again) in all().zip(panel::norms(&again)) {
            let difference = (pair.residual - again).abs();
            assert!(difference <= 0.05 * again + rounding, "{seed}: {pair:?} has {again:e}");
        }
    }
    tally.lists += 1;
    let gamma = match found.completeness {
        Completeness::Checked { products, gamma, .. } => {
            let asked = completeness::least(n).min(n - found.vectors.k());
            assert!(gamma == 0.0 || products >= asked, "{seed}: {products} of {asked}");
            gamma
        }
        Completeness::Whole => 0.0,
        Completeness::Unsettled => f64::INFINITY,
        // nothing is claimed
        Completeness::Missing | Completeness::Unmade { .. } => return tally,
        Completeness::Unasked => panic!("it was asked for"),
    };
    tally.settled += usize::from(found.settled());
    let smallest: Vec<f64> = truth.iter().rev().map(|x| -x).collect();
    let skipped = [
        check_end(seed, &found.top, &truth, rounding, &mut tally),
        check_end(seed, &mirrored(&found.bottom), &smallest, rounding, &mut tally),
    ];
    if let Some(skipped) = skipped.into_iter().flatten().reduce(f64::max) {
        if skipped > gamma { tally.beyond.push(seed) } else { tally.within += 1 }
    }
    tally
}

/// Every list on one processor. The first takes those of a million, of which two at a time would not fit into memory,
/// and all take the others.
fn check_all(seeds: impl Iterator<Item = u64>) -> Tally {
    let (large, small): (Vec<u64>, Vec<u64>) = seeds.partition(|seed| is_of_a_million(*seed));
    let (count, large, small) = (large.len() + small.len(), Mutex::new(large), Mutex::new(small));
    let shared = Mutex::new((Tally::default(), Progress::new()));
    let work = |first: bool| {
        let taken = |from: &Mutex<Vec<u64>>| from.lock().unwrap().pop();
        while let Some(seed) = first.then(|| taken(&large)).flatten().or_else(|| taken(&small)) {
            let one = check(seed);
            let (tally, progress) = &mut *shared.lock().unwrap();
            tally.add(one);
            progress.say(|| format!("of {count} spectra {}", tally.describe()));
        }
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for i in 0..processors {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
            let work = &work;
            scope.spawn(move || pool.install(|| work(i == 0)));
        }
    });
    shared.into_inner().unwrap().0
}

#[test]
fn random_spectra_have_no_ghosts_and_skip_nothing_beyond_what_is_said() {
    let from: u64 = std::env::var("WARMLAB_SPECTRA_FROM").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    let tally = check_all(from..from + count());
    eprintln!("{}", tally.describe());
    assert!(tally.ghosts.is_empty(), "{tally:?}");
    // what it says of one look is said of all lists, most of which have nothing there to be skipped
    assert!(tally.beyond.len() as f64 <= (0.01 * tally.settled as f64).max(1.0), "{tally:?}");
    assert!(tally.settled > tally.lists / 3, "{tally:?}");
}

/// A double eigenvalue above a bulk that is wide beside its gap: the second copy was missed in every case by eight
/// products.
#[test]
fn the_second_copy_is_not_skipped_in_a_million() {
    let n = 1_000_000;
    let mut diagonal: Vec<f64> = (0..n).map(|i| 18.0 * (i as f64 / (n - 1) as f64) - 9.0).collect();
    diagonal[..3].copy_from_slice(&[12.0, 12.0, 10.5]);
    let mut wrong = 0;
    let seeds = (count() / 500).max(1);
    let dtypes: &[DType] = if count() < 1000 { &[DType::F32] } else { &[DType::F64, DType::F32] };
    let mut progress = Progress::new();
    for seed in 0..seeds {
        progress.say(|| format!("{seed} of {seeds} seeds, {wrong} wrong"));
        for &dtype in dtypes {
            let operator = Reflected { diagonal: diagonal.clone(), u: None, dtype };
            let request = Request {
                top: 2,
                bottom: 0,
                tol: 1e-3,
                max_matvecs: 300,
                completeness: true,
                max_basis: 120,
            };
            let random = &mut stream(seed, 0, "million");
            let found = eigsh(&operator, &request, None, random, &Silent).unwrap();
            let Completeness::Checked { products, gamma, .. } = found.completeness else {
                panic!("{found:?}")
            };
            assert!(products >= 21 && gamma < 0.09, "{products} {gamma}");
            let right = found.top.iter().all(|pair| (pair.value - 12.0).abs() <= pair.residual + 1e-3);
            assert!(found.top.iter().all(|pair| pair.converged));
            wrong += u32::from(!right);
        }
    }
    assert!(f64::from(wrong) <= 0.02 * seeds as f64 + 1.0, "{wrong} of {seeds} seeds");
}

/// What the check says of itself: an eigenvalue just above the stated γ is seen in 99 of 100 looks, whatever the rest
/// of the spectrum.
#[test]
fn what_lies_beyond_the_stated_gap_is_seen_as_often_as_stated() {
    let looks = 3 * count();
    for (n, effort, dtype) in [(60, 8, DType::F64), (1000, 11, DType::F32), (1000, 25, DType::F64)] {
        let gamma = completeness::gamma(n, effort);
        let missed = 1.0 + 2.0 * gamma;
        // even, dense at both edges, all of it at the far end, or all of it at the near one
        let bulks: [(&str, fn(f64) -> f64); 4] = [
            ("even", |t| 2.0 * t - 1.0),
            ("edges", |t| (std::f64::consts::PI * t).cos()),
            ("far", |t| if t < 0.01 { 1.0 - 200.0 * t } else { -1.0 }),
            ("near", |t| if t < 0.01 { 200.0 * t - 1.0 } else { 1.0 }),
        ];
        for (name, bulk) in bulks {
            let mut diagonal: Vec<f64> = (0..n).map(|i| bulk(i as f64 / (n - 1) as f64)).collect();
            diagonal[n / 3] = missed;
            let operator = Reflected { diagonal, u: None, dtype };
            let unseen = (0..looks).filter(|&seed| {
                let random = &mut stream(seed, 0, "look");
                let (none, products) = (Vectors::zeros(0, n, dtype), Products::new(&operator));
                let bounds = (1.0 + 1e-5 * gamma, f64::NEG_INFINITY);
                let look = look(&products, &none, bounds, effort, random, &Silent).unwrap();
                matches!(look, Look::Nothing { .. })
            });
            let (unseen, expected) = (unseen.count(), 0.01 * looks as f64);
            let told = format!("{name} {dtype} n = {n}, {effort} products: {unseen} of {looks} unseen");
            eprintln!("{told}");
            assert!(unseen as f64 <= expected + 3.0 * expected.sqrt(), "{told}");
        }
    }
}
