//! A question to the policy service: who does what to whom. Two equal questions have one answer.
//!
//! Pure. Invariant: whatever a decision may depend on
//! and can differ between two calls is part of the question.

use claims::{AccountId, ActorId, ProviderId, PublicKey};
use lattice::{
    ContractId, LinkName,
    policy::{PolicyAction, PolicyHost, PolicyRequest, PolicySource, PolicyTarget},
};

/// An actor or provider, as a question names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Party {
    key: PublicKey,
    issuer: Option<AccountId>,
    /// Of a provider.
    serves: Option<(ContractId, LinkName)>,
}

impl Party {
    /// An actor, and who signed it, where that is known.
    pub fn actor(id: &ActorId, issuer: Option<AccountId>) -> Self {
        Self { key: id.public_key(), issuer, serves: None }
    }

    /// A provider, and who signed it, where that is known.
    pub fn provider(id: &ProviderId, issuer: Option<AccountId>, contract: ContractId, link_name: LinkName) -> Self {
        Self { key: id.public_key(), issuer, serves: Some((contract, link_name)) }
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

    /// What is to be done.
    pub fn action(&self) -> PolicyAction {
        self.action
    }

    /// The message, from `host`. `capabilities` are those of the source, where that is an actor.
    pub fn request(&self, host: PolicyHost, capabilities: Vec<String>, request_id: &str) -> PolicyRequest {
        PolicyRequest {
            request_id: request_id.to_owned(),
            source: self.source.as_ref().map(|party| source(party, capabilities)).unwrap_or_default(),
            target: PolicyTarget {
                public_key: self.target.key,
                issuer: self.target.issuer,
                contract_id: self.target.contract(),
                link_name: self.target.link_name(),
            },
            host,
            action: self.action,
        }
    }
}

fn source(party: &Party, capabilities: Vec<String>) -> PolicySource {
    PolicySource {
        public_key: Some(party.key),
        contract_id: party.contract(),
        link_name: party.link_name(),
        capabilities,
        issuer: party.issuer,
        ..PolicySource::default()
    }
}
