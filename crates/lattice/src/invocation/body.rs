//! Payload bytes inside an envelope, without copying them when they come as bytes.
//!
//! Writes `bin`. Reads `bin`, `str`, nil and arrays of small integers, all of which peers send.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serializer, de};

/// Payload as it was read: a piece of the message, or bytes of its own.
#[derive(Default)]
pub(super) enum Body<'a> {
    #[default]
    Empty,
    Borrowed(&'a [u8]),
    Owned(Vec<u8>),
}

impl Body<'_> {
    /// The bytes, as a slice of `message` where they are one.
    pub(super) fn into_bytes(self, message: &Bytes) -> Bytes {
        match self {
            Self::Empty | Self::Borrowed([]) => Bytes::new(),
            Self::Borrowed(bytes) => message.slice_ref(bytes),
            Self::Owned(bytes) => bytes.into(),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Body<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Body<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes or an array of bytes")
            }

            fn visit_borrowed_bytes<E: de::Error>(self, bytes: &'de [u8]) -> Result<Body<'de>, E> {
                Ok(Body::Borrowed(bytes))
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Body<'de>, E> {
                Ok(Body::Owned(bytes.to_vec()))
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Body<'de>, E> {
                Ok(Body::Borrowed(text.as_bytes()))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Body<'de>, E> {
                Ok(Body::Owned(text.as_bytes().to_vec()))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Body<'de>, E> {
                Ok(Body::Empty)
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut array: A) -> Result<Body<'de>, A::Error> {
                // Grows with what is really there, not with what the header announces.
                let mut bytes = Vec::new();
                while let Some(byte) = array.next_element()? {
                    bytes.push(byte);
                }
                Ok(Body::Owned(bytes))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

/// Writes bytes as bytes.
pub(super) fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}
