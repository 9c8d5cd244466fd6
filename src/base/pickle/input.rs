//! What the codes of a pickle read: numbers, lengths, texts.

use std::io::{BufRead, ErrorKind, Read};

use super::value::{Value, damaged};

/// The bytes of a pickle.
pub(super) struct Input<'a>(pub &'a mut dyn BufRead);

impl Input<'_> {
    /// One byte.
    pub fn byte(&mut self) -> Result<u8, String> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// The next N bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes).map_err(|e| cut(&e))?;
        Ok(bytes)
    }

    /// A length of `width` bytes.
    fn length(&mut self, width: usize) -> Result<u64, String> {
        let mut bytes = [0; 8];
        self.0.read_exact(&mut bytes[..width]).map_err(|e| cut(&e))?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// `len` bytes; memory grows with what is there, not with what is promised.
    fn raw(&mut self, len: u64) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        (&mut *self.0).take(len).read_to_end(&mut bytes).map_err(|e| cut(&e))?;
        if bytes.len() as u64 == len { Ok(bytes) } else { Err(cut(&ErrorKind::UnexpectedEof.into())) }
    }

    /// A string, after its length of `width` bytes.
    pub fn text(&mut self, width: usize) -> Result<Value, String> {
        let len = self.length(width)?;
        Ok(match String::from_utf8(self.raw(len)?) {
            Ok(text) => Value::Text(text.into()),
            // Python 2 kept bytes in strings
            Err(e) => Value::Bytes(e.into_bytes().into()),
        })
    }

    /// Bytes, after their length.
    pub fn bytes(&mut self, width: usize) -> Result<Value, String> {
        let len = self.length(width)?;
        Ok(Value::Bytes(self.raw(len)?.into()))
    }

    /// An integer of any length, in two's complement.
    pub fn long(&mut self, width: usize) -> Result<Value, String> {
        let len = self.length(width)?;
        let bytes = self.raw(len)?;
        let fill = if bytes.last().is_some_and(|b| b & 0x80 != 0) { 0xff } else { 0 };
        let mut wide = [fill; 8];
        wide[..bytes.len().min(8)].copy_from_slice(&bytes[..bytes.len().min(8)]);
        let fits = bytes.iter().skip(8).all(|b| *b == fill) && (wide[7] & 0x80 != 0) == (fill != 0);
        Ok(if fits { Value::Int(i64::from_le_bytes(wide)) } else { Value::Long })
    }

    /// The rest of a line.
    pub fn line(&mut self) -> Result<String, String> {
        let mut bytes = Vec::new();
        self.0.read_until(b'\n', &mut bytes).map_err(|e| cut(&e))?;
        if bytes.pop() != Some(b'\n') {
            return Err(cut(&ErrorKind::UnexpectedEof.into()));
        }
        String::from_utf8(bytes).map_err(|_| damaged())
    }

    /// A place in the memo, in decimal.
    pub fn index_in_words(&mut self) -> Result<u32, String> {
        self.line()?.parse().map_err(|_| damaged())
    }

    /// A number in decimal, as the first protocol writes it.
    pub fn number_in_words(&mut self, code: u8) -> Result<Value, String> {
        let line = self.line()?;
        Ok(match (code, line.trim_end_matches('L')) {
            (b'I', "00") => Value::Bool(false),
            (b'I', "01") => Value::Bool(true),
            (b'F', text) => Value::Float(text.parse().map_err(|_| damaged())?),
            (_, text) => text.parse().map_or(Value::Long, Value::Int),
        })
    }
}

fn cut(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::UnexpectedEof => "its pickle is cut off".into(),
        _ => format!("its pickle cannot be read: {error}"),
    }
}
