//! What the headers of a Parquet file promise, compared with the file: before its reader takes memory for it.
//!
//! The footer lists row groups, those list columns, and a column is a run of pages, each with a header of its own
//! that says how many values it holds and how large it is unpacked. Reference: Apache Parquet, parquet.thrift.

use super::thrift::{Compact, LIST, STRUCT};

const MAGIC: &[u8; 4] = b"PAR1";
/// Rows that a report may have however little they take: columns that never change take next to nothing.
const ROWS: u64 = 200_000;
/// Bytes a row takes at least in a report of more rows: its value.
const BYTES_PER_ROW: u64 = 8;
/// Bytes a file may unpack to however small it is, and per byte of the file.
const UNPACKED: u64 = 8 << 20;
const RATIO: u64 = 255;
/// The Arrow schema of sixteen columns takes two thousand.
const ARROW_SCHEMA: usize = 16 << 10;
/// plain, plain dictionary, runs, dictionary: what reports are written in.
const ENCODINGS: [i64; 4] = [0, 2, 3, 8];

/// Checks a whole file.
///
/// # Errors
/// What it promises and does not hold, a phrase that follows its name.
pub fn check(bytes: &[u8]) -> Result<(), String> {
    let len = bytes.len();
    if len < 12 || &bytes[..4] != MAGIC || &bytes[len - 4..] != MAGIC {
        return Err("is no Parquet file, or is cut off".into());
    }
    let size = u32::from_le_bytes([bytes[len - 8], bytes[len - 7], bytes[len - 6], bytes[len - 5]]) as usize;
    let Some(start) = (len - 8).checked_sub(size).filter(|start| *start >= 4) else {
        return Err(format!("promises a footer of {size} bytes and has {len} in all"));
    };
    let damaged = "has a damaged Parquet footer";
    let footer = Footer::read(&bytes[start..len - 8]).ok_or(damaged)?;
    let mut unpacked = 0;
    for chunk in &footer.chunks {
        unpacked += chunk.walk(&bytes[..start])?;
    }
    if footer.groups != Some(footer.rows) {
        return Err(damaged.into());
    }
    let rows = u64::try_from(footer.rows).map_err(|_| damaged)?;
    if rows > ROWS.max(unpacked / BYTES_PER_ROW) {
        return Err(format!("promises {rows} rows, more than {unpacked} unpacked bytes can hold"));
    }
    if unpacked > UNPACKED + RATIO * len as u64 {
        return Err(format!("promises {unpacked} unpacked bytes, more than {len} bytes are packed from"));
    }
    Ok(())
}

/// A column in a row group.
#[derive(Default)]
struct Chunk {
    codec: i64,
    values: i64,
    packed: i64,
    data: Option<i64>,
    dictionary: Option<i64>,
}

struct Footer {
    rows: i64,
    /// Rows of all groups together.
    groups: Option<i64>,
    chunks: Vec<Chunk>,
}

impl Footer {
    /// FileMetaData; `None` where it is damaged, or describes columns inside columns.
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut footer = Footer { rows: -1, groups: Some(0), chunks: Vec::new() };
        let mut columns = None;
        Compact::new(bytes).fields(|at, id, kind| match (id, kind) {
            (2, LIST) => {
                columns = Some(schema(at)?);
                Some(())
            }
            (3, _) => {
                footer.rows = at.integer()?;
                Some(())
            }
            (4, LIST) => structures(at, |at, _| {
                let rows = row_group(at, columns?, &mut footer.chunks)?;
                footer.groups = footer.groups.and_then(|sum| sum.checked_add(rows));
                Some(())
            }),
            (5, LIST) => structures(at, |at, _| key_value(at)),
            _ => at.skip(kind),
        })?;
        Some(footer)
    }
}

/// Calls `each` at every element of a list of structures, with its position.
fn structures<'a>(
    at: &mut Compact<'a>,
    mut each: impl FnMut(&mut Compact<'a>, usize) -> Option<()>,
) -> Option<()> {
    let (kind, len) = at.list()?;
    (len == 0 || kind == STRUCT).then_some(())?;
    (0..len).try_for_each(|i| each(at, i))
}

/// The number of columns: all elements but the first, which holds them.
fn schema(at: &mut Compact) -> Option<usize> {
    let mut count = 0;
    structures(at, |at, i| {
        let mut children = 0;
        let mut repeated = false;
        at.fields(|at, id, kind| match id {
            3 => at.integer().map(|repetition| repeated = repetition == 2),
            5 => at.integer().map(|number| children = number),
            _ => at.skip(kind),
        })?;
        count = i;
        (i == 0 || (children == 0 && !repeated)).then_some(())
    })?;
    Some(count)
}

/// The rows of a group, its columns put onto `chunks`.
fn row_group(at: &mut Compact, columns: usize, chunks: &mut Vec<Chunk>) -> Option<i64> {
    let (mut rows, before) = (None, chunks.len());
    at.fields(|at, id, kind| match (id, kind) {
        (1, LIST) => structures(at, |at, _| {
            let mut chunk = Chunk::default();
            at.fields(|at, id, kind| match (id, kind) {
                (3, STRUCT) => chunk.read(at),
                _ => at.skip(kind),
            })?;
            chunks.push(chunk);
            Some(())
        }),
        (3, _) => at.integer().map(|number| rows = Some(number)),
        _ => at.skip(kind),
    })?;
    let rows = rows.filter(|rows| *rows >= 0)?;
    let here = &chunks[before..];
    (here.len() == columns && here.iter().all(|chunk| chunk.values == rows)).then_some(rows)
}

fn key_value(at: &mut Compact) -> Option<()> {
    let (mut key, mut value): (&[u8], usize) = (&[], 0);
    at.fields(|at, id, kind| match (id, kind) {
        (1, 8) => at.binary().map(|bytes| key = bytes),
        (2, 8) => at.binary().map(|bytes| value = bytes.len()),
        _ => at.skip(kind),
    })?;
    (key != b"ARROW:schema" || value <= ARROW_SCHEMA).then_some(())
}

impl Chunk {
    /// ColumnMetaData.
    fn read(&mut self, at: &mut Compact) -> Option<()> {
        at.fields(|at, id, kind| match (id, kind) {
            (2, LIST) => {
                let (_, len) = at.list()?;
                (0..len).try_for_each(|_| at.integer().filter(|e| ENCODINGS.contains(e)).map(drop))
            }
            (4, _) => at.integer().map(|codec| self.codec = codec),
            (5, _) => at.integer().map(|values| self.values = values),
            (7, _) => at.integer().map(|packed| self.packed = packed),
            (9, _) => at.integer().map(|offset| self.data = Some(offset)),
            (11, _) => at.integer().map(|offset| self.dictionary = Some(offset)),
            _ => at.skip(kind),
        })
    }

    /// Goes through the pages; how many bytes they are unpacked.
    fn walk(&self, file: &[u8]) -> Result<u64, String> {
        let beyond = "promises a column that lies outside it";
        let start = self.dictionary.filter(|offset| *offset > 0).or(self.data).ok_or(beyond)?;
        let range = usize::try_from(start).ok().zip(usize::try_from(self.packed).ok());
        let pages = range.and_then(|(start, len)| file.get(start..start.checked_add(len)?)).ok_or(beyond)?;
        let (mut rest, mut values, mut unpacked) = (pages, 0i64, 0u64);
        while values < self.values {
            let page = Page::read(rest).ok_or("has a damaged page, or one too few")?;
            let size = page.header + page.packed;
            if size > rest.len() || (self.codec == 0 && page.unpacked != page.packed as u64) {
                return Err("promises a page that is larger than its column".into());
            }
            if page.dictionary && page.values as u64 > page.unpacked {
                return Err("promises a dictionary of more values than bytes".into());
            }
            rest = &rest[size..];
            values += if page.dictionary { 0 } else { page.values };
            unpacked += page.unpacked;
        }
        if values > self.values {
            return Err("promises pages of more values than their column has".into());
        }
        Ok(unpacked)
    }
}

/// What a page's header says.
#[derive(Default)]
struct Page {
    header: usize,
    packed: usize,
    unpacked: u64,
    values: i64,
    dictionary: bool,
}

impl Page {
    /// PageHeader.
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut page = Page::default();
        let mut at = Compact::new(bytes);
        at.fields(|at, id, kind| match (id, kind) {
            (1, _) => at.integer().map(|kind| page.dictionary = kind == 2),
            (2, _) => at.integer().and_then(|size| u64::try_from(size).ok()).map(|size| page.unpacked = size),
            (3, _) => at.integer().and_then(|size| usize::try_from(size).ok()).map(|size| page.packed = size),
            // of data, of a dictionary, of data in the second version
            (5 | 7 | 8, STRUCT) => at.fields(|at, inner, kind| match inner {
                1 => at.integer().filter(|values| *values >= 0).map(|values| page.values = values),
                _ => at.skip(kind),
            }),
            _ => at.skip(kind),
        })?;
        page.header = at.position();
        Some(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(rows: usize) -> Vec<u8> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a.parquet");
        let origin = crate::base::row::Origin::new("r", "hessian", "0a1b2c3d", 1);
        let row = |i: usize| crate::base::row::Row::new("hessian/lambda", i as f64).index(i).stamp(&origin);
        let rows = (0..rows).map(row).collect();
        let report = crate::report::Report { rows, ..Default::default() };
        crate::report::write_parquet(&path, &report).expect("written");
        std::fs::read(path).expect("read")
    }

    #[test]
    fn what_is_written_is_what_is_promised() {
        for rows in [0, 1, 1000] {
            assert_eq!(check(&report(rows)), Ok(()), "{rows}");
        }
    }

    #[test]
    fn a_footer_that_promises_more_than_there_is_is_refused() {
        let good = report(3);
        let len = good.len();
        let mut long = good.clone();
        long[len - 8..len - 4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(check(&long).expect_err("no such footer").contains("4294967295"));
        for cut in [0, 11, len / 2, len - 1] {
            assert!(check(&good[..cut]).is_err(), "{cut}");
        }
        // every number of the footer made larger by one bit is either harmless or refused; none is followed
        let start = len
            - 8
            - u32::from_le_bytes([good[len - 8], good[len - 7], good[len - 6], good[len - 5]]) as usize;
        for at in start..len - 8 {
            let mut bytes = good.clone();
            bytes[at] ^= 0x40;
            let _ = check(&bytes);
        }
    }
}
