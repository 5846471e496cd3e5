//! A question to the policy service: who does what to whom. Two equal questions have one answer.
//!
//! Pure, apart from looking up what lattice state knows of the parties. Invariant: whatever a decision may depend on
//! and can differ between two calls is part of the question.

use claims::{AccountId, ActorId, ProviderId, PublicKey};
use lattice::{
    ContractId, LinkName,
    policy::{PolicyAction, PolicyHost, PolicyRequest, PolicySource, PolicyTarget},
    stored_claims::StoredClaims,
};

use crate::core::Core;

/// An actor or provider, as a question names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Party {
    key: PublicKey,
    issuer: Option<AccountId>,
    /// Of a provider.
    serves: Option<(ContractId, LinkName)>,
}

impl Party {
    /// An actor: what runs here is known exactly, others by lattice state.
    pub fn actor(core: &Core, id: &ActorId) -> Self {
        let running = core.actors.get(id).map(|actor| actor.provenance.issuer);
        let issuer = running.or_else(|| core.tables().claims.issuer(&id.public_key()));
        Self { key: id.public_key(), issuer, serves: None }
    }

    /// An actor that is about to start.
    pub fn new_actor(id: &ActorId, issuer: AccountId) -> Self {
        Self { key: id.public_key(), issuer: Some(issuer), serves: None }
    }

    /// A provider of the lattice.
    pub fn provider(core: &Core, id: &ProviderId, contract: ContractId, link_name: LinkName) -> Self {
        let issuer = core.tables().claims.issuer(&id.public_key());
        Self { key: id.public_key(), issuer, serves: Some((contract, link_name)) }
    }

    /// A provider that is about to start.
    pub fn new_provider(id: &ProviderId, issuer: AccountId, contract: ContractId, link_name: LinkName) -> Self {
        Self { key: id.public_key(), issuer: Some(issuer), serves: Some((contract, link_name)) }
    }

    fn contract(&self) -> Option<ContractId> {
        self.serves.as_ref().map(|(contract, _)| contract.clone())
    }

    fn link_name(&self) -> Option<LinkName> {
        self.serves.as_ref().map(|(_, link_name)| link_name.clone())
    }
}

/// What a decision is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Question {
    action: PolicyAction,
    source: Option<Party>,
    target: Party,
}

impl Question {
    /// May this start here?
    pub fn start(action: PolicyAction, target: Party) -> Self {
        Self { action, source: None, target }
    }

    /// May one call the other?
    pub fn call(source: Party, target: Party) -> Self {
        Self { action: PolicyAction::PerformInvocation, source: Some(source), target }
    }

    /// The message.
    pub fn request(&self, core: &Core, request_id: &str) -> PolicyRequest {
        PolicyRequest {
            request_id: request_id.to_owned(),
            source: self.source.as_ref().map(|party| source(core, party)).unwrap_or_default(),
            target: PolicyTarget {
                public_key: self.target.key,
                issuer: self.target.issuer,
                contract_id: self.target.contract(),
                link_name: self.target.link_name(),
            },
            host: PolicyHost {
                public_key: core.identity.host_id,
                lattice_id: core.config.lattice.clone(),
                labels: core.labels(),
                cluster_issuers: core.identity.trusted_issuers.iter().copied().collect(),
            },
            action: self.action,
        }
    }
}

fn source(core: &Core, party: &Party) -> PolicySource {
    let capabilities = match core.tables().claims.get(&party.key).as_deref() {
        Some(StoredClaims::Actor(actor)) => actor.capabilities.clone(),
        _ => Vec::new(),
    };
    PolicySource {
        public_key: Some(party.key),
        contract_id: party.contract(),
        link_name: party.link_name(),
        capabilities,
        issuer: party.issuer,
        ..PolicySource::default()
    }
}
