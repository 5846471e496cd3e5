//! The answer of a provider to a health check. The request is empty.
//!
//! Knows the message; what a host makes of a change is the host's business. Invariant: a healthy provider without a
//! remark answers the one member that every peer sends.

use serde::{Deserialize, Serialize};

use crate::{WireError, wire};

/// How a provider feels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthResponse {
    /// Whether calls can be expected to work.
    #[serde(default, deserialize_with = "wire::nil_is_default")]
    pub healthy: bool,
    /// Why not, or a remark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl HealthResponse {
    /// Encodes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(self, 64)
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`WireError`] when it is something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        wire::decode(bytes)
    }
}
