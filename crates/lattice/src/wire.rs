//! The one MessagePack codec of the crate: structs as maps with named members, bounded depth and size.
//!
//! Knows encoding, not messages. Invariant: nothing a peer sends makes it recurse or allocate beyond a bound.

use rmp_serde::{Deserializer, Serializer};
use serde::{Deserialize, Serialize};

/// How deep values may nest.
const MAX_DEPTH: usize = 64;

/// Largest envelope that is decoded unless said otherwise. Payloads above the chunk threshold travel through the object
/// store, so even one written as an array of integers stays far below.
pub(crate) const MAX_BYTES: usize = 8 * 1024 * 1024;

/// Why bytes are not the message they should be.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// More bytes than any message may have.
    #[error("message of {size} bytes exceeds {max} bytes")]
    TooLarge {
        /// Bytes received.
        size: usize,
        /// The limit.
        max: usize,
    },
    /// Not MessagePack, or a member is missing or malformed.
    #[error("{0}")]
    Malformed(String),
}

impl WireError {
    /// Stable word for logs, tests and replies.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "message_too_large",
            Self::Malformed(_) => "malformed_message",
        }
    }
}

/// Encodes a value of ours; `hint` is about how many bytes it will take.
pub(crate) fn encode<T: Serialize>(value: &T, hint: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(hint);
    value
        .serialize(&mut Serializer::new(&mut bytes).with_struct_map())
        .expect("our messages are strings, numbers, bytes and maps of known length");
    bytes
}

/// Decodes what a peer sent; members may borrow from `bytes`.
pub(crate) fn decode<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, WireError> {
    decode_within(bytes, MAX_BYTES)
}

/// [`decode`] with a limit of its own.
pub(crate) fn decode_within<'de, T: Deserialize<'de>>(bytes: &'de [u8], max: usize) -> Result<T, WireError> {
    if bytes.len() > max {
        return Err(WireError::TooLarge { size: bytes.len(), max });
    }
    let mut deserializer = Deserializer::from_read_ref(bytes);
    deserializer.set_max_depth(MAX_DEPTH);
    T::deserialize(&mut deserializer).map_err(|error| WireError::Malformed(error.to_string()))
}

/// For members that may be absent or nil: some peers leave them out, some write nil.
pub(crate) fn nil_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde::de::IgnoredAny;

    use super::*;

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| [vec![0x91; depth], vec![0xc0]].concat();
        assert!(decode::<IgnoredAny>(&nested(32)).is_ok());
        let error = decode::<IgnoredAny>(&nested(100_000)).expect_err("far too deep");
        assert_eq!(error.code(), "malformed_message");
    }

    #[test]
    fn size_is_bounded() {
        let error = decode::<IgnoredAny>(&vec![0; MAX_BYTES + 1]).expect_err("one byte too many");
        assert_eq!(error.code(), "message_too_large");
    }

    #[test]
    fn a_length_that_is_not_there_allocates_nothing() {
        // An array and a byte string that announce four billion elements.
        assert!(decode::<Vec<u64>>(&[0xdd, 0xff, 0xff, 0xff, 0xff, 0x01]).is_err());
        assert!(decode::<serde_bytes::ByteBuf>(&[0xc6, 0xff, 0xff, 0xff, 0xff, 0x01]).is_err());
    }
}
