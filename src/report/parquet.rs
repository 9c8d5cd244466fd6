//! Reports as Parquet: zstd, one schema, everything needed to repeat them in the key-value metadata.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use polars::io::parquet::write::KeyValueMetadata;
use polars::prelude::*;

use super::{Report, promises, statuses};
use crate::base::error::{Error, IoContext, Result};
use crate::base::row::{Row, Status};
use crate::base::{files, guard};

/// Writes the report whole or not at all.
///
/// # Errors
/// Where the folder cannot be written.
pub fn write_parquet(path: &Path, report: &Report) -> Result<()> {
    let mut frame = frame(&report.rows).map_err(|e| Error::file(path, format!("cannot be written: {e}")))?;
    let meta = report.meta.iter().map(|(k, v)| (k.clone(), v.clone()));
    let meta = meta.chain(statuses::notes(&report.rows)).collect();
    // encoded in memory first: one thread and one row group, so that equal rows give equal bytes
    let mut bytes = Cursor::new(Vec::new());
    ParquetWriter::new(&mut bytes)
        .with_compression(ParquetCompression::Zstd(None))
        .set_parallel(false)
        .with_row_group_size(Some(report.rows.len().max(1)))
        .with_key_value_metadata(Some(KeyValueMetadata::from_static(meta)))
        .finish(&mut frame)
        .map_err(|e| Error::file(path, format!("cannot be written: {e}")))?;
    files::write_bytes(path, bytes.get_ref())
}

fn frame(rows: &[Row]) -> PolarsResult<DataFrame> {
    let text = |name: &str, value: &dyn Fn(&Row) -> &str| -> Column {
        Series::new(name.into(), rows.iter().map(value).collect::<Vec<&str>>()).into()
    };
    let maybe = |name: &str, value: &dyn Fn(&Row) -> Option<&str>| -> Column {
        Series::new(name.into(), rows.iter().map(value).collect::<Vec<Option<&str>>>()).into()
    };
    let whole = |name: &str, value: &dyn Fn(&Row) -> Option<i64>| -> Column {
        Series::new(name.into(), rows.iter().map(value).collect::<Vec<Option<i64>>>()).into()
    };
    let real = |name: &str, value: &dyn Fn(&Row) -> Option<f64>| -> Column {
        Series::new(name.into(), rows.iter().map(value).collect::<Vec<Option<f64>>>()).into()
    };
    DataFrame::new(
        rows.len(),
        vec![
            text("run", &|r| &r.run),
            text("analysis", &|r| &r.analysis),
            maybe("batch", &|r| r.batch.as_deref()),
            whole("step", &|r| Some(r.step as i64)),
            text("quantity", &|r| &r.quantity),
            text("scope", &|r| &r.scope),
            whole("layer", &|r| r.layer.map(i64::from)),
            whole("head", &|r| r.head.map(i64::from)),
            whole("index", &|r| r.index.map(i64::from)),
            whole("probe", &|r| r.probe.map(i64::from)),
            real("parameter", &|r| r.parameter),
            real("value", &|r| r.value),
            real("uncertainty", &|r| r.uncertainty),
            real("sampling_error", &|r| r.sampling_error),
            whole("n", &|r| r.n.map(|n| n as i64)),
            text("status", &|r| r.status.as_str()),
        ],
    )
}

/// Reads the `warmlab.*` keys of a report, of any version.
///
/// # Errors
/// [`Error::File`] where the file is no Parquet.
pub fn read_metadata(path: &Path) -> Result<BTreeMap<String, String>> {
    let bytes = fs::read(path).at("read", path)?;
    promises::check(&bytes).map_err(|problem| Error::file(path, problem))?;
    guard::reading(path, || metadata(&mut open(&bytes), path))
}

type Reader<'a> = ParquetReader<Cursor<&'a [u8]>>;

/// On this thread alone: a panic on it is caught.
fn open(bytes: &[u8]) -> Reader<'_> {
    ParquetReader::new(Cursor::new(bytes)).read_parallel(ParallelStrategy::None)
}

fn unreadable(path: &Path, e: &PolarsError) -> Error {
    Error::file(path, format!("is not a readable Parquet file: {e}"))
}

fn metadata(reader: &mut Reader, path: &Path) -> Result<BTreeMap<String, String>> {
    let all = reader.get_metadata().map_err(|e| unreadable(path, &e))?.key_value_metadata().iter().flatten();
    let own = all.filter(|pair| pair.key.starts_with("warmlab."));
    Ok(own.map(|pair| (pair.key.clone(), pair.value.clone().unwrap_or_default())).collect())
}

/// Reads a report back.
///
/// # Errors
/// [`Error::File`] where the file is no Parquet, or not a report of this program.
pub fn read_parquet(path: &Path) -> Result<Report> {
    let bytes = fs::read(path).at("read", path)?;
    promises::check(&bytes).map_err(|problem| Error::file(path, problem))?;
    guard::reading(path, || read(path, &bytes))
}

/// Reads a file whose headers hold what they promise.
fn read(path: &Path, bytes: &[u8]) -> Result<Report> {
    let mut reader = open(bytes);
    let meta = metadata(&mut reader, path)?;
    let frame = reader.finish().map_err(|e| unreadable(path, &e))?;
    let rows = rows(&frame).map_err(|e| {
        Error::file_hint(
            path,
            format!("is a Parquet file but not a warmlab report: {e}"),
            "reports lie in reports/RUN/ANALYSIS/",
        )
    })?;
    let mut report = Report { meta, rows };
    statuses::recall(&mut report);
    Ok(report)
}

fn rows(frame: &DataFrame) -> PolarsResult<Vec<Row>> {
    let [run, analysis, batch, quantity, scope, status] =
        ["run", "analysis", "batch", "quantity", "scope", "status"]
            .map(|name| frame.column(name)?.str().cloned());
    let (run, analysis, batch) = (run?, analysis?, batch?);
    let (quantity, scope, status) = (quantity?, scope?, status?);
    let [step, layer, head, index, probe, n] =
        ["step", "layer", "head", "index", "probe", "n"].map(|name| frame.column(name)?.i64().cloned());
    let (step, layer, head, index, probe, n) = (step?, layer?, head?, index?, probe?, n?);
    let [parameter, value, uncertainty, sampling_error] =
        ["parameter", "value", "uncertainty", "sampling_error"]
            .map(|name| frame.column(name)?.f64().cloned());
    let (parameter, value, uncertainty, sampling_error) = (parameter?, value?, uncertainty?, sampling_error?);
    let small = i64::from(u32::MAX);
    for (column, largest) in
        [(&step, i64::MAX), (&layer, small), (&head, small), (&index, small), (&probe, small), (&n, i64::MAX)]
    {
        let outside = column.iter().flatten().find(|number| !(0..=largest).contains(number));
        if let Some(number) = outside {
            let name = column.name();
            return Err(PolarsError::ComputeError(format!("column {name} holds {number}").into()));
        }
    }
    // a report says few different things many times
    let mut said: BTreeSet<Arc<str>> = BTreeSet::new();
    let mut shared = |text: &str| -> Arc<str> {
        if let Some(known) = said.get(text) {
            return known.clone();
        }
        let new: Arc<str> = text.into();
        said.insert(new.clone());
        new
    };
    Ok((0..frame.height())
        .map(|i| Row {
            run: shared(run.get(i).unwrap_or_default()),
            analysis: shared(analysis.get(i).unwrap_or_default()),
            batch: batch.get(i).map(&mut shared),
            step: step.get(i).unwrap_or(0) as u64,
            quantity: shared(quantity.get(i).unwrap_or_default()),
            scope: shared(scope.get(i).unwrap_or_default()),
            layer: layer.get(i).map(|x| x as u32),
            head: head.get(i).map(|x| x as u32),
            index: index.get(i).map(|x| x as u32),
            probe: probe.get(i).map(|x| x as u32),
            parameter: parameter.get(i),
            value: value.get(i),
            uncertainty: uncertainty.get(i),
            sampling_error: sampling_error.get(i),
            n: n.get(i).map(|x| x as u64),
            status: match status.get(i) {
                Some("ok") => Status::Ok,
                Some("unconverged") => Status::Unconverged,
                Some("nonfinite") => Status::Nonfinite,
                _ => Status::Unresolved,
            },
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::row::Origin;

    pub fn example() -> Report {
        let origin = Origin::new("warm", "hessian", "0a1b2c3d", 500);
        let rows = vec![
            Row::new("hessian/lambda", 50.867).index(1).uncertainty(1e-3).n(42).stamp(&origin),
            Row::new("hessian/lambda", f64::NAN).index(2).without_batch().stamp(&origin),
            Row {
                layer: Some(3),
                head: Some(1),
                probe: Some(0),
                ..Row::new("attention/entropy", 2.5).parameter(0.5)
            }
            .scope("transformer.h.3")
            .status(Status::Unresolved)
            .stamp(&origin),
            Row::new("hessian/lambda", 2.0).index(3).status(Status::Incomplete).stamp(&origin),
            Row::new("sharpness/threshold", f64::INFINITY).undefined().stamp(&origin),
        ];
        Report { meta: [("warmlab.seed".to_string(), "7".to_string())].into(), rows }
    }

    #[test]
    fn rows_and_metadata_survive_and_bytes_repeat() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (a, b) = (folder.path().join("a.parquet"), folder.path().join("b.parquet"));
        write_parquet(&a, &example()).expect("written");
        write_parquet(&b, &example()).expect("written");
        assert_eq!(read_parquet(&a).expect("read"), example());
        assert_eq!(std::fs::read(&a).expect("read"), std::fs::read(&b).expect("read"));
    }

    #[test]
    fn numbers_that_count_are_not_negative() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a.parquet");
        let mut report = example();
        report.rows[0].step = u64::MAX;
        write_parquet(&path, &report).expect("written");
        let error = read_parquet(&path).expect_err("step -1").to_string();
        assert!(error.contains("step holds -1"), "{error}");
    }

    #[test]
    fn other_files_are_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("x.parquet");
        for bytes in [&b"not parquet at all"[..], b"PAR1"] {
            std::fs::write(&path, bytes).expect("written");
            assert!(read_parquet(&path).is_err());
        }
    }
}
