//! Reading and writing the primitives of the session format.
//!
//! Invariant: reading never goes past the end and allocates nothing but what is there; what is written reads back.

use bytes::Bytes;

use super::SessionError;

/// Bytes of a message, read from the front.
pub(super) struct Reader<'b> {
    what: &'static str,
    rest: &'b [u8],
}

impl<'b> Reader<'b> {
    pub(super) fn new(what: &'static str, bytes: &'b [u8]) -> Self {
        Self { what, rest: bytes }
    }

    pub(super) fn malformed(&self, reason: &'static str) -> SessionError {
        SessionError::Malformed { what: self.what, reason }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn slice(&mut self, length: usize) -> Result<&'b [u8], SessionError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(|| self.malformed("it ends early"))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], SessionError> {
        Ok(self.slice(N)?.try_into().expect("a slice of this length"))
    }

    pub(super) fn u8(&mut self) -> Result<u8, SessionError> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16, SessionError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, SessionError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, SessionError> {
        self.array().map(u64::from_be_bytes)
    }

    fn text(&mut self, length: usize) -> Result<&'b str, SessionError> {
        std::str::from_utf8(self.slice(length)?).map_err(|_| self.malformed("a text is not UTF-8"))
    }

    pub(super) fn text8(&mut self) -> Result<&'b str, SessionError> {
        let length = self.u8()?;
        self.text(usize::from(length))
    }

    pub(super) fn text16(&mut self) -> Result<&'b str, SessionError> {
        let length = self.u16()?;
        self.text(usize::from(length))
    }

    /// A `u32` length and that many bytes, sharing the memory of `whole`, which this reader reads.
    pub(super) fn bytes32(&mut self, whole: &Bytes) -> Result<Bytes, SessionError> {
        let length = usize::try_from(self.u32()?).map_err(|_| self.malformed("it ends early"))?;
        let taken = self.slice(length)?;
        // Empty payloads must not keep the batch alive.
        Ok(if taken.is_empty() { Bytes::new() } else { whole.slice_ref(taken) })
    }

    pub(super) fn id<T: std::str::FromStr>(&mut self, reason: &'static str) -> Result<T, SessionError> {
        let text = self.text8()?;
        text.parse().map_err(|_| self.malformed(reason))
    }

    pub(super) fn end(&self) -> Result<(), SessionError> {
        if self.is_empty() { Ok(()) } else { Err(self.malformed("something follows its end")) }
    }
}

/// As much of a text as fits into `most` bytes.
pub(super) fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// Writes a `text8`; what does not fit is cut, which no caller relies on.
pub(super) fn put_text8(to: &mut Vec<u8>, text: &str) {
    let text = cut(text, usize::from(u8::MAX));
    to.push(u8::try_from(text.len()).expect("it was cut"));
    to.extend_from_slice(text.as_bytes());
}

/// Writes a `text16`; what does not fit is cut, which no caller relies on but for sentences.
pub(super) fn put_text16(to: &mut Vec<u8>, text: &str) {
    let text = cut(text, usize::from(u16::MAX));
    to.extend_from_slice(&u16::try_from(text.len()).expect("it was cut").to_be_bytes());
    to.extend_from_slice(text.as_bytes());
}
