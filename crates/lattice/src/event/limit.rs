//! What the event about a broken limit says. Ours alone.
//!
//! One event stands for all that happened since the last one; hosts send at most one per second, actor and limit.

use claims::{ActorId, HostId};
use serde::{Deserialize, Serialize};

/// Calls of an actor broke a limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorLimitExceeded {
    /// The actor.
    pub public_key: ActorId,
    /// The reference, as the operator wrote it.
    #[serde(default)]
    pub image_ref: String,
    /// The host.
    pub host_id: HostId,
    /// The limit by name.
    pub limit: String,
    /// Its value, as an operator would write it.
    #[serde(default)]
    pub value: String,
    /// How often since the last such event.
    pub count: u64,
}
