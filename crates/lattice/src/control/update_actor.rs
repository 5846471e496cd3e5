//! `cmd.{host}.upd`: replace a running actor by another version of itself.
//!
//! The ack comes when it is done.

use claims::ActorId;
use serde::{Deserialize, Serialize};

use super::{Annotations, ControlRequest};
use crate::bounds::{self, LimitExceeded};

/// Request of `cmd.{host}.upd`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateActor {
    /// The actor that runs.
    pub actor_id: ActorId,
    /// Reference of the version that shall run.
    pub new_actor_ref: String,
    /// Exactly the annotations of the instance to replace.
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

impl ControlRequest for UpdateActor {
    const WHAT: &'static str = "actor update command";

    fn check_size(&self) -> Result<(), LimitExceeded> {
        bounds::reference(&self.new_actor_ref)?;
        bounds::annotations(&self.annotations)
    }
}
