//! What each event says.
//!
//! One struct per shape, with exactly the members other programs expect. Readers accept what older hosts leave out.
//! Invariants: what must be a string or a list for others is never written as null, and a failure names both the
//! reference that was asked for (`image_ref`, `actor_ref`), because clients wait for either.

use claims::{ActorId, ActorMetadata, HostId, Inspection, ProviderId, ProviderMetadata};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    ContractId, Link, LinkId, LinkName,
    control::{Annotations, Labels},
    wire::nil_is_default,
};

/// A host joined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostStarted {
    /// `adjective-noun-1234`.
    #[serde(default)]
    pub friendly_name: String,
    /// Facts about the host.
    #[serde(default, deserialize_with = "nil_is_default")]
    pub labels: Labels,
    /// Always 0.
    #[serde(default)]
    pub uptime_seconds: u64,
    /// Semantic version of the host.
    #[serde(default)]
    pub version: String,
}

/// A host left in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostStopped {
    /// Facts about the host.
    #[serde(default, deserialize_with = "nil_is_default")]
    pub labels: Labels,
}

/// What the signed claims of an actor say, as events show it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorClaims {
    /// Name by which other actors may call it.
    #[serde(default)]
    pub call_alias: Option<String>,
    /// Contracts it may use.
    #[serde(default, deserialize_with = "nil_is_default")]
    pub caps: Vec<String>,
    /// Account that signed it.
    #[serde(default)]
    pub issuer: String,
    /// Free tags.
    #[serde(default)]
    pub tags: Option<Vec<String>>,
    /// Name for people.
    #[serde(default, deserialize_with = "nil_is_default")]
    pub name: String,
    /// Version for people.
    #[serde(default, deserialize_with = "nil_is_default")]
    pub version: String,
    /// Revision.
    #[serde(default, deserialize_with = "nil_is_default")]
    pub revision: i32,
    /// When the claims start to hold, for people.
    #[serde(default)]
    pub not_before_human: String,
    /// When the claims end to hold, for people.
    #[serde(default)]
    pub expires_human: String,
}

impl From<&Inspection<ActorMetadata>> for ActorClaims {
    fn from(inspection: &Inspection<ActorMetadata>) -> Self {
        let metadata = inspection.claims.metadata.clone().unwrap_or_default();
        Self {
            call_alias: metadata.call_alias,
            caps: metadata.caps.unwrap_or_default(),
            issuer: inspection.claims.issuer.to_string(),
            tags: metadata.tags,
            name: metadata.name.unwrap_or_default(),
            version: metadata.ver.unwrap_or_default(),
            revision: metadata.rev.unwrap_or_default(),
            not_before_human: inspection.not_before_human.clone(),
            expires_human: inspection.expires_human.clone(),
        }
    }
}

/// What the signed claims of a provider say, as events show it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderClaims {
    /// Account that signed it.
    #[serde(default)]
    pub issuer: String,
    /// Always null; providers have no tags.
    #[serde(default)]
    pub tags: Option<Vec<String>>,
    /// Name for people.
    #[serde(default, deserialize_with = "nil_is_default")]
    pub name: String,
    /// Version for people.
    #[serde(default, deserialize_with = "nil_is_default")]
    pub version: String,
    /// When the claims start to hold, for people.
    #[serde(default)]
    pub not_before_human: String,
    /// When the claims end to hold, for people.
    #[serde(default)]
    pub expires_human: String,
}

impl From<&Inspection<ProviderMetadata>> for ProviderClaims {
    fn from(inspection: &Inspection<ProviderMetadata>) -> Self {
        let metadata = inspection.claims.metadata.clone().unwrap_or_default();
        Self {
            issuer: inspection.claims.issuer.to_string(),
            tags: None,
            name: metadata.name.unwrap_or_default(),
            version: metadata.ver.unwrap_or_default(),
            not_before_human: inspection.not_before_human.clone(),
            expires_human: inspection.expires_human.clone(),
        }
    }
}

/// Instances of an actor were added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorsStarted {
    /// The actor.
    pub public_key: ActorId,
    /// The reference, as the operator wrote it.
    #[serde(default)]
    pub image_ref: String,
    /// Notes it was started with.
    #[serde(default, deserialize_with = "nil_is_default")]
    pub annotations: Annotations,
    /// The host.
    pub host_id: HostId,
    /// What its claims say.
    #[serde(default, deserialize_with = "nil_is_default")]
    pub claims: ActorClaims,
    /// How many were added.
    #[serde(default)]
    pub count: u32,
}

/// An actor could not be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorsStartFailed {
    /// The actor; unknown when it could not even be fetched (written as an empty text).
    #[serde(with = "known_or_empty", default)]
    pub public_key: Option<ActorId>,
    /// The reference, as the operator wrote it.
    #[serde(default)]
    pub image_ref: String,
    /// The same reference, under the name some clients look for.
    #[serde(default)]
    pub actor_ref: String,
    /// Notes it was to be started with.
    #[serde(default, deserialize_with = "nil_is_default")]
    pub annotations: Annotations,
    /// The host.
    pub host_id: HostId,
    /// Why.
    #[serde(default)]
    pub error: String,
}

/// Instances of an actor were removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorsStopped {
    /// The actor.
    pub public_key: ActorId,
    /// The reference, as the operator wrote it.
    #[serde(default)]
    pub image_ref: String,
    /// Notes it ran with.
    #[serde(default, deserialize_with = "nil_is_default")]
    pub annotations: Annotations,
    /// The host.
    pub host_id: HostId,
    /// How many were removed.
    #[serde(default)]
    pub count: u32,
    /// How many stay.
    #[serde(default)]
    pub remaining: u32,
}

/// An actor has a new number of instances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorScaled {
    /// The actor.
    pub public_key: ActorId,
    /// What its claims say.
    #[serde(default, deserialize_with = "nil_is_default")]
    pub claims: ActorClaims,
    /// Notes it runs with.
    #[serde(default, deserialize_with = "nil_is_default")]
    pub annotations: Annotations,
    /// The host.
    pub host_id: HostId,
    /// The reference, as the operator wrote it.
    #[serde(default)]
    pub image_ref: String,
    /// The new upper bound, 0 after a stop. Some hosts send the number removed instead: do not rely on it.
    #[serde(default)]
    pub max_instances: u32,
}

/// The number of instances of an actor could not be set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorScaleFailed {
    /// The actor; unknown when it could not even be fetched (written as an empty text).
    #[serde(with = "known_or_empty", default)]
    pub public_key: Option<ActorId>,
    /// Notes it was to run with.
    #[serde(default, deserialize_with = "nil_is_default")]
    pub annotations: Annotations,
    /// The host.
    pub host_id: HostId,
    /// The reference, as the operator wrote it.
    #[serde(default)]
    pub image_ref: String,
    /// The same reference, under the name some clients look for.
    #[serde(default)]
    pub actor_ref: String,
    /// The bound that was asked for.
    #[serde(default)]
    pub max_instances: u32,
    /// Why.
    #[serde(default)]
    pub error: String,
    /// Why, as a stable word. Ours; hosts of others do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// A provider was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderStarted {
    /// The host.
    pub host_id: HostId,
    /// The provider.
    pub public_key: ProviderId,
    /// The reference, as the operator wrote it.
    #[serde(default)]
    pub image_ref: String,
    /// The link name it runs under.
    pub link_name: LinkName,
    /// The contract it serves.
    pub contract_id: ContractId,
    /// Identifies the process (UUID text).
    #[serde(default)]
    pub instance_id: String,
    /// Notes it was started with.
    #[serde(default, deserialize_with = "nil_is_default")]
    pub annotations: Annotations,
    /// What its claims say.
    #[serde(default, deserialize_with = "nil_is_default")]
    pub claims: ProviderClaims,
}

/// A provider could not be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderStartFailed {
    /// The reference, as the operator wrote it.
    #[serde(default)]
    pub provider_ref: String,
    /// The link name it was to run under.
    pub link_name: LinkName,
    /// Why.
    #[serde(default)]
    pub error: String,
    /// Why, as a stable word. Ours; hosts of others do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// A provider ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderStopped {
    /// The host.
    pub host_id: HostId,
    /// The provider.
    pub public_key: ProviderId,
    /// The link name it ran under.
    pub link_name: LinkName,
    /// The contract it served.
    pub contract_id: ContractId,
    /// Identifies the process (UUID text).
    #[serde(default)]
    pub instance_id: String,
    /// Notes it was started with.
    #[serde(default, deserialize_with = "nil_is_default")]
    pub annotations: Annotations,
    /// Why, `stop` when an operator asked for it.
    #[serde(default)]
    pub reason: String,
}

/// A provider answered a health check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// The provider.
    pub public_key: ProviderId,
    /// The link name it runs under.
    pub link_name: LinkName,
    /// The contract it serves.
    pub contract_id: ContractId,
}

/// A link was put or deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkChanged {
    /// The id of the link.
    pub id: LinkId,
    /// The link.
    #[serde(flatten)]
    pub link: Link,
}

impl From<Link> for LinkChanged {
    fn from(link: Link) -> Self {
        Self { id: link.id(), link }
    }
}

/// A provider took a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkApplied {
    /// The id of the link.
    pub id: LinkId,
    /// The host the provider runs on.
    pub host_id: HostId,
    /// The actor.
    pub actor_id: ActorId,
    /// The provider.
    pub provider_id: ProviderId,
    /// The link name.
    pub link_name: LinkName,
    /// The contract.
    pub contract_id: ContractId,
}

impl LinkApplied {
    /// `link` was taken by its provider on `host`. Its values stay behind.
    #[must_use]
    pub fn new(host: HostId, link: &Link) -> Self {
        Self {
            id: link.id(),
            host_id: host,
            actor_id: link.actor_id,
            provider_id: link.provider_id,
            link_name: link.link_name.clone(),
            contract_id: link.contract_id.clone(),
        }
    }
}

/// A provider refused a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkFailed {
    /// Which link, where.
    #[serde(flatten)]
    pub link: LinkApplied,
    /// Why.
    pub error: String,
}

impl LinkFailed {
    /// `link` was refused by its provider on `host`.
    #[must_use]
    pub fn new(host: HostId, link: &Link, error: impl Into<String>) -> Self {
        Self { link: LinkApplied::new(host, link), error: error.into() }
    }
}

/// A configuration entry was set or removed. The value is not part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigChanged {
    /// Public key of the actor or provider.
    pub entity_id: String,
    /// Name of the entry.
    pub key: String,
}

/// An id that may be unknown, as a text that is then empty: others cannot read null there.
mod known_or_empty {
    use super::{ActorId, Deserialize, Deserializer, Serializer};
    use serde::de::Error as _;

    pub(super) fn serialize<S: Serializer>(id: &Option<ActorId>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(id.as_ref().map_or("", ActorId::as_str))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ActorId>, D::Error> {
        match Option::<String>::deserialize(deserializer)?.as_deref() {
            None | Some("") => Ok(None),
            Some(text) => text.parse().map(Some).map_err(D::Error::custom),
        }
    }
}
