//! kill -9 at random moments, with and without a power loss after it: what is finished stays as it was, and what is
//! resumed ends with the bytes of what was never cut.
//!
//! `WARMLAB_KILLS` is the number of kills; `make test` takes a few.

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rand::RngExt;
use warmlab::base::random::{Random, stream};

/// What is killed: a shell script that, run again, goes on with what it finds.
struct Scene {
    name: &'static str,
    script: &'static str,
}

const TINY: &str = "--n-layer 1 --n-head 2 --n-embd 8 --block-size 8 --batch-size 2 --warmup 4";

/// A tracked run.
const TRAINING: Scene = Scene {
    name: "training",
    script: "if [ -f runs/r/run.toml ]; then $W train --resume runs/r; else $W train --name r $TINY \
             --steps 24 --eval-every 10 --save-every 7 --save-growth 1.7 --save-at 10 \
             --track adam:every=2,angular:rrc-every=5,hessian:every=4; fi",
};

/// Several short runs, each measured when it is through, as a study does it.
const STUDY: Scene = Scene {
    name: "study",
    script: "for rate in 1e-3 3e-3; do\n\
             if [ -f runs/lr-$rate/run.toml ]; then $W train --resume runs/lr-$rate; else $W train --name lr-$rate $TINY \
             --steps 6 --eval-every 0 --save-early 0 --save-every 3 --learning-rate $rate --track adam; fi || exit 1\n\
             $W hessian --run runs/lr-$rate --resume --top 1 --bottom 0 --allow-unconverged || exit 1\n\
             done",
};

/// Analyses of a run that is there.
const ANALYSES: Scene = Scene {
    name: "analyses",
    script: "[ -f runs/r/checkpoints/step_9/state.json ] || exit 1\n\
             $W hessian --run runs/r --resume --top 2 --bottom 0 --operator hessian --operator preconditioned \
             --allow-unconverged --steps 1,3,9 && $W attention --run runs/r --resume",
};

impl Scene {
    /// Starts the script in `folder`, as the leader of a group that is killed as one.
    fn start(&self, folder: &Path) -> Child {
        let script =
            format!("exec 2>>said\nTINY='{TINY}'\nW='{} '\n{}", env!("CARGO_BIN_EXE_warmlab"), self.script);
        let mut command = Command::new("sh");
        command.arg("-c").arg(script).current_dir(folder).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// The script to its end.
    fn finish(&self, folder: &Path) {
        let status = self.start(folder).wait().unwrap();
        let said = fs::read_to_string(folder.join("said")).unwrap_or_default();
        assert!(status.success(), "{}: {status}\n{said}", self.name);
        assert!(!said.contains("differs from what an earlier process wrote"), "{}: {said}", self.name);
    }

    /// Makes `folder` what the script begins with.
    fn prepare(&self, folder: &Path) {
        fs::create_dir_all(folder).unwrap();
        if self.name == "analyses" {
            let train =
                format!("{} train --name r {TINY} --steps 9 --save-at 3", env!("CARGO_BIN_EXE_warmlab"));
            let output = Command::new("sh").arg("-c").arg(train).current_dir(folder).output().unwrap();
            assert!(output.status.success(), "{output:?}");
        }
    }
}

/// Every file that is part of the result, with its content.
fn results(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    fn walk(folder: &Path, root: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let relative = path.strip_prefix(root).unwrap().to_path_buf();
            // commands and timings differ by nature
            if path.is_dir() && !path.ends_with(".commands") {
                walk(&path, root, found);
            } else if path.is_file() {
                found.push((relative, fs::read(&path).unwrap()));
            }
        }
    }
    let mut found = Vec::new();
    for part in ["runs", "reports"].map(|part| folder.join(part)).into_iter().filter(|part| part.is_dir()) {
        walk(&part, folder, &mut found);
    }
    found.sort();
    found
}

/// What a process has published stays: reports and checkpoints, not the files that are appended to, and not what is on
/// its way.
fn is_published(path: &Path) -> bool {
    let text = path.to_string_lossy();
    text.contains("/step_")
        && !path.components().any(|part| part.as_os_str().to_string_lossy().starts_with('.'))
}

/// What the disk may hold after a power loss of files that were appended to since they were synced: any part of what
/// came after the last checkpoint, or zeros in its place.
fn lose_power(folder: &Path, random: &mut Random) {
    for (path, bytes) in results(folder) {
        let text = path.to_string_lossy().into_owned();
        let key = match text.rsplit('/').next().unwrap() {
            "steps.jsonl" => "\"step\":",
            ".journal.jsonl" => "\"update\":",
            _ => continue,
        };
        let run = text.split('/').nth(1).unwrap();
        let last =
            warmlab::run::checkpoints(&folder.join("runs").join(run)).unwrap().last().map_or(0, |(s, _)| *s);
        let synced: usize = bytes
            .split_inclusive(|byte| *byte == b'\n')
            .take_while(|line| {
                let line = String::from_utf8_lossy(line);
                let number = line.split(key).nth(1).unwrap_or_default();
                let number: String = number.chars().take_while(char::is_ascii_digit).collect();
                number.parse::<u64>().is_ok_and(|number| number <= last)
            })
            .map(<[u8]>::len)
            .sum();
        let kept = random.random_range(synced..=bytes.len());
        let mut left = bytes[..kept].to_vec();
        if random.random_range(0..2) == 0 {
            left.resize(bytes.len(), 0);
        }
        fs::File::create(folder.join(&path)).unwrap().write_all(&left).unwrap();
    }
}

fn kill(mut child: Child) {
    let group = child.id().to_string();
    let _ = Command::new("kill").args(["-9", "--", &format!("-{group}")]).stderr(Stdio::null()).status();
    child.wait().unwrap();
    // the others of the group die on their own time
    while alive(&group) {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// Whether a process of the group still runs; where there is no /proc, nobody can say.
fn alive(group: &str) -> bool {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok()).any(|stat| {
        // after the name: state, parent, group
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        fields.get(2) == Some(&group) && !["Z", "X"].contains(&fields[0])
    })
}

/// (kills, of them those that hit a process at work) of `count` cuts of a scene.
fn cut(scene: &Scene, count: usize, seed: u64) -> (usize, usize) {
    let whole = tempfile::tempdir().unwrap();
    scene.prepare(whole.path());
    let start = Instant::now();
    scene.finish(whole.path());
    let (time, expected) = (start.elapsed(), results(whole.path()));
    let random = &mut stream(seed, 0, scene.name);
    let (mut kills, mut hits) = (0, 0);
    while kills < count {
        let folder = tempfile::tempdir().unwrap();
        scene.prepare(folder.path());
        // a few kills on the way to one end
        for _ in 0..random.random_range(1..=3) {
            let mut child = scene.start(folder.path());
            std::thread::sleep(time.mul_f64(random.random_range(0.0..1.0)));
            hits += usize::from(child.try_wait().unwrap().is_none());
            kill(child);
            kills += 1;
            let published: Vec<_> =
                results(folder.path()).into_iter().filter(|(path, _)| is_published(path)).collect();
            for file in &published {
                assert!(expected.contains(file), "{}: {} is not whole", scene.name, file.0.display());
            }
            if random.random_range(0..2) == 0 {
                lose_power(folder.path(), random);
            }
        }
        scene.finish(folder.path());
        let found = results(folder.path());
        let names =
            |files: &[(PathBuf, Vec<u8>)]| files.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>();
        assert_eq!(names(&found), names(&expected), "{}", scene.name);
        for ((path, a), (_, b)) in found.iter().zip(&expected) {
            assert!(a == b, "{}: {} differs from the uncut run's", scene.name, path.display());
        }
    }
    (kills, hits)
}

#[test]
fn kill_9_anywhere_loses_nothing_that_was_complete() {
    let count = std::env::var("WARMLAB_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let seed = std::env::var("WARMLAB_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let start = Instant::now();
    for (scene, share) in [(TRAINING, 2), (STUDY, 4), (ANALYSES, 4)] {
        let (kills, hits) = cut(&scene, (count / share).max(1), seed);
        eprintln!("{}: {kills} kills, {hits} of a process at work, {:?} so far", scene.name, start.elapsed());
    }
}
