//! What stands in a batch: calls and answers.
//!
//! ```text
//! call      1  number:u32  time_left_ms:u32  target:text8 (M…)  key:text8  link:text16  contract:text16  (the origin)
//!              operation:text16  traces:u8  (name:text8 value:text16)…  length:u32  payload
//! cancel    2  number:u32
//! result    1  number:u32  length:u32  payload
//! stored    2  number:u32  length:u64  sha256[32]      the payload is in the object store ([`large_result`])
//! failure   3  number:u32  begun:u8 (0 or 1)  code:text8  sentence:text16
//! last      4  batch:u64                            no call of a later batch is begun, now or ever
//! ```
//!
//! Knows no host. Invariant: who says `begun` 0 has not begun the call, and will not; no more the calls after `last`.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use claims::ActorId;

use super::{
    MAX_ENTRIES, SessionError, SessionId,
    batch::Opened,
    reader::{Reader, cut, put_text8, put_text16},
};
use crate::invocation::Entity;

const CALL: u8 = 1;
const CANCEL: u8 = 2;
const RESULT: u8 = 1;
const STORED: u8 = 2;
const FAILURE: u8 = 3;
const LAST: u8 = 4;

/// Most entries of a trace context.
const MAX_TRACES: usize = 4;
/// Longest of them, in bytes.
const MAX_TRACE: usize = 4096;
/// Longest sentence of a failure, in bytes.
const MAX_SENTENCE: usize = 16 * 1024;

/// What stands for the id of an invocation when the result of a call goes through the object store: there the object
/// `{id}-r` holds it.
#[must_use]
pub fn large_result(session: SessionId, number: u32) -> String {
    session.batch(number.into())
}

/// A call as its caller has it.
#[derive(Debug, Clone, Copy)]
pub struct CallParts<'c> {
    /// Who calls.
    pub origin: &'c Entity,
    /// Who is called.
    pub target: &'c ActorId,
    /// The operation.
    pub operation: &'c str,
    /// W3C trace context.
    pub trace: &'c BTreeMap<String, String>,
    /// The argument.
    pub payload: &'c Bytes,
}

impl CallParts<'_> {
    /// Whether every part has a form here; another way is left to what has none.
    #[must_use]
    pub fn can_be_written(&self) -> bool {
        let long = usize::from(u16::MAX);
        self.origin.public_key.len() <= usize::from(u8::MAX)
            && [&self.origin.link_name, &self.origin.contract_id].iter().all(|text| text.len() <= long)
            && self.operation.len() <= long
            && u32::try_from(self.payload.len()).is_ok()
    }

    /// Bytes of the entry, at most.
    #[must_use]
    pub fn size(&self) -> usize {
        let traces: usize = self.traces().map(|(name, value)| name.len() + value.len() + 3).sum();
        let origin = &self.origin;
        let texts = origin.public_key.len() + origin.link_name.len() + origin.contract_id.len() + self.operation.len();
        1 + 4 + 4 + 57 + 7 + texts + 1 + traces + 4 + self.payload.len()
    }

    /// What of the trace context travels.
    fn traces(&self) -> impl Iterator<Item = (&String, &String)> {
        let fits = |name: &str, value: &str| name.len() <= usize::from(u8::MAX) && value.len() <= MAX_TRACE;
        self.trace.iter().filter(move |(name, value)| fits(name, value)).take(MAX_TRACES)
    }

    /// Writes the entry.
    pub fn write(&self, number: u32, time_left: Duration, to: &mut Vec<u8>) {
        to.push(CALL);
        to.extend_from_slice(&number.to_be_bytes());
        // Rounded up: a call that has time left is not sent as one that has none.
        let milliseconds = u32::try_from(time_left.as_micros().div_ceil(1000)).unwrap_or(u32::MAX);
        to.extend_from_slice(&milliseconds.to_be_bytes());
        put_text8(to, self.target.as_str());
        put_text8(to, &self.origin.public_key);
        put_text16(to, &self.origin.link_name);
        put_text16(to, &self.origin.contract_id);
        put_text16(to, self.operation);
        to.push(u8::try_from(self.traces().count()).expect("at most four"));
        for (name, value) in self.traces() {
            put_text8(to, name);
            put_text16(to, value);
        }
        put_bytes(to, self.payload);
    }
}

fn put_bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    to.extend_from_slice(&u32::try_from(bytes.len()).expect("what is longer has no form").to_be_bytes());
    to.extend_from_slice(bytes);
}

/// A call as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallEntry {
    /// Its number in the session.
    pub number: u32,
    /// How long the caller waits.
    pub time_left: Duration,
    /// Who is called.
    pub target: ActorId,
    /// Who calls, as the other host says.
    pub origin: Entity,
    /// The operation.
    pub operation: String,
    /// W3C trace context.
    pub trace: BTreeMap<String, String>,
    /// The argument.
    pub payload: Bytes,
}

/// What a caller sends.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly every entry is a call")]
pub enum FromCaller {
    /// A call.
    Call(CallEntry),
    /// A call nobody waits for any more.
    Cancel {
        /// Its number.
        number: u32,
    },
}

impl FromCaller {
    /// Writes that a call is not waited for any more.
    pub fn write_cancel(number: u32, to: &mut Vec<u8>) {
        to.push(CANCEL);
        to.extend_from_slice(&number.to_be_bytes());
    }

    /// Bytes of what [`FromCaller::write_cancel`] writes.
    pub const CANCEL_BYTES: usize = 5;

    /// All entries of a batch of calls.
    ///
    /// # Errors
    /// [`SessionError`] when one of them is none.
    pub fn read_all(batch: &Opened) -> Result<Vec<Self>, SessionError> {
        read_all(batch, |reader, whole| {
            Ok(match reader.u8()? {
                CALL => Self::Call(CallEntry::read(reader, whole)?),
                CANCEL => Self::Cancel { number: reader.u32()? },
                _ => return Err(reader.malformed("an entry is of no kind we know")),
            })
        })
    }
}

impl CallEntry {
    fn read(reader: &mut Reader<'_>, whole: &Bytes) -> Result<Self, SessionError> {
        let number = reader.u32()?;
        let time_left = Duration::from_millis(u64::from(reader.u32()?));
        let target = reader.id("the target is no actor")?;
        let origin = Entity {
            public_key: reader.text8()?.to_owned(),
            link_name: reader.text16()?.to_owned(),
            contract_id: reader.text16()?.to_owned(),
        };
        let operation = reader.text16()?.to_owned();
        let traces = usize::from(reader.u8()?);
        if traces > MAX_TRACES {
            return Err(reader.malformed("the trace context is too long"));
        }
        let mut trace = BTreeMap::new();
        for _ in 0..traces {
            let (name, value) = (reader.text8()?, reader.text16()?);
            if value.len() > MAX_TRACE {
                return Err(reader.malformed("the trace context is too long"));
            }
            trace.insert(name.to_owned(), value.to_owned());
        }
        let payload = reader.bytes32(whole)?;
        Ok(Self { number, time_left, target, origin, operation, trace, payload })
    }
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The result.
    Result(Bytes),
    /// The result is in the object store.
    Stored {
        /// Its length in bytes.
        length: u64,
        /// Its SHA-256.
        digest: [u8; 32],
    },
    /// There is none.
    Failure {
        /// Whether the call was begun. One that was not may be made elsewhere.
        begun: bool,
        /// Stable word.
        code: String,
        /// For people.
        sentence: String,
    },
}

impl Answer {
    /// Bytes of the entry, at most.
    #[must_use]
    pub fn size(&self) -> usize {
        5 + match self {
            Self::Result(payload) => 4 + payload.len(),
            Self::Stored { .. } => 40,
            Self::Failure { code, sentence, .. } => 4 + code.len() + sentence.len().min(MAX_SENTENCE),
        }
    }

    /// Writes the entry. A result of 4 GiB has no form and is none of ours: it would not fit a batch.
    pub fn write(&self, number: u32, to: &mut Vec<u8>) {
        let begin = |to: &mut Vec<u8>, kind: u8| {
            to.push(kind);
            to.extend_from_slice(&number.to_be_bytes());
        };
        match self {
            Self::Result(payload) => {
                begin(to, RESULT);
                put_bytes(to, payload);
            }
            Self::Stored { length, digest } => {
                begin(to, STORED);
                to.extend_from_slice(&length.to_be_bytes());
                to.extend_from_slice(digest);
            }
            Self::Failure { begun, code, sentence } => {
                begin(to, FAILURE);
                to.push(u8::from(*begun));
                put_text8(to, code);
                put_text16(to, cut(sentence, MAX_SENTENCE));
            }
        }
    }
}

/// What a called host sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromCallee {
    /// What became of a call.
    Answer {
        /// The number of the call.
        number: u32,
        /// Its end.
        answer: Answer,
    },
    /// The host takes no more calls in this session: those of later batches are not begun, and never will be.
    Last {
        /// The last batch of calls that was taken; zero for none.
        batch: u64,
    },
}

impl FromCallee {
    /// Writes which batch of calls was the last.
    pub fn write_last(batch: u64, to: &mut Vec<u8>) {
        to.push(LAST);
        to.extend_from_slice(&batch.to_be_bytes());
    }

    /// Bytes of what [`FromCallee::write_last`] writes.
    pub const LAST_BYTES: usize = 9;

    /// All entries of a batch of answers.
    ///
    /// # Errors
    /// [`SessionError`] when one of them is none.
    pub fn read_all(batch: &Opened) -> Result<Vec<Self>, SessionError> {
        read_all(batch, |reader, whole| {
            let kind = reader.u8()?;
            if kind == LAST {
                return Ok(Self::Last { batch: reader.u64()? });
            }
            Ok(Self::Answer { number: reader.u32()?, answer: Answer::read(kind, reader, whole)? })
        })
    }
}

impl Answer {
    fn read(kind: u8, reader: &mut Reader<'_>, whole: &Bytes) -> Result<Self, SessionError> {
        match kind {
            RESULT => Ok(Self::Result(reader.bytes32(whole)?)),
            STORED => Ok(Self::Stored { length: reader.u64()?, digest: reader.array()? }),
            FAILURE => {
                let begun = match reader.u8()? {
                    0 => false,
                    1 => true,
                    _ => return Err(reader.malformed("`begun` is neither 0 nor 1")),
                };
                let (code, sentence) = (reader.text8()?.to_owned(), reader.text16()?.to_owned());
                Ok(Self::Failure { begun, code, sentence })
            }
            _ => Err(reader.malformed("an entry is of no kind we know")),
        }
    }
}

fn read_all<T>(
    batch: &Opened,
    mut read: impl FnMut(&mut Reader<'_>, &Bytes) -> Result<T, SessionError>,
) -> Result<Vec<T>, SessionError> {
    let mut reader = Reader::new("batch", &batch.0);
    let mut entries = Vec::new();
    while !reader.is_empty() {
        if entries.len() == MAX_ENTRIES {
            return Err(SessionError::TooLarge);
        }
        entries.push(read(&mut reader, &batch.0)?);
    }
    Ok(entries)
}
