//! Every reader of this program: a good file of its kind, and what is called with a bad one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use polars::prelude::{ParquetCompression, ParquetReader, ParquetWriter, SerReader};
use warmlab::analyses::ANALYSES;
use warmlab::architecture::GptConfig;
use warmlab::base::error::{Error, Result};
use warmlab::base::random;
use warmlab::base::row::{Origin, Row, Status};
use warmlab::base::settings::Settings;
use warmlab::base::values::DType;
use warmlab::data::{self, Batch, Corpus, Recipe, Split, sampling};
use warmlab::measure::{Measurement, Tracker};
use warmlab::optim::Optimizer;
use warmlab::snapshot::Snapshot;
use warmlab::snapshot::analysis::Training;
use warmlab::train::{Cadence, Position, StepLog, TrainConfig};
use warmlab::{operator, report, run};

/// A kind of file.
pub struct Reader {
    /// Its name, and the folder of its kept files.
    pub name: &'static str,
    /// Where the mutated file is put.
    pub file: &'static str,
    /// Prepares the folder around that file and gives good ones.
    pub seeds: fn(&Path) -> Vec<Vec<u8>>,
    /// Reads it as the program does, and uses what it got.
    pub read: fn(&Path) -> Result<()>,
}

/// Their names.
pub const READERS: [&str; 16] = [
    "pytorch",
    "meta_pickle",
    "model",
    "optimizer",
    "state_tensors",
    "batch",
    "config",
    "state",
    "meta",
    "tokens",
    "report",
    "steps",
    "journal",
    "run",
    "dataset",
    "words",
];

pub fn pytorch() -> Reader {
    Reader {
        name: "pytorch",
        file: "ckpt.pt",
        // made by corpus.py
        seeds: |_| ["zip.pt", "zip-protocol-4.pt", "legacy.pt", "half.pt"].map(corpus).into(),
        read: |folder| {
            let found = run::checkpoints(folder)?;
            assert!(found.len() <= 1);
            use_checkpoint(&folder.join("ckpt.pt"))
        },
    }
}

pub fn meta_pickle() -> Reader {
    Reader {
        name: "meta_pickle",
        file: "meta.pkl",
        seeds: |folder| {
            fs::write(folder.join("train.bin"), [0, 0, 1, 0, 2, 0]).unwrap();
            vec![corpus("meta.pkl")]
        },
        read: open_corpus,
    }
}

pub fn model() -> Reader {
    Reader {
        name: "model",
        file: "model.safetensors",
        seeds: |folder| vec![checkpoint(folder, "model.safetensors"), ours(folder, "model.safetensors")],
        read: use_checkpoint,
    }
}

pub fn optimizer() -> Reader {
    Reader {
        name: "optimizer",
        file: "optimizer.safetensors",
        seeds: |folder| vec![checkpoint(folder, "optimizer.safetensors")],
        read: use_checkpoint,
    }
}

pub fn config() -> Reader {
    Reader {
        name: "config",
        file: "config.json",
        seeds: |folder| vec![checkpoint(folder, "config.json")],
        read: use_checkpoint,
    }
}

pub fn state() -> Reader {
    Reader {
        name: "state",
        file: "state.json",
        seeds: |folder| vec![checkpoint(folder, "state.json")],
        read: use_checkpoint,
    }
}

pub fn batch() -> Reader {
    Reader {
        name: "batch",
        file: "batch.safetensors",
        seeds: |_| vec![fs::read(fixture("batch.safetensors")).unwrap()],
        read: |folder| {
            let batch = data::read_batch(&folder.join("batch.safetensors"))?;
            assert_eq!(batch.num_tokens(), batch.batch_size() * batch.seq());
            let _ = batch.sha256();
            batch.check_vocabulary(7, "batch.safetensors")
        },
    }
}

pub fn tokens() -> Reader {
    Reader {
        name: "tokens",
        file: "t.bin",
        seeds: |_| {
            let header = |magic: i32, count: i32| -> Vec<u8> {
                let words = [magic, 1, count].into_iter().chain([0; 253]);
                words.flat_map(i32::to_le_bytes).collect()
            };
            let short: Vec<u8> = (0..100u16).flat_map(u16::to_le_bytes).collect();
            let long: Vec<u8> = (0..100u32).flat_map(u32::to_le_bytes).collect();
            vec![
                [header(20240520, 100), short.clone()].concat(),
                [header(20240801, 100), long].concat(),
                short,
            ]
        },
        read: |folder| {
            let corpus = Corpus::open(&folder.join("t.bin").display().to_string(), &[folder.into()])?;
            let tokens = corpus.tokens(Split::Val);
            assert_eq!(tokens.read(0, tokens.len())?.len(), tokens.len());
            sampling::random(tokens, 3, 5, &mut random::stream(1, 0, "tokens"))?;
            let batch = sampling::sequential(tokens, 1, 2, 8)?;
            batch.check_vocabulary(100, "t.bin")
        },
    }
}

pub fn meta() -> Reader {
    Reader {
        name: "meta",
        file: "meta.json",
        seeds: |folder| {
            data::prepare(&"abcdefghij".repeat(10), data::Tokenizer::Char, 0.1, folder).unwrap();
            vec![fs::read(folder.join("meta.json")).unwrap()]
        },
        read: open_corpus,
    }
}

pub fn report() -> Reader {
    Reader {
        name: "report",
        file: "step_7.parquet",
        seeds: |folder| {
            let path = folder.join("step_7.parquet");
            let origin = Origin::new("warm", "hessian", "0a1b2c3d", 7);
            let status = |i: u32| if i.is_multiple_of(3) { Status::Unresolved } else { Status::Ok };
            let rows = |count: u32| -> Vec<Row> {
                let row = |i: u32| {
                    Row::new("hessian/lambda", f64::from(i) / 7.0).index(i as usize).status(status(i)).n(3)
                };
                (0..count).map(|i| row(i).scope("transformer.h.0").uncertainty(0.5).stamp(&origin)).collect()
            };
            let meta = BTreeMap::from([("warmlab.seed".to_string(), "7".to_string())]);
            let mut seeds = Vec::new();
            for count in [0, 3, 300] {
                let report = report::Report { meta: meta.clone(), rows: rows(count) };
                report::write_parquet(&path, &report).unwrap();
                seeds.push(fs::read(&path).unwrap());
                // a mutation reaches further behind the header where nothing is compressed
                let mut frame = ParquetReader::new(fs::File::open(&path).unwrap()).finish().unwrap();
                let mut bytes = Vec::new();
                ParquetWriter::new(&mut bytes)
                    .with_compression(ParquetCompression::Uncompressed)
                    .with_row_group_size(Some(100))
                    .finish(&mut frame)
                    .unwrap();
                seeds.push(bytes);
            }
            seeds
        },
        read: |folder| {
            let report = report::read_parquet(&folder.join("step_7.parquet"))?;
            let _ = (report::table(&report.rows, 80), report::to_json(&report), report::to_csv(&report));
            Ok(())
        },
    }
}

pub fn steps() -> Reader {
    Reader {
        name: "steps",
        file: "steps.jsonl",
        seeds: |_| vec![fs::read(trained().join("runs/r/steps.jsonl")).unwrap()],
        read: |folder| {
            let path = folder.join("steps.jsonl");
            StepLog::read(&path)?;
            StepLog::open(&path, 3).map(drop)
        },
    }
}

pub fn run() -> Reader {
    Reader {
        name: "run",
        file: "run.toml",
        seeds: |_| vec![fs::read(trained().join("runs/r/run.toml")).unwrap()],
        read: |folder| {
            let config = TrainConfig::read(&folder.join("run.toml"))?;
            config.validate()?;
            assert!([1, 2, config.steps].iter().all(|step| !config.schedule.lr(*step).is_nan()));
            let _ = config.checkpoints.steps(config.steps);
            Ok(())
        },
    }
}

pub fn state_tensors() -> Reader {
    Reader {
        name: "state_tensors",
        file: "hessian/.state_3.safetensors",
        seeds: |folder| {
            fs::create_dir(folder.join("hessian")).unwrap();
            let found = find(trained(), ".state_3.safetensors");
            vec![fs::read(found.expect("the tracker of curvature keeps its state")).unwrap()]
        },
        read: |folder| follow(folder, "hessian"),
    }
}

pub fn journal() -> Reader {
    Reader {
        name: "journal",
        file: "adam/.journal.jsonl",
        seeds: |folder| {
            fs::create_dir(folder.join("adam")).unwrap();
            vec![cut_journal()]
        },
        read: |folder| follow(folder, "adam"),
    }
}

pub fn dataset() -> Reader {
    Reader {
        name: "dataset",
        file: "dataset.toml",
        seeds: |_| {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets");
            ["moby-dick", "sotu"].map(|name| fs::read(folder.join(name).join("dataset.toml")).unwrap()).into()
        },
        read: |folder| {
            let text = text(&folder.join("dataset.toml"))?;
            toml::from_str::<Recipe>(&text).map(drop).map_err(|e| Error::usage(e.message()))
        },
    }
}

/// What stands on the command line.
pub fn words() -> Reader {
    Reader {
        name: "words",
        file: "words.txt",
        seeds: |_| {
            let words =
                ["step_500", "ckpt_500.pt", "runs/first", "f64", "transformer.h.0.attn.c_attn.weight[q]"];
            let more = ["(c_attn|mlp).*weight", "^wte$", "blocks", "heads", "gpt2", "[^x]{2,3}"];
            [&words[..], &more].concat().into_iter().map(|word| word.as_bytes().to_vec()).collect()
        },
        read: |folder| {
            let words = text(&folder.join("words.txt"))?;
            let answers = [
                run::find(&words, None, folder).map(drop),
                operator::scopes(&words, &tiny()).map(drop),
                words.parse::<DType>().map(drop),
                words.parse::<data::Tokenizer>().map(drop),
                Corpus::open(&words, &[folder.into()]).map(drop),
            ];
            // none is good for all of them; a bad one gets a sentence
            answers.into_iter().try_for_each(|answer| {
                answer.or_else(|error| crate::one_sentence(&error).map_err(Error::usage))
            })
        },
    }
}

fn text(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|e| Error::file(path, e.to_string()))
}

/// A kept file, by the folder its name stands for.
fn corpus(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mutations/corpus");
    let kind = if name == "meta.pkl" { "meta_pickle" } else { "pytorch" };
    fs::read(folder.join(kind).join(name)).unwrap()
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiny-bias").join(name)
}

fn tiny() -> GptConfig {
    serde_json::from_slice(&fs::read(fixture("config.json")).unwrap()).unwrap()
}

/// Copies a checkpoint folder that PyTorch made, without checksums, and gives one of its files.
fn checkpoint(folder: &Path, file: &str) -> Vec<u8> {
    for name in ["config.json", "model.safetensors", "optimizer.safetensors", "state.json"] {
        fs::copy(fixture(name), folder.join(name)).unwrap();
    }
    fs::read(folder.join(file)).unwrap()
}

/// The same file as this program writes it, with a checksum.
fn ours(folder: &Path, file: &str) -> Vec<u8> {
    let checkpoint = run::open(folder, DType::F64).unwrap();
    let copy = tempfile::tempdir().unwrap();
    let copy = copy.path().join("step_7");
    run::write_native(&copy, &checkpoint).unwrap();
    fs::read(copy.join(file)).unwrap()
}

/// Opens a checkpoint in both precisions and measures what takes no product: whatever was let in is used.
fn use_checkpoint(path: &Path) -> Result<()> {
    run::open(path, DType::F32)?;
    let checkpoint = run::open(path, DType::F64)?;
    assert!(checkpoint.parameters.first_nonfinite().is_none());
    let batch = Batch::new(vec![0, 1], vec![1, 0], 2);
    let settings = Settings {
        dtype: DType::F64,
        device: Default::default(),
        micro_batch: Some(1),
        memory: 1 << 26,
        seed: 0,
    };
    let snapshot = Snapshot::new(checkpoint, batch, settings);
    for name in ["adam", "angular"] {
        let analysis = ANALYSES.iter().find(|a| a.name() == name).unwrap();
        // what cannot be measured is an error, and the checkpoint is read all the same
        let _ = analysis.run(
            &snapshot,
            &analysis.options().defaults().unwrap(),
            &warmlab::base::observer::Silent,
        );
    }
    Ok(())
}

fn open_corpus(folder: &Path) -> Result<()> {
    Corpus::open(&folder.display().to_string(), &[folder.into()]).map(drop)
}

/// Opens what a tracker of a run left, as a resumed run does.
fn follow(folder: &Path, name: &str) -> Result<()> {
    let config: GptConfig = serde_json::from_str(MODEL).unwrap();
    let analysis = *ANALYSES.iter().find(|a| a.name() == name).unwrap();
    let probe = Batch::new(vec![0; 8], vec![1; 8], 8);
    let settings = Settings {
        dtype: DType::F32,
        device: Default::default(),
        micro_batch: Some(1),
        memory: 1 << 26,
        seed: 0,
    };
    let options = analysis.options().defaults().unwrap();
    let optimizer = Optimizer::parse("adamw", None).unwrap();
    let session = analysis.begin(
        &options,
        Some(&Training { config: &config, optimizer: &optimizer, probe: &probe, settings: &settings }),
    )?;
    let cadence = Cadence { early: 0, every: 1, at: vec![] };
    let measurement = Measurement { analysis, session, cadence, meta: BTreeMap::new() };
    let position = Position { step: 3, since: 1 };
    // opening turns what it finds into reports: each file gets a folder of its own
    let run = tempfile::tempdir_in(folder).unwrap();
    fs::create_dir(run.path().join(name)).unwrap();
    for entry in fs::read_dir(folder.join(name)).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, run.path().join(name).join(path.file_name().unwrap())).unwrap();
    }
    Tracker::open(run.path(), position, BTreeMap::new(), vec![measurement]).map(drop)
}

/// The model of [`train`].
const MODEL: &str =
    r#"{"n_layer": 1, "n_head": 2, "n_embd": 8, "block_size": 8, "vocab_size": 27, "bias": false}"#;

/// `warmlab train` of a model of a few hundred parameters, three steps unless `more` says otherwise.
fn train(folder: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_warmlab"));
    let model = "--n-layer 1 --n-head 2 --n-embd 8 --block-size 8 --batch-size 2";
    command.args(["train", "--name", "r", "--eval-every", "0", "--warmup", "2", "--quiet"]);
    command.args(model.split(' ')).args(more).current_dir(folder);
    command.stdout(Stdio::null());
    command
}

/// A folder with a run of three steps and its tracked curvature; it lives as long as the process.
fn trained() -> &'static Path {
    use std::sync::OnceLock;
    static RUN: OnceLock<tempfile::TempDir> = OnceLock::new();
    RUN.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        assert!(train(folder.path(), &["--steps", "3", "--track", "hessian"]).status().unwrap().success());
        folder
    })
    .path()
}

/// The journal of a run that was killed before its first checkpoint.
fn cut_journal() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let more = ["--steps", "1000000", "--save-every", "0", "--track", "adam"];
    let mut child = train(folder.path(), &more).spawn().unwrap();
    let whole = |text: &[u8]| text.iter().filter(|byte| **byte == b'\n').count();
    let mut journal = Vec::new();
    for _ in 0..1000 {
        std::thread::sleep(Duration::from_millis(20));
        let path = find(folder.path(), ".journal.jsonl");
        journal = path.and_then(|path| fs::read(path).ok()).unwrap_or_default();
        if whole(&journal) > 4 {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(whole(&journal) > 4, "the journal does not grow");
    journal.split_inclusive(|byte| *byte == b'\n').take(4).collect::<Vec<_>>().concat()
}

/// The file of that name below `folder`.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let entries: Vec<PathBuf> = fs::read_dir(folder).ok()?.map(|entry| entry.unwrap().path()).collect();
    let here = entries.iter().find(|path| path.file_name().is_some_and(|n| n == name)).cloned();
    here.or_else(|| entries.iter().filter(|path| path.is_dir()).find_map(|path| find(path, name)))
}
