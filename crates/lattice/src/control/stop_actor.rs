//! `cmd.{host}.sa`: stop an actor. Here `actor_ref` is the public key, not the reference.
//!
//! Events precede the ack.

use claims::ActorId;
use serde::{Deserialize, Serialize};

use super::{Annotations, ControlRequest};

/// Request of `cmd.{host}.sa`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopActor {
    /// The actor.
    #[serde(rename = "actor_ref")]
    pub actor_id: ActorId,
    /// Stops the instances that carry at least these; none means all.
    #[serde(
        default,
        deserialize_with = "super::lenient::null_is_default",
        skip_serializing_if = "Annotations::is_empty"
    )]
    pub annotations: Annotations,
    /// Repeats the host of the subject. Hosts ignore it; the client fills it in.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub host_id: String,
}

impl ControlRequest for StopActor {
    const WHAT: &'static str = "actor stop command";
}
