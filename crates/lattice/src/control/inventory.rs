//! `get.{host}.inv`: what a host runs. The same object is the payload of a heartbeat.
//!
//! The request is empty. There is one instance entry per set of annotations, not per concurrent execution.

use std::collections::BTreeMap;

use claims::{ActorId, HostId, ProviderId};
use serde::{Deserialize, Serialize};

use super::{Annotations, Labels, Limits};
use crate::{ContractId, LinkName};

/// What a host runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostInventory {
    /// The host.
    pub host_id: HostId,
    /// Public key of the cluster seed the host signs invocations with.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub issuer: String,
    /// `adjective-noun-1234`.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub friendly_name: String,
    /// Facts about the host.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub labels: Labels,
    /// Semantic version of the host.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub version: String,
    /// Time since start, for people.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub uptime_human: String,
    /// Time since start.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub uptime_seconds: u64,
    /// Actors that have at least one instance entry.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub actors: Vec<ActorDescription>,
    /// One entry per provider and link name.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub providers: Vec<ProviderDescription>,
    /// Version of the session format the host speaks, if it does. Ours; hosts of others do not send it.
    #[serde(default, deserialize_with = "super::lenient::small_number", skip_serializing_if = "Option::is_none")]
    pub sessions: Option<u8>,
}

/// An actor on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorDescription {
    /// The actor.
    #[serde(alias = "public_key")]
    pub id: ActorId,
    /// Reference of one of its instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_ref: Option<String>,
    /// Name from its claims.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// One entry per set of annotations.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub instances: Vec<ActorInstance>,
    /// The limits its start set. Ours; hosts of others do not send it.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// How often its calls broke which limit. Ours; hosts of others do not send it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits_exceeded: BTreeMap<String, u64>,
}

/// An actor with one set of annotations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorInstance {
    /// Notes given when it was scaled.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub annotations: Annotations,
    /// The reference as the operator wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_ref: Option<String>,
    /// UUID text.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub instance_id: String,
    /// Revision from its claims.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub revision: i32,
    /// Upper bound of concurrent executions.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub max_instances: u32,
}

/// A provider on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderDescription {
    /// The provider.
    #[serde(alias = "public_key")]
    pub id: ProviderId,
    /// Notes given when it was started.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub annotations: Annotations,
    /// The reference as the operator wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_ref: Option<String>,
    /// Contract it serves.
    pub contract_id: ContractId,
    /// Link name it runs under.
    #[serde(default, deserialize_with = "super::lenient::empty_is_default")]
    pub link_name: LinkName,
    /// Name from its claims.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Revision from its claims.
    #[serde(default, deserialize_with = "super::lenient::null_is_default")]
    pub revision: i32,
}
