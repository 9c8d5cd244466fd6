//! Tensors of a pickle: where their numbers lie, and the numbers.

use crate::base::pickle::{Id, Pickle, Value};
use crate::run::tensors::Stored;

/// A run of numbers that tensors are views of.
pub struct Storage {
    pub key: String,
    pub bytes: u64,
    /// PyTorch's name of its numbers, "float32"; none where each tensor says.
    kind: Option<&'static str>,
    /// Bytes before the part that tensors see, which old files could cut out.
    skipped: u64,
}

/// A view of a storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// The storage's key: tied tensors share it.
    pub key: String,
    /// PyTorch's name of its numbers: "float32".
    pub kind: Box<str>,
    /// Its extents.
    pub shape: Vec<usize>,
    stride: Vec<usize>,
    /// Bytes before its first number.
    start: u64,
    /// Bytes of a number; 0 where the kind is not known.
    size: usize,
}

/// PyTorch's storages: class, kind of number, bytes of one.
const STORAGES: [(&str, &str, usize); 14] = [
    ("FloatStorage", "float32", 4),
    ("DoubleStorage", "float64", 8),
    ("HalfStorage", "float16", 2),
    ("BFloat16Storage", "bfloat16", 2),
    ("LongStorage", "int64", 8),
    ("IntStorage", "int32", 4),
    ("ShortStorage", "int16", 2),
    ("CharStorage", "int8", 1),
    ("ByteStorage", "uint8", 1),
    ("BoolStorage", "bool", 1),
    ("ComplexFloatStorage", "complex64", 8),
    ("ComplexDoubleStorage", "complex128", 16),
    ("QInt8Storage", "qint8", 1),
    ("QUInt8Storage", "quint8", 1),
];
/// What has no storage class of its own.
const MORE: [(&str, usize); 5] =
    [("uint16", 2), ("uint32", 4), ("uint64", 8), ("float8_e4m3fn", 1), ("float8_e5m2", 1)];

/// The storage that a persistent id names: ('storage', class, key, device, count[, view]).
pub fn storage_of(pickle: &Pickle, value: &Value) -> Option<Storage> {
    let Value::Persistent(id) = value else { return None };
    let [tag, class, key, _device, count, view @ ..] = pickle.items(*id) else { return None };
    if pickle.text(*tag) != Some("storage") {
        return None;
    }
    let class = pickle.text(*class)?.rsplit('.').next()?;
    let (kind, size) = match STORAGES.iter().find(|(name, ..)| *name == class) {
        Some((_, kind, size)) => (Some(*kind), *size),
        None if class == "UntypedStorage" => (None, 1),
        None => return None,
    };
    let key = match pickle.value(*key) {
        Value::Int(key) => key.to_string(),
        _ => pickle.text(*key)?.to_string(),
    };
    let bytes = |count: usize| count.checked_mul(size).map(|bytes| bytes as u64);
    let skipped = match view.first().map(|view| pickle.items(*view)) {
        Some([_, offset, _]) => bytes(pickle.size(*offset)?)?,
        _ => 0,
    };
    Some(Storage { key, bytes: bytes(pickle.size(*count)?)?, kind, skipped })
}

impl Tensor {
    /// The tensor that the value is, where it is one.
    pub fn of(pickle: &Pickle, id: Id) -> Option<Tensor> {
        let Value::Call { callable, args, .. } = pickle.value(id) else { return None };
        match pickle.text(*callable)? {
            "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state" => {
                let Value::Call { callable, args, .. } = pickle.value(*pickle.items(*args).first()?) else {
                    return None;
                };
                Self::rebuilt(pickle, *callable, *args)
            }
            // (function, class, arguments, state) of a subclass
            "torch._tensor._rebuild_from_type_v2" => match pickle.items(*args) {
                [function, _, arguments, ..] => Self::rebuilt(pickle, *function, *arguments),
                _ => None,
            },
            _ => Self::rebuilt(pickle, *callable, *args),
        }
    }

    fn rebuilt(pickle: &Pickle, function: Id, args: Id) -> Option<Tensor> {
        let args = pickle.items(args);
        match pickle.text(function)? {
            "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2" => {
                Self::view(pickle, args, None)
            }
            "torch._utils._rebuild_tensor_v3" => Self::view(pickle, args, pickle.text(*args.get(6)?)),
            _ => None,
        }
    }

    /// (storage, offset, size, stride, ...).
    fn view(pickle: &Pickle, args: &[Id], named: Option<&str>) -> Option<Tensor> {
        let [storage, offset, shape, stride, ..] = args else { return None };
        let storage = storage_of(pickle, pickle.value(*storage))?;
        let extents = |id: Id| pickle.items(id).iter().map(|&n| pickle.size(n)).collect::<Option<Vec<_>>>();
        let (shape, stride) = (extents(*shape)?, extents(*stride)?);
        let kind = named.map(|name| name.trim_start_matches("torch.")).or(storage.kind)?;
        let sizes = STORAGES.iter().map(|(_, kind, size)| (*kind, *size)).chain(MORE);
        let size = sizes.into_iter().find(|(name, _)| *name == kind).map_or(0, |(_, size)| size);
        let start = (pickle.size(*offset)? as u64).checked_mul(size as u64)?.checked_add(storage.skipped)?;
        let tensor = Tensor { key: storage.key, kind: kind.into(), shape, stride, start, size };
        tensor.fits(storage.bytes).then_some(tensor)
    }

    /// Whether it lies in a storage of `bytes` and is no larger than that: a repeated view (stride 0) could
    /// ask for any amount of memory.
    fn fits(&self, bytes: u64) -> bool {
        let count = self.shape.iter().try_fold(1u64, |n, &extent| n.checked_mul(extent as u64));
        let Some(count) = count.filter(|_| self.shape.len() == self.stride.len()) else { return false };
        let end = self.start.checked_add(self.span());
        let total = count.checked_mul(self.size as u64);
        count == 0 || end.is_some_and(|end| end <= bytes) && total.is_some_and(|total| total <= bytes)
    }

    /// Bytes from its first number to its last.
    fn span(&self) -> u64 {
        let last = self.shape.iter().zip(&self.stride).fold(0u64, |at, (&extent, &stride)| {
            at.saturating_add((extent.saturating_sub(1) as u64).saturating_mul(stride as u64))
        });
        last.saturating_add(1).saturating_mul(self.size as u64)
    }

    /// How its numbers are stored, or their name where that is no float.
    pub fn stored(&self) -> Result<Stored, String> {
        match &*self.kind {
            "float64" => Ok(Stored::F64),
            "float32" => Ok(Stored::F32),
            "float16" => Ok(Stored::F16),
            "bfloat16" => Ok(Stored::Bf16),
            other => Err(other.into()),
        }
    }

    /// Where its bytes lie in its storage: start and length.
    pub fn range(&self) -> (u64, u64) {
        let empty = self.shape.contains(&0);
        (self.start, if empty { 0 } else { self.span() })
    }

    /// Its numbers row by row, from the bytes of its [`range`](Self::range).
    pub fn gather(&self, bytes: Vec<u8>) -> Vec<u8> {
        if bytes.is_empty() || self.is_contiguous() {
            return bytes;
        }
        let count: usize = self.shape.iter().product();
        let mut out = Vec::with_capacity(count * self.size);
        let mut place = vec![0; self.shape.len()];
        for _ in 0..count {
            let at = place.iter().zip(&self.stride).map(|(i, stride)| i * stride).sum::<usize>() * self.size;
            out.extend_from_slice(&bytes[at..at + self.size]);
            for (i, &extent) in place.iter_mut().zip(&self.shape).rev() {
                *i += 1;
                if *i < extent {
                    break;
                }
                *i = 0;
            }
        }
        out
    }

    fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        self.shape.iter().zip(&self.stride).rev().all(|(&extent, &stride)| {
            let fits = extent <= 1 || stride == expected;
            expected *= extent;
            fits
        })
    }
}
