//! The one place where contract payloads become msgpack and back (protocol section 4.4).
//!
//! Structs are maps keyed by field name. What a guest or a peer sent is decoded with a bounded depth, and a prefix
//! byte of older peers (`c1`: msgpack follows) is skipped.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::CallError;

/// Deepest nesting accepted from a guest or a peer.
pub const MAX_DEPTH: usize = 64;

/// Encodes a value as named msgpack.
///
/// # Errors
/// [`CallError::HostFault`] when the value cannot be represented, which for the types of this crate cannot happen.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CallError> {
    rmp_serde::to_vec_named(value).map_err(|error| CallError::HostFault { message: format!("cannot encode: {error}") })
}

/// Decodes a value from msgpack; `what` names it in the error.
///
/// # Errors
/// [`CallError::Malformed`] for anything that is not the msgpack of a `T`, nested at most [`MAX_DEPTH`] deep.
pub fn decode<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, CallError> {
    decode_in_place(what, bytes)
}

/// The same for a value that borrows from the bytes.
///
/// # Errors
/// As for [`decode`].
pub fn decode_in_place<'a, T: Deserialize<'a>>(what: &str, bytes: &'a [u8]) -> Result<T, CallError> {
    let body = bytes.strip_prefix(&[0xc1]).unwrap_or(bytes);
    let mut decoder = rmp_serde::Deserializer::from_read_ref(body);
    decoder.set_max_depth(MAX_DEPTH);
    T::deserialize(&mut decoder)
        .map_err(|error| CallError::Malformed { what: what.to_owned(), reason: error.to_string() })
}

/// Decodes a result that says nothing: no bytes from older peers, `nil` from newer ones.
///
/// # Errors
/// [`CallError::Malformed`] for anything else.
pub fn decode_unit(what: &str, bytes: &[u8]) -> Result<(), CallError> {
    if bytes.is_empty() { Ok(()) } else { decode(what, bytes) }
}
