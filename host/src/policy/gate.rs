//! Where the policy stands in the way of a start: one function per action, called by whoever is about to do it.
//!
//! What it says about calls is asked in `calls/permission`. Invariant: nobody waits longer than the service is given.

use std::sync::Arc;

use claims::{AccountId, ActorId, ProviderId};
use lattice::{ContractId, LinkName, policy::PolicyAction};

use super::{Party, Policy, PolicyError, Question};

impl Policy {
    /// Whether an actor may start, or get more instances.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub async fn may_start_actor(self: &Arc<Self>, actor: &ActorId, issuer: AccountId) -> Result<(), PolicyError> {
        let target = Party::actor(actor, Some(issuer));
        self.check(Question::start(PolicyAction::StartActor, target), Vec::new).await
    }

    /// Whether a provider may start.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub async fn may_start_provider(
        self: &Arc<Self>,
        provider: &ProviderId,
        issuer: AccountId,
        contract: &ContractId,
        link_name: &LinkName,
    ) -> Result<(), PolicyError> {
        let target = Party::provider(provider, Some(issuer), contract.clone(), link_name.clone());
        self.check(Question::start(PolicyAction::StartProvider, target), Vec::new).await
    }
}
