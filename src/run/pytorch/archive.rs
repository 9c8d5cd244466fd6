//! The containers of `torch.save`: a zip archive, or (before PyTorch 1.6) pickles followed by storages.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use zip::read::ZipReadOptions;
use zip::{CompressionMethod, ZipArchive};

use super::tensor::storage_of;
use crate::base::pickle::{Pickle, Value};

/// Tensors lie outside the pickle, which holds names and numbers alone.
const MAX_PICKLE: u64 = 32 << 20;

/// The bytes of a PyTorch file's tensors.
pub struct Archive {
    /// Bytes of the file.
    len: u64,
    kind: Kind,
}

enum Kind {
    /// An archive with its folder inside.
    Zip(Mutex<ZipArchive<BufReader<File>>>, String),
    /// Where each storage lies in the file: position, bytes.
    Legacy(Mutex<File>, HashMap<String, (u64, u64)>),
}

/// Opens a file of `torch.save`, or a bare pickle.
///
/// # Errors
/// What is wrong with it, a phrase.
pub fn open(path: &Path) -> Result<(Archive, Pickle), String> {
    let words = |e: io::Error| format!("it cannot be read: {e}");
    let mut file = File::open(path).map_err(words)?;
    let len = file.metadata().map_err(words)?.len();
    let mut start = [0; 4];
    let got = file.read(&mut start).map_err(words)?;
    file.rewind().map_err(words)?;
    let (kind, pickle) =
        if start[..got].starts_with(b"PK") { open_zip(file, len)? } else { open_legacy(file, len)? };
    Ok((Archive { len, kind }, pickle))
}

fn open_zip(file: File, len: u64) -> Result<(Kind, Pickle), String> {
    let cannot = |e: zip::result::ZipError| format!("its zip archive is damaged: {e}");
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(cannot)?;
    let names: Vec<String> = zip.file_names().filter_map(|name| Some(name.ok()?.into_owned())).collect();
    let root = names
        .iter()
        .filter_map(|name| name.strip_suffix("data.pkl"))
        .filter(|root| root.is_empty() || root.ends_with('/'))
        .min_by_key(|root| root.len())
        .ok_or("it is a zip archive without data.pkl, so PyTorch did not write it")?
        .to_string();
    if let Ok(order) = entry(&mut zip, &format!("{root}byteorder"), 0, 16, len)
        && order != b"little"
    {
        return Err("it was written by a big-endian machine".into());
    }
    let name = format!("{root}data.pkl");
    let size = zip.by_name(&name).map_err(cannot)?.size();
    if size > MAX_PICKLE {
        return Err(format!("its data.pkl claims {size} bytes, more than any checkpoint's"));
    }
    let bytes = entry(&mut zip, &name, 0, size, len)?;
    let pickle = Pickle::parse(&mut Cursor::new(bytes))?;
    Ok((Kind::Zip(Mutex::new(zip), root), pickle))
}

/// `len` bytes of an entry after the first `start`, fewer where it ends.
fn entry(
    zip: &mut ZipArchive<BufReader<File>>,
    name: &str,
    start: u64,
    len: u64,
    file_len: u64,
) -> Result<Vec<u8>, String> {
    let cannot = |e: zip::result::ZipError| format!("cannot be read ({e}); the file is damaged");
    let damaged =
        |e: io::Error| format!("cannot be read ({}); the file is damaged", e.to_string().to_lowercase());
    let index = zip.index_for_name(name).ok_or("has no bytes in the file; the file is damaged")?;
    // torch.save(..., compute_crc32=False) writes 0 for a checksum that was not computed
    let unchecked = zip.by_index_raw(index).map_err(cannot)?.crc32() == 0;
    let options = ZipReadOptions::new().ignore_crc32(unchecked);
    let mut entry = zip.by_index_with_options(index, options).map_err(cannot)?;
    let stored = entry.compression() == CompressionMethod::Stored;
    // torch.save does not compress: what expands beyond this was made to fill the memory
    let limit = if stored { file_len } else { 2 * file_len + (8 << 20) };
    if entry.size() > limit {
        return Err(format!("claims {} bytes in a file of {file_len}; the file is damaged", entry.size()));
    }
    io::copy(&mut (&mut entry).take(start), &mut io::sink()).map_err(damaged)?;
    let mut bytes = Vec::new();
    (&mut entry).take(len).read_to_end(&mut bytes).map_err(damaged)?;
    // the checksum is compared at the entry's end, which has to be reached
    let mut rest = [0; 1];
    if start + len >= entry.size() && entry.read(&mut rest).map_err(damaged)? > 0 {
        return Err("is longer than it claims; the file is damaged".into());
    }
    Ok(bytes)
}

/// 0x1950a86a20f9469cfc6c as a pickle of protocol 2 holds it.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

fn open_legacy(mut file: File, len: u64) -> Result<(Kind, Pickle), String> {
    let words = |e: io::Error| format!("it cannot be read: {e}");
    let mut start = Vec::new();
    (&mut file).take(32).read_to_end(&mut start).map_err(words)?;
    file.rewind().map_err(words)?;
    let mut reader = BufReader::new(file);
    if !start.windows(MAGIC.len()).any(|bytes| bytes == MAGIC) {
        let pickle = Pickle::parse(&mut reader)?;
        return Ok((Kind::Legacy(Mutex::new(reader.into_inner()), HashMap::new()), pickle));
    }
    let (_magic, version) = (Pickle::parse(&mut reader)?, Pickle::parse(&mut reader)?);
    if version.value(version.root()) != &Value::Int(1001) {
        return Err("its version is not 1001, the only one PyTorch wrote".into());
    }
    let system = Pickle::parse(&mut reader)?;
    let little = system.get(system.root(), "little_endian").map(|id| system.value(id));
    if little != Some(&Value::Bool(true)) {
        return Err("it was written by a big-endian machine".into());
    }
    let pickle = Pickle::parse(&mut reader)?;
    let keys = Pickle::parse(&mut reader)?;
    let mut at = reader.stream_position().map_err(words)?;
    let sizes: HashMap<String, u64> = pickle
        .values()
        .iter()
        .filter_map(|value| storage_of(&pickle, value))
        .map(|s| (s.key, s.bytes))
        .collect();
    let mut places = HashMap::new();
    for &key in keys.items(keys.root()) {
        let key = keys.text(key).ok_or("its list of storages is damaged")?;
        let bytes = *sizes.get(key).ok_or_else(|| format!("storage {key} belongs to no tensor"))?;
        // a count of eight bytes, then the numbers
        let end = at.checked_add(8).and_then(|start| start.checked_add(bytes)).filter(|&end| end <= len);
        places.insert(key.to_string(), (at + 8, bytes));
        at = end.ok_or_else(|| format!("it is cut off: storage {key} ends beyond its {len} bytes"))?;
    }
    Ok((Kind::Legacy(Mutex::new(reader.into_inner()), places), pickle))
}

impl Archive {
    /// Bytes of the file.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// `len` bytes of a storage after the first `start`.
    ///
    /// # Errors
    /// What is wrong, a phrase that follows the tensor's name.
    pub fn bytes(&self, key: &str, start: u64, len: u64) -> Result<Vec<u8>, String> {
        let bytes = match &self.kind {
            Kind::Zip(zip, root) => {
                let mut zip = zip.lock().unwrap_or_else(PoisonError::into_inner);
                entry(&mut zip, &format!("{root}data/{key}"), start, len, self.len)?
            }
            Kind::Legacy(file, places) => {
                let &(at, size) = places.get(key).ok_or("has no bytes in the file; the file is damaged")?;
                let len = len.min(size.saturating_sub(start));
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                let mut bytes = Vec::new();
                file.seek(SeekFrom::Start(at + start))
                    .and_then(|_| (&mut *file).take(len).read_to_end(&mut bytes))
                    .map_err(|e| format!("cannot be read: {e}"))?;
                bytes
            }
        };
        if bytes.len() as u64 != len {
            return Err("is cut off; the file is damaged".into());
        }
        Ok(bytes)
    }
}
