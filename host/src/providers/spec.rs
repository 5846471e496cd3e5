//! What is known of a provider before it runs.

use claims::{HostId, ProviderId};
use lattice::{
    ContractId, LinkName,
    event::{EventData, ProviderClaims, ProviderStarted, ProviderStopped},
    invocation::Entity,
};
use lattice_state::{revocations::Provenance, scale::Annotations};

/// What is known of a provider before it runs.
#[derive(Debug, Clone)]
pub struct ProviderSpec {
    /// Its key.
    pub id: ProviderId,
    /// The link name it runs under.
    pub link_name: LinkName,
    /// The contract it serves.
    pub contract: ContractId,
    /// Its name.
    pub name: String,
    /// Its revision.
    pub revision: i32,
    /// The reference as the client wrote it.
    pub image_ref: String,
    /// Notes of whoever started it.
    pub annotations: Annotations,
    /// Distinguishes this start from others.
    pub instance_id: String,
    /// Its claims as events show them.
    pub claims: ProviderClaims,
    /// Configuration text given at start.
    pub config: Option<String>,
    /// Where it comes from.
    pub provenance: Provenance,
    /// Whether its process signs with a key of its own, so that it needs no cluster seed.
    pub own_key: bool,
}

impl ProviderSpec {
    /// Who it is in a call.
    #[must_use]
    pub fn entity(&self) -> Entity {
        Entity::provider(&self.id, &self.link_name, &self.contract)
    }

    /// The event of a start on `host`.
    #[must_use]
    pub fn started(&self, host: HostId) -> EventData {
        EventData::ProviderStarted(ProviderStarted {
            host_id: host,
            public_key: self.id,
            image_ref: self.image_ref.clone(),
            link_name: self.link_name.clone(),
            contract_id: self.contract.clone(),
            instance_id: self.instance_id.clone(),
            annotations: self.annotations.clone(),
            claims: self.claims.clone(),
        })
    }

    /// The event of an end on `host`.
    #[must_use]
    pub fn stopped(&self, host: HostId, reason: String) -> EventData {
        EventData::ProviderStopped(ProviderStopped {
            host_id: host,
            public_key: self.id,
            link_name: self.link_name.clone(),
            contract_id: self.contract.clone(),
            instance_id: self.instance_id.clone(),
            annotations: self.annotations.clone(),
            reason,
        })
    }
}
