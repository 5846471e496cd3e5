//! What the events about revocation say. Ours alone.
//!
//! They go beside the usual events of a stop, which other programs know; these say why.

use claims::{ActorId, HostId, ProviderId};
use serde::{Deserialize, Serialize};

use crate::{ContractId, LinkName};

/// The entry that names an artifact, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokedBy {
    /// `issuer`, `actor`, `provider` or `digest`.
    pub revoked: String,
    /// Which one: a public key, or `sha256:…`.
    pub revoked_id: String,
    /// The words of whoever revoked it; empty when there are none.
    #[serde(default)]
    pub reason: String,
    /// Public key that signed the list.
    pub signer: String,
    /// Number of the list.
    pub number: u64,
}

/// An actor was stopped because a revocation list names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorRevoked {
    /// The actor.
    pub public_key: ActorId,
    /// The reference, as the operator wrote it.
    #[serde(default)]
    pub image_ref: String,
    /// The host.
    pub host_id: HostId,
    /// Why.
    #[serde(flatten)]
    pub by: RevokedBy,
}

/// A provider was stopped because a revocation list names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderRevoked {
    /// The provider.
    pub public_key: ProviderId,
    /// The link name it ran under.
    pub link_name: LinkName,
    /// The contract it served.
    pub contract_id: ContractId,
    /// The reference, as the operator wrote it.
    #[serde(default)]
    pub image_ref: String,
    /// The host.
    pub host_id: HostId,
    /// Why.
    #[serde(flatten)]
    pub by: RevokedBy,
}
