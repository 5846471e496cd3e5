//! `cmd.{host}.sp`: stop a provider. Here `provider_ref` is the public key.
//!
//! A provider is identified by id and link name; the contract is carried along for older hosts.

use claims::ProviderId;
use serde::{Deserialize, Serialize};

use super::{Annotations, ControlRequest};
use crate::{ContractId, LinkName};

/// Request of `cmd.{host}.sp`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopProvider {
    /// The provider.
    #[serde(rename = "provider_ref")]
    pub provider_id: ProviderId,
    /// The contract it serves.
    #[serde(default, deserialize_with = "super::lenient::empty_is_none", skip_serializing_if = "Option::is_none")]
    pub contract_id: Option<ContractId>,
    /// The link name it runs under.
    #[serde(default, deserialize_with = "super::lenient::empty_is_default")]
    pub link_name: LinkName,
    /// Sent by clients, without effect on hosts.
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

impl ControlRequest for StopProvider {
    const WHAT: &'static str = "provider stop command";
}
