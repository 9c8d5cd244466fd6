//! Reports as JSON and CSV, for other programs: full precision, the same columns as the Parquet.

use serde_json::{Map, Value, json};

use super::Report;
use crate::base::error::{Error, Result};
use crate::base::row::Row;

/// The columns in order, with their meaning.
pub const COLUMNS: [(&str, &str); 16] = [
    ("run", "name of the run"),
    ("analysis", "the analysis that measured it"),
    ("batch", "first 8 hex digits of the hash of the batch it was measured on; null where no batch enters"),
    ("step", "updates applied"),
    ("quantity", "slash name, below"),
    ("scope", "`all`, a parameter's name, or a block's name"),
    ("layer", "transformer block from 0, where that applies"),
    ("head", "attention head from 0, where that applies"),
    ("index", "place in an ordered list from 1; eigenvalue 1 is the largest, or the most negative"),
    ("probe", "random probe from 0, where that applies"),
    ("parameter", "the quantile level, the damping, whatever the quantity's definition takes"),
    ("value", "the number; null only when the status is nonfinite"),
    (
        "uncertainty",
        "of the computation: residual, or half-width of a 68% interval over probes or samples; unit of the value",
    ),
    ("sampling_error", "one standard error over batches; unit of the value"),
    ("n", "sample size: products, probes, sequences or coordinates"),
    ("status", "ok, unconverged, unresolved (the data cannot tell), nonfinite"),
];

fn cells(row: &Row) -> [Value; 16] {
    [
        json!(&*row.run),
        json!(&*row.analysis),
        json!(row.batch.as_deref()),
        json!(row.step),
        json!(&*row.quantity),
        json!(&*row.scope),
        json!(row.layer),
        json!(row.head),
        json!(row.index),
        json!(row.probe),
        json!(row.parameter),
        json!(row.value),
        json!(row.uncertainty),
        json!(row.sampling_error),
        json!(row.n),
        json!(row.status.as_str()),
    ]
}

/// `{"meta": {...}, "rows": [...]}`.
pub fn to_json(report: &Report) -> String {
    let rows: Vec<Value> = report
        .rows
        .iter()
        .map(|row| {
            let pairs = COLUMNS.iter().map(|(name, _)| name.to_string()).zip(cells(row));
            Value::Object(pairs.collect::<Map<_, _>>())
        })
        .collect();
    format!("{:#}\n", json!({"meta": report.meta, "rows": rows}))
}

/// A header and one line per row; nulls are empty.
///
/// # Errors
/// Never in practice: the text is built in memory.
pub fn to_csv(report: &Report) -> Result<String> {
    let failed = |e: &dyn std::fmt::Display| Error::usage(format!("the rows cannot be written as CSV: {e}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS.map(|(name, _)| name)).map_err(|e| failed(&e))?;
    for row in &report.rows {
        let cells = cells(row).map(|cell| match cell {
            Value::Null => String::new(),
            Value::String(text) => text,
            other => other.to_string(),
        });
        writer.write_record(cells).map_err(|e| failed(&e))?;
    }
    let bytes = writer.into_inner().map_err(|e| failed(&e))?;
    String::from_utf8(bytes).map_err(|e| failed(&e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::row::Origin;

    #[test]
    fn json_and_csv_carry_every_column() {
        let origin = Origin::new("a,b", "hessian", "0a1b2c3d", 3);
        let rows = vec![Row::new("hessian/lambda", 1.5).index(1).uncertainty(0.25).stamp(&origin)];
        let report = Report { meta: [("warmlab.seed".to_string(), "1".to_string())].into(), rows };
        let value: Value = serde_json::from_str(&to_json(&report)).expect("valid");
        assert_eq!(value["meta"]["warmlab.seed"], "1");
        assert_eq!(value["rows"][0]["value"], 1.5);
        assert!(value["rows"][0]["layer"].is_null());
        assert_eq!(value["rows"][0].as_object().expect("an object").len(), COLUMNS.len());
        let csv = to_csv(&report).expect("valid");
        assert_eq!(
            csv.lines().nth(1),
            Some("\"a,b\",hessian,0a1b2c3d,3,hessian/lambda,all,,,1,,,1.5,0.25,,,ok")
        );
    }
}
