//! `cmd.{host}.lp`: start a provider. Here `provider_ref` is the reference.
//!
//! The ack comes at once, the outcome as an event.

use serde::{Deserialize, Serialize};

use super::{Annotations, ControlRequest};
use crate::{
    LinkName,
    bounds::{self, LimitExceeded},
};

/// Request of `cmd.{host}.lp`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartProvider {
    /// The reference as the operator wrote it; events repeat it verbatim.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub provider_ref: String,
    /// The link name it runs under.
    #[serde(default, deserialize_with = "super::lenient::empty_is_default")]
    pub link_name: LinkName,
    /// Notes on the workload.
    #[serde(
        default,
        deserialize_with = "super::lenient::null_is_default",
        skip_serializing_if = "Annotations::is_empty"
    )]
    pub annotations: Annotations,
    /// Text that the provider gets as its configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<String>,
    /// Repeats the host of the subject. Hosts ignore it; the client fills it in.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub host_id: String,
}

impl ControlRequest for StartProvider {
    const WHAT: &'static str = "provider launch command";

    fn check_size(&self) -> Result<(), LimitExceeded> {
        bounds::reference(&self.provider_ref)?;
        bounds::annotations(&self.annotations)?;
        let configuration = self.configuration.as_ref().map_or(0, String::len);
        bounds::bytes("configuration of a provider", configuration, bounds::MAX_CONFIGURATION)
    }
}
