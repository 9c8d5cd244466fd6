//! steps.jsonl as series: every number that its lines have.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::base::error::Result;
use crate::base::files::read_lines;
use crate::run::own::layout::LOG_FILE;
use crate::run::series::Series;

/// An update, with whatever is known of it.
#[derive(Deserialize)]
struct Line {
    step: u64,
    #[serde(flatten)]
    fields: BTreeMap<String, Value>,
}

/// The longest line that is looked at to tell a log.
const LONGEST: u64 = 1 << 16;

/// Of a run's folder, or of its log alone.
pub fn read(path: &Path) -> Option<Result<Vec<Series>>> {
    let log = if path.is_dir() { path.join(LOG_FILE) } else { path.into() };
    is_log(&log).then(|| read_lines(&log)?.whole().map(series))
}

/// Whether the first line is that of an update.
fn is_log(path: &Path) -> bool {
    let mut first = Vec::new();
    let read = File::open(path).map(|file| BufReader::new(file.take(LONGEST)).read_until(b'\n', &mut first));
    let line = || serde_json::from_slice::<Line>(&first).ok();
    read.is_ok_and(|read| read.is_ok()) && line().is_some_and(|line| line.fields.contains_key("loss"))
}

fn series(lines: Vec<Line>) -> Vec<Series> {
    let mut found: BTreeMap<String, Vec<(u64, f64)>> = BTreeMap::new();
    for Line { step, fields } in lines {
        for (name, value) in fields {
            if let Some(number) = value.as_f64() {
                found.entry(name).or_default().push((step, number));
            }
        }
    }
    found.into_iter().map(|(name, points)| Series { name, points }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_alone_is_a_run_of_series() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let log = folder.path().join(LOG_FILE);
        assert!(read(folder.path()).is_none());
        let lines =
            "{\"step\":1,\"loss\":3.5,\"clipped\":false}\n{\"step\":2,\"loss\":3.25,\"val_loss\":3.0}\n";
        std::fs::write(&log, format!("{lines}{{\"step\":3,\"lo")).expect("writable");
        let series = |name: &str, points: &[(u64, f64)]| Series { name: name.into(), points: points.into() };
        let expected = [series("loss", &[(1, 3.5), (2, 3.25)]), series("val_loss", &[(2, 3.0)])];
        for path in [folder.path(), &*log] {
            assert_eq!(read(path).expect("a log").expect("readable"), expected);
        }
        std::fs::write(&log, "iter 1: loss 3.5\n").expect("writable");
        assert!(read(&log).is_none());
    }
}
