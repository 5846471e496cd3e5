//! Batches: entries of one direction of one session, numbered, under one code.
//!
//! ```text
//! batch  "LB" 1 kind  session[16]  number:u64  entry…  code[32]      kind: 1 calls, 2 answers
//! ```
//!
//! The code is HMAC-SHA256 over everything before it. Knows bytes, not what an entry says. Invariants: a batch has at
//! most [`MAX_BATCH_BYTES`], whoever made it; entries are read only from one whose code held.

use bytes::Bytes;

use super::{MacKey, SessionError, SessionId, VERSION, reader::Reader};

/// Largest batch, in bytes: a payload of the chunk threshold and whatever surrounds it, within what NATS takes at most
/// unless it is told otherwise.
pub const MAX_BATCH_BYTES: usize = 1 << 20;
/// Most entries of a batch.
pub const MAX_ENTRIES: usize = 1024;
/// Bytes before the first entry.
pub const HEADER_BYTES: usize = 2 + 1 + 1 + 16 + 8;
/// Bytes of the code at the end.
pub const MAC_BYTES: usize = 32;

const MAGIC: [u8; 2] = *b"LB";
const NUMBER_AT: usize = HEADER_BYTES - 8;

/// What the entries of a batch are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum BatchKind {
    /// Calls, and calls that are taken back.
    Calls = 1,
    /// What became of calls.
    Answers = 2,
}

/// What stands before the entries: not believed yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the entries are.
    pub kind: BatchKind,
    /// Whose they are.
    pub session: SessionId,
    /// The number of the batch, from one on.
    pub number: u64,
}

impl Header {
    /// Reads the header of a batch, whose bytes are counted first.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn decode(batch: &[u8]) -> Result<Self, SessionError> {
        if batch.len() > MAX_BATCH_BYTES {
            return Err(SessionError::TooLarge);
        }
        let mut reader = Reader::new("batch", batch);
        if reader.array()? != MAGIC {
            return Err(reader.malformed("it is none"));
        }
        let version = reader.u8()?;
        if version != VERSION {
            return Err(SessionError::Version { found: version });
        }
        let kind = match reader.u8()? {
            1 => BatchKind::Calls,
            2 => BatchKind::Answers,
            _ => return Err(reader.malformed("it is of no kind we know")),
        };
        let header = Self { kind, session: SessionId(reader.array()?), number: reader.u64()? };
        reader.slice(MAC_BYTES)?;
        Ok(header)
    }
}

/// A batch whose code held.
#[derive(Debug, Clone)]
pub struct Opened(pub(super) Bytes);

impl Opened {
    /// Checks the code of a batch whose header was read.
    ///
    /// # Errors
    /// [`SessionError::Code`].
    pub fn open(batch: &Bytes, key: &MacKey) -> Result<Self, SessionError> {
        let end = batch.len().checked_sub(MAC_BYTES).filter(|end| *end >= HEADER_BYTES).ok_or(SessionError::Code)?;
        if !key.holds(&batch[..end], &batch[end..]) {
            return Err(SessionError::Code);
        }
        Ok(Self(batch.slice(HEADER_BYTES..end)))
    }
}

/// A batch that is being written.
#[derive(Debug)]
pub struct Draft {
    bytes: Vec<u8>,
    entries: usize,
}

impl Draft {
    /// An empty one.
    #[must_use]
    pub fn new(kind: BatchKind, session: SessionId) -> Self {
        let mut bytes = Vec::with_capacity(1024);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&[VERSION, kind as u8]);
        bytes.extend_from_slice(&session.0);
        bytes.extend_from_slice(&[0; 8]);
        Self { bytes, entries: 0 }
    }

    /// Whether an entry of so many bytes fits, in a batch of at most `most` bytes.
    #[must_use]
    pub fn fits(&self, entry: usize, most: usize) -> bool {
        self.entries < MAX_ENTRIES && self.bytes.len() + entry + MAC_BYTES <= most.min(MAX_BATCH_BYTES)
    }

    /// Writes an entry.
    pub fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.entries += 1;
    }

    /// How many entries it has.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.entries
    }

    /// Bytes so far.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The batch as it is sent.
    #[must_use]
    pub fn finish(mut self, number: u64, key: &MacKey) -> Bytes {
        self.bytes[NUMBER_AT..HEADER_BYTES].copy_from_slice(&number.to_be_bytes());
        let code = key.code(&self.bytes);
        self.bytes.extend_from_slice(&code);
        self.bytes.into()
    }
}
