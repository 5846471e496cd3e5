//! `owners.put`: a signed word on which account an actor or provider belongs to. Ours; hosts of others do not serve it.

use serde::{Deserialize, Serialize};

use super::ControlRequest;

/// Request of `owners.put`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutOwner {
    /// The signed transfer (`claims::ownership::Transfer`).
    pub token: String,
}

impl ControlRequest for PutOwner {
    const WHAT: &'static str = "transfer of ownership";
}
