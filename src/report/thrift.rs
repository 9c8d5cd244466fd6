//! Thrift's compact encoding, as far as Parquet's headers need it: walked, never built, so that no length in it
//! takes memory.
//!
//! Reference: Apache Thrift, thrift-compact-protocol.md.

/// The kinds of fields that are looked into.
pub const LIST: u8 = 9;
pub const STRUCT: u8 = 12;

/// Structures inside structures; Parquet's own have six.
const DEEPEST: usize = 16;

/// A place in encoded bytes. Everything is `None` where the bytes end too early or make no sense.
#[derive(Clone, Copy)]
pub struct Compact<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Compact<'a> {
    /// The start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Compact { bytes, at: 0 }
    }

    /// Bytes read.
    pub fn position(&self) -> usize {
        self.at
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// An i16, i32 or i64.
    pub fn integer(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// Bytes or text.
    pub fn binary(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.varint()?).ok()?;
        let bytes = self.bytes.get(self.at..self.at.checked_add(len)?)?;
        self.at += len;
        Some(bytes)
    }

    /// Kind and number of a list's elements, each of which takes a byte at least.
    pub fn list(&mut self) -> Option<(u8, usize)> {
        let head = self.byte()?;
        let len = match head >> 4 {
            15 => usize::try_from(self.varint()?).ok()?,
            short => usize::from(short),
        };
        (len <= self.bytes.len() - self.at).then_some((head & 15, len))
    }

    /// Calls `each` with every field's number and kind; it reads the field, or [skips](Self::skip) it.
    pub fn fields(&mut self, mut each: impl FnMut(&mut Self, i64, u8) -> Option<()>) -> Option<()> {
        let mut id = 0i64;
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Some(());
            }
            id = match head >> 4 {
                0 => self.integer()?,
                step => id.checked_add(i64::from(step))?,
            };
            each(self, id, head & 15)?;
        }
    }

    /// Passes over a value of this kind.
    pub fn skip(&mut self, kind: u8) -> Option<()> {
        self.skip_within(kind, DEEPEST)
    }

    fn skip_within(&mut self, kind: u8, depth: usize) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        match kind {
            // a field's truth is its kind
            1 | 2 => Some(()),
            3 => self.byte().map(drop),
            4..=6 => self.varint().map(drop),
            7 => {
                self.at += 8;
                (self.at <= self.bytes.len()).then_some(())
            }
            8 => self.binary().map(drop),
            LIST | 10 => {
                let (kind, len) = self.list()?;
                (0..len).try_for_each(|_| self.skip_element(kind, depth))
            }
            11 => {
                let len = self.varint()?;
                let kinds = if len > 0 { self.byte()? } else { 0 };
                (0..len).try_for_each(|_| {
                    self.skip_element(kinds >> 4, depth)?;
                    self.skip_element(kinds & 15, depth)
                })
            }
            STRUCT => self.fields(|inner, _, kind| inner.skip_within(kind, depth)),
            _ => None,
        }
    }

    /// In lists a truth is a byte.
    fn skip_element(&mut self, kind: u8, depth: usize) -> Option<()> {
        if kind <= 2 { self.byte().map(drop) } else { self.skip_within(kind, depth) }
    }
}
