//! `cmd.{host}.scale`: how many instances of an actor may run at once; zero stops it.
//!
//! The wire calls the bound `count`. The ack comes at once, the outcome as an event.

use serde::{Deserialize, Serialize};

use super::{Annotations, ControlRequest, Limits};
use crate::bounds::{self, LimitExceeded};

/// The bound that means "as many as the host can".
pub const UNBOUNDED: u32 = u32::MAX;

/// Request of `cmd.{host}.scale`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScaleActor {
    /// The reference as the operator wrote it; events repeat it verbatim.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub actor_ref: String,
    /// Upper bound of concurrent executions.
    #[serde(
        rename = "count",
        alias = "max_instances",
        alias = "max_concurrent",
        default,
        deserialize_with = "super::lenient::null_is_default"
    )]
    pub max_instances: u32,
    /// Notes on the workload; each distinct set is scaled by itself.
    #[serde(
        default,
        deserialize_with = "super::lenient::null_is_default",
        skip_serializing_if = "Annotations::is_empty"
    )]
    pub annotations: Annotations,
    /// What the actor may use, by name, within what the host allows; absent leaves it as it is. Ours; hosts of others
    /// pass it over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// Repeats the host of the subject. Hosts ignore it; the client fills it in.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub host_id: String,
}

impl ControlRequest for ScaleActor {
    const WHAT: &'static str = "actor scale command";

    fn check_size(&self) -> Result<(), LimitExceeded> {
        bounds::reference(&self.actor_ref)?;
        bounds::annotations(&self.annotations)?;
        bounds::annotations(self.limits.as_ref().unwrap_or(&Limits::new()))
    }
}
