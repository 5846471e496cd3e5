//! `cmd.{host}.stop`: end a host. The ack comes first, the end after it.

use serde::{Deserialize, Serialize};

use super::ControlRequest;

/// Request of `cmd.{host}.stop`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopHost {
    /// Repeats the host of the subject. Hosts ignore it; the client fills it in.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub host_id: String,
    /// How long the host may take, in milliseconds; the host has a default.
    #[serde(rename = "timeout", default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

impl ControlRequest for StopHost {
    const WHAT: &'static str = "host stop command";
}
