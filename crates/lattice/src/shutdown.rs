//! The request of a host to a provider to end, and its answer.
//!
//! Knows the messages, not processes. Invariant: a provider obeys only the host that started it.

use claims::HostId;
use serde::{Deserialize, Serialize};

/// What a provider answers before it ends.
pub const SHUTDOWN_REPLY: &str = "shutting down";

/// The request, JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShutdownRequest {
    /// Text of the host id. Kept as text because a foreign or empty one is not an error but a request to ignore.
    #[serde(default)]
    pub host_id: String,
}

impl ShutdownRequest {
    /// The request of `host`.
    #[must_use]
    pub fn new(host: &HostId) -> Self {
        Self { host_id: host.to_string() }
    }

    /// Whether it is meant for a provider that `host` started.
    #[must_use]
    pub fn is_from(&self, host: &HostId) -> bool {
        self.host_id == host.as_str()
    }

    /// Encodes it.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("one string")
    }

    /// Reads it; `None` when it is something else.
    #[must_use]
    pub fn from_json(bytes: &[u8]) -> Option<Self> {
        if !bytes.trim_ascii_start().starts_with(b"{") {
            return None;
        }
        serde_json::from_slice(bytes).ok()
    }
}
