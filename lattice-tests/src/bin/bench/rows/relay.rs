//! The call that rows measure: `Echo.Relay`, by which one echo actor calls another with 256 bytes and gives its answer
//! back.

use anyhow::{Result, ensure};
use bytes::Bytes;
use claims::ActorId;
use contracts::codec;
use serde::Serialize;

/// Operation of the caller.
pub const RELAY: &str = "Echo.Relay";
/// Operation of the callee.
pub const ECHO: &str = "Bench.Echo";
/// What travels, and comes back.
pub const PAYLOAD: &[u8] = &[b'x'; 256];

#[derive(Serialize)]
struct Relay<'a> {
    actor: &'a str,
    operation: &'a str,
    #[serde(with = "serde_bytes")]
    payload: &'a [u8],
}

/// The argument that makes the caller call `callee`.
pub fn request(callee: &ActorId) -> Result<Bytes> {
    let relay = Relay { actor: callee.as_str(), operation: ECHO, payload: PAYLOAD };
    Ok(codec::encode(&relay)?.into())
}

/// A figure of calls that go wrong would be a figure of nothing.
pub fn check(answer: &[u8]) -> Result<()> {
    ensure!(answer == PAYLOAD, "the answer has {} bytes and is not what was sent", answer.len());
    Ok(())
}
