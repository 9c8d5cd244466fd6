//! Host numbers whose precision is chosen at run time.
//!
//! `--dtype f32|f64` decides the precision of the model and of every vector the solvers keep; sums
//! and scalars are f64 always. Files may hold either; [`Values::cast`] brings them to the chosen one.

use std::fmt;
use std::ops::{Add, AddAssign, Div, Mul, Sub};
use std::str::FromStr;

use rayon::prelude::*;

use crate::base::error::Error;

/// The floating-point type of a computation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DType {
    /// IEEE single precision, the default.
    #[default]
    F32,
    /// IEEE double precision.
    F64,
}

impl DType {
    /// The distance from 1 to the next number.
    pub fn epsilon(self) -> f64 {
        match self {
            DType::F32 => f32::EPSILON as f64,
            DType::F64 => f64::EPSILON,
        }
    }

    /// Bytes per number.
    pub fn size(self) -> usize {
        match self {
            DType::F32 => 4,
            DType::F64 => 8,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DType::F32 => "f32",
            DType::F64 => "f64",
        })
    }
}

impl DType {
    /// What `--dtype` takes.
    pub const NAMES: &[&str] = &["f32", "f64"];
}

impl FromStr for DType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "f32" => Ok(DType::F32),
            "f64" => Ok(DType::F64),
            _ => Err(Error::usage_hint(format!("`{text}` is not a dtype"), "use --dtype f32 or --dtype f64")),
        }
    }
}

/// A flat list of numbers of one dtype.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Single precision.
    F32(Vec<f32>),
    /// Double precision.
    F64(Vec<f64>),
}

impl Values {
    /// `len` zeros.
    pub fn zeros(len: usize, dtype: DType) -> Self {
        match dtype {
            DType::F32 => Values::F32(vec![0.0; len]),
            DType::F64 => Values::F64(vec![0.0; len]),
        }
    }

    /// Takes over the numbers of a list of the same type and length, without new memory.
    pub fn copy_from(&mut self, other: &Values) {
        match (self, other) {
            (Values::F32(to), Values::F32(from)) => to.copy_from_slice(from),
            (Values::F64(to), Values::F64(from)) => to.copy_from_slice(from),
            _ => panic!("both lists have one dtype"),
        }
    }

    /// How many numbers.
    pub fn len(&self) -> usize {
        match self {
            Values::F32(v) => v.len(),
            Values::F64(v) => v.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Their type.
    pub fn dtype(&self) -> DType {
        match self {
            Values::F32(_) => DType::F32,
            Values::F64(_) => DType::F64,
        }
    }

    /// Adds the numbers of a list of the same type behind these.
    pub fn append(&mut self, more: Values) {
        match (self, more) {
            (Values::F32(v), Values::F32(m)) => v.extend(m),
            (Values::F64(v), Values::F64(m)) => v.extend(m),
            _ => panic!("both lists have one dtype"),
        }
    }

    /// The same numbers in another precision; free when the precision is already right.
    pub fn cast(self, dtype: DType) -> Self {
        match (self, dtype) {
            (Values::F32(v), DType::F64) => Values::F64(v.into_iter().map(f64::from).collect()),
            (Values::F64(v), DType::F32) => Values::F32(v.into_iter().map(|x| x as f32).collect()),
            (same, _) => same,
        }
    }

    /// Number `i`, widened.
    pub fn get(&self, i: usize) -> f64 {
        match self {
            Values::F32(v) => f64::from(v[i]),
            Values::F64(v) => v[i],
        }
    }

    /// All numbers, widened.
    pub fn to_f64(&self) -> Vec<f64> {
        match self {
            Values::F32(v) => v.iter().map(|&x| f64::from(x)).collect(),
            Values::F64(v) => v.clone(),
        }
    }

    /// Σ a over the positions `range`, in f64.
    pub fn sum(&self, range: std::ops::Range<usize>) -> f64 {
        fn sum<T: Copy + Into<f64>>(a: &[T]) -> f64 {
            let mut sums = [0.0; 8];
            let (a, rest) = a.as_chunks::<8>();
            for a in a {
                for i in 0..8 {
                    sums[i] += a[i].into();
                }
            }
            sums.iter().sum::<f64>() + rest.iter().map(|&x| x.into()).sum::<f64>()
        }
        match self {
            Values::F32(a) => sum(&a[range]),
            Values::F64(a) => sum(&a[range]),
        }
    }

    /// Σ a b over the positions `range` of two lists of one dtype and length, in f64.
    ///
    /// # Panics
    /// Where the dtypes differ: a caller's mistake.
    pub fn dot(&self, other: &Values, range: std::ops::Range<usize>) -> f64 {
        fn sum<T: Copy + Into<f64>>(a: &[T], b: &[T]) -> f64 {
            // several sums at a time, because one addition waits for the last
            let mut sums = [0.0; 8];
            let (a, a_rest) = a.as_chunks::<8>();
            let (b, b_rest) = b.as_chunks::<8>();
            for (a, b) in a.iter().zip(b) {
                for i in 0..8 {
                    sums[i] += a[i].into() * b[i].into();
                }
            }
            let rest: f64 = a_rest.iter().zip(b_rest).map(|(&a, &b)| a.into() * b.into()).sum();
            sums.iter().sum::<f64>() + rest
        }
        match (self, other) {
            (Values::F32(a), Values::F32(b)) => sum(&a[range.clone()], &b[range]),
            (Values::F64(a), Values::F64(b)) => sum(&a[range.clone()], &b[range]),
            _ => panic!("numbers of different dtypes have no product"),
        }
    }

    /// The position of the first NaN or infinity.
    pub fn first_nonfinite(&self) -> Option<usize> {
        match self {
            Values::F32(v) => v.iter().position(|x| !x.is_finite()),
            Values::F64(v) => v.iter().position(|x| !x.is_finite()),
        }
    }

    /// Whether there is no NaN and no infinity; on all threads.
    pub fn all_finite(&self) -> bool {
        fn all<T: Real>(values: &[T]) -> bool {
            // no early exit within a piece, so that it runs as wide as the registers are
            let piece = |piece: &[T]| piece.iter().fold(true, |ok, x| ok & x.wide().is_finite());
            if values.len() <= PIECE { piece(values) } else { values.par_chunks(PIECE).all(piece) }
        }
        match self {
            Values::F32(v) => all(v),
            Values::F64(v) => all(v),
        }
    }

    /// The numbers as little-endian bytes, for files and hashes.
    pub fn to_le_bytes(&self) -> Vec<u8> {
        match self {
            Values::F32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Values::F64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        }
    }
}

/// Numbers looked at by one thread at a time.
const PIECE: usize = 1 << 16;

/// f32 or f64.
pub trait Real:
    Copy
    + Send
    + Sync
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + AddAssign
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// The same number in f64.
    fn wide(self) -> f64;
    /// The nearest number in this precision.
    fn narrow(x: f64) -> Self;
    /// √.
    fn sqrt(self) -> Self;
}

macro_rules! real {
    ($float:ty) => {
        impl Real for $float {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            #[inline(always)]
            fn wide(self) -> f64 {
                self as f64
            }
            #[inline(always)]
            fn narrow(x: f64) -> Self {
                x as $float
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                self.sqrt()
            }
        }
    };
}
real!(f32);
real!(f64);
