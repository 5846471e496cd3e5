//! The MessagePack form of invocations and their answers.
//!
//! Members as named maps, in the order other hosts write them; reads whatever order, and positional arrays. Invariant:
//! `content_length` is the length of the whole payload also when `msg` is empty because the payload is in the object
//! store; it is always written and required when read.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Entity, body, body::Body};
use crate::{
    WireError, is_chunked,
    wire::{self, nil_is_default},
};

/// Longest text of a failure that crosses between hosts, in bytes; a longer one is cut and says so. Whoever waits for it
/// hears something, whatever a guest or provider reports.
pub const MAX_ERROR_BYTES: usize = 64 << 10;

/// What stands for the id in an answer to something that could not be read.
pub const UNKNOWN_INVOCATION: &str = "UNKNOWN";

/// One call. Made by [`Invocation::issue`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Invocation {
    /// Who calls.
    pub origin: Entity,
    /// Who is called.
    pub target: Entity,
    /// `Trait.Method`, without contract.
    pub operation: String,
    /// The argument; empty when it is in the object store.
    #[serde(serialize_with = "body::serialize")]
    pub msg: Bytes,
    /// Unique; also names the object that holds a large argument.
    pub id: String,
    /// The signature and what it covers, a token.
    pub encoded_claims: String,
    /// The sending host.
    pub host_id: String,
    /// Length of the whole argument.
    pub content_length: u64,
    /// W3C trace context.
    #[serde(rename = "traceContext")]
    pub trace_context: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct ReadInvocation<'a> {
    origin: Entity,
    target: Entity,
    #[serde(default, deserialize_with = "nil_is_default")]
    operation: String,
    #[serde(borrow, default)]
    msg: Body<'a>,
    #[serde(default, deserialize_with = "nil_is_default")]
    id: String,
    #[serde(default, deserialize_with = "nil_is_default")]
    encoded_claims: String,
    #[serde(default, deserialize_with = "nil_is_default")]
    host_id: String,
    content_length: u64,
    #[serde(rename = "traceContext", default, deserialize_with = "nil_is_default")]
    trace_context: BTreeMap<String, String>,
}

impl Invocation {
    /// Encodes the envelope with whatever `msg` holds.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        wire::encode(self, self.msg.len() + self.encoded_claims.len() + 1024).into()
    }

    /// Reads an envelope. `msg` shares the memory of `message`.
    ///
    /// # Errors
    /// [`WireError`]; answer it with [`UNKNOWN_INVOCATION`].
    pub fn decode(message: &Bytes) -> Result<Self, WireError> {
        Self::decode_within(message, wire::MAX_BYTES)
    }

    /// The same where large payloads travel in the envelope, as they do over the control socket.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn decode_within(message: &Bytes, max: usize) -> Result<Self, WireError> {
        let read: ReadInvocation<'_> = wire::decode_within(message, max)?;
        Ok(Self {
            origin: read.origin,
            target: read.target,
            operation: read.operation,
            msg: read.msg.into_bytes(message),
            id: read.id,
            encoded_claims: read.encoded_claims,
            host_id: read.host_id,
            content_length: read.content_length,
            trace_context: read.trace_context,
        })
    }

    /// Whether the whole argument is so long that it must travel through the object store.
    #[must_use]
    pub fn is_chunked(&self) -> bool {
        is_chunked(self.content_length)
    }

    /// The same call with the argument left out of the envelope, and the argument.
    #[must_use]
    pub fn split_msg(mut self) -> (Self, Bytes) {
        let msg = std::mem::take(&mut self.msg);
        (self, msg)
    }
}

/// A text of a failure as it crosses between hosts.
fn bounded(mut text: String) -> String {
    if text.len() > MAX_ERROR_BYTES {
        let remark = format!(" … (cut; {} bytes in all)", text.len());
        text.truncate(text.floor_char_boundary(MAX_ERROR_BYTES - remark.len()));
        text.push_str(&remark);
        text.shrink_to_fit();
    }
    text
}

/// The answer to one call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InvocationResponse {
    /// The result; empty when it is in the object store, or when there is an error.
    #[serde(serialize_with = "body::serialize")]
    pub msg: Bytes,
    /// The id of the call.
    pub invocation_id: String,
    /// Present, even if empty, when the call failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Length of the whole result.
    pub content_length: u64,
    /// W3C trace context.
    #[serde(rename = "traceContext")]
    pub trace_context: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct ReadResponse<'a> {
    #[serde(borrow, default)]
    msg: Body<'a>,
    #[serde(default, deserialize_with = "nil_is_default")]
    invocation_id: String,
    #[serde(default)]
    error: Option<String>,
    content_length: u64,
    #[serde(rename = "traceContext", default, deserialize_with = "nil_is_default")]
    trace_context: BTreeMap<String, String>,
}

impl InvocationResponse {
    /// A result.
    #[must_use]
    pub fn success(invocation_id: impl Into<String>, msg: Bytes) -> Self {
        Self {
            content_length: msg.len() as u64,
            msg,
            invocation_id: invocation_id.into(),
            error: None,
            trace_context: BTreeMap::new(),
        }
    }

    /// A failure. A text longer than [`MAX_ERROR_BYTES`] is cut.
    #[must_use]
    pub fn failure(invocation_id: impl Into<String>, error: impl Into<String>) -> Self {
        Self { error: Some(bounded(error.into())), ..Self::success(invocation_id, Bytes::new()) }
    }

    /// Encodes the envelope with whatever `msg` holds.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        wire::encode(self, self.msg.len() + self.error.as_ref().map_or(0, String::len) + 256).into()
    }

    /// Reads an envelope. `msg` shares the memory of `message`.
    ///
    /// # Errors
    /// [`WireError`].
    pub fn decode(message: &Bytes) -> Result<Self, WireError> {
        Self::decode_within(message, wire::MAX_BYTES)
    }

    /// The same where large results travel in the envelope, as they do over the control socket.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn decode_within(message: &Bytes, max: usize) -> Result<Self, WireError> {
        let read: ReadResponse<'_> = wire::decode_within(message, max)?;
        Ok(Self {
            msg: read.msg.into_bytes(message),
            invocation_id: read.invocation_id,
            error: read.error.map(bounded),
            content_length: read.content_length,
            trace_context: read.trace_context,
        })
    }

    /// Whether the whole result is so long that it must travel through the object store.
    #[must_use]
    pub fn is_chunked(&self) -> bool {
        is_chunked(self.content_length)
    }

    /// The same answer with the result left out of the envelope, and the result.
    #[must_use]
    pub fn split_msg(mut self) -> (Self, Bytes) {
        let msg = std::mem::take(&mut self.msg);
        (self, msg)
    }
}
