//! What stands under a key: a value, or the head of a list or set whose members are rows of their own.
//!
//! Owns the bytes on disk. Invariant: what was encoded decodes to the same.

use crate::error::Fault;

const VALUE: u8 = 0;
const LIST: u8 = 1;
const SET: u8 = 2;

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A value, and when it is gone (milliseconds since 1970; 0 for never).
    Value {
        /// When it is gone.
        expires: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A list.
    List(Members),
    /// A set.
    Set(Members),
}

/// Where the members of a list or set are, and how many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Members {
    /// Names their rows; never used again.
    pub id: u64,
    /// How many there are.
    pub count: u64,
    /// What they cost, see [`crate::tables::cost`].
    pub bytes: u64,
    /// Position of the next one in a list.
    pub next: u64,
}

impl Record {
    /// What it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Value { .. } => "a value",
            Self::List(_) => "a list",
            Self::Set(_) => "a set",
        }
    }

    /// Whether it is gone at this time.
    pub fn has_expired(&self, now: u64) -> bool {
        matches!(self, Self::Value { expires, .. } if *expires != 0 && *expires <= now)
    }

    /// As it is stored.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Value { expires, bytes } => [&[VALUE][..], &expires.to_be_bytes(), bytes].concat(),
            Self::List(members) => members.encode(LIST),
            Self::Set(members) => members.encode(SET),
        }
    }

    /// As it was stored.
    pub fn decode(record: &[u8]) -> Result<Self, Fault> {
        let damaged = || Fault::Storage("a record of the database is damaged".to_owned());
        let (&kind, rest) = record.split_first().ok_or_else(damaged)?;
        match kind {
            VALUE => {
                let (expires, bytes) = rest.split_first_chunk().ok_or_else(damaged)?;
                Ok(Self::Value { expires: u64::from_be_bytes(*expires), bytes: bytes.to_vec() })
            }
            LIST => Members::decode(rest).map(Self::List).ok_or_else(damaged),
            SET => Members::decode(rest).map(Self::Set).ok_or_else(damaged),
            _ => Err(damaged()),
        }
    }
}

impl Members {
    fn encode(&self, kind: u8) -> Vec<u8> {
        let numbers = [self.id, self.count, self.bytes, self.next].map(u64::to_be_bytes);
        [&[kind][..], &numbers.concat()].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (numbers, []) = bytes.as_chunks::<8>() else { return None };
        let &[id, count, bytes, next] = numbers else { return None };
        let [id, count, bytes, next] = [id, count, bytes, next].map(u64::from_be_bytes);
        Some(Self { id, count, bytes, next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encoded_decodes_to_the_same() {
        let members = Members { id: 1, count: 2, bytes: 3, next: 4 };
        let value = |expires, bytes: &[u8]| Record::Value { expires, bytes: bytes.to_vec() };
        for record in [value(0, b""), value(u64::MAX, b"\xff\0"), Record::List(members), Record::Set(members)] {
            assert_eq!(Record::decode(&record.encode()).ok(), Some(record));
        }
        for damaged in [&b""[..], b"\0\0", b"\x01\0", b"\x03"] {
            assert!(Record::decode(damaged).is_err(), "{damaged:?}");
        }
    }
}
