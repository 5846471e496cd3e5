//! Who may call whom: signed claims, revocation lists, the policy service.
//!
//! A call is asked about on the host where its target is: that is where hosts of the protocol ask. A call to a provider
//! is asked about on the host of its caller, because a provider process asks nobody, and where a provider is compiled in
//! on the host that runs it as well, because that of the caller may have no policy. Invariants: without a policy its
//! questions return at once; a call waits for a decision no longer than its deadline.

use std::{sync::Arc, time::Instant};

use claims::{ActorId, ProviderId, PublicKey};
use contracts::{CallError, httpserver};
use futures_util::future::BoxFuture;
use lattice::{ContractId, Link, LinkName, invocation::Entity, stored_claims::StoredClaims};
use lattice_state::{
    revocations::Provenance,
    store::{Store, Tables},
};
use tokio::sync::Semaphore;

use super::origin;
use crate::{
    actors::{self, Actors},
    policy::{Party, Policy, PolicyError, Question},
    trust::own_issuer,
};

/// What calls are judged by.
pub struct Permission {
    store: Store,
    actors: Arc<Actors>,
    policy: Option<Arc<Policy>>,
    /// Calls that wait until the claims of their origin are known here.
    pub(super) strangers: Semaphore,
}

impl Permission {
    /// Judges by this state, by what runs here, and by the policy if there is one.
    #[must_use]
    pub fn new(store: Store, actors: Arc<Actors>, policy: Option<Arc<Policy>>) -> Self {
        Self { store, actors, policy, strangers: Semaphore::new(origin::MOST_WAITING) }
    }

    /// Lattice state in memory.
    pub(super) fn tables(&self) -> &Tables {
        self.store.tables()
    }

    /// The policy, if there is one.
    #[must_use]
    pub fn policy(&self) -> Option<&Arc<Policy>> {
        self.policy.as_ref()
    }

    /// Whether an actor's signed claims grant a contract.
    ///
    /// # Errors
    /// [`CallError::NotGranted`].
    pub fn check_grant(&self, actor: &ActorId, contract: &str) -> Result<(), CallError> {
        actors::check_grant(&self.actors, self.tables(), actor, contract)
    }

    /// Refuses a call from an actor or provider that is revoked. One that runs elsewhere is known by the claims of the
    /// lattice alone, so by its id and its issuer.
    ///
    /// # Errors
    /// [`CallError::Unauthorized`].
    pub fn check_caller(&self, caller: PublicKey) -> Result<(), CallError> {
        let lists = self.tables().revocations();
        if lists.is_empty() {
            return Ok(());
        }
        let issuer = self.tables().claims.issuer(&caller).unwrap_or_else(|| own_issuer(&caller));
        match lists.find(&Provenance { issuer, subject: caller, digests: Vec::new() }) {
            Some(named) => Err(CallError::Unauthorized { reason: format!("the caller is refused: {named}") }),
            None => Ok(()),
        }
    }

    /// Whether an actor of this host may call another one. About an actor elsewhere, its host asks.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn may_call(&self, caller: &ActorId, target: &ActorId, deadline: Instant) -> Result<(), CallError> {
        let Some(policy) = &self.policy else { return Ok(()) };
        if !self.actors.has_place(target) {
            return Ok(());
        }
        self.ask(policy, self.actor(caller), self.actor(target), caller.public_key(), deadline).await
    }

    /// Whether the actor of a link may call its provider.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn may_call_over(&self, link: &Link, deadline: Instant) -> Result<(), CallError> {
        let Some(policy) = &self.policy else { return Ok(()) };
        let source = link.actor_id.public_key();
        self.ask(policy, self.actor(&link.actor_id), self.linked_provider(link), source, deadline).await
    }

    /// Whether the provider of a link may call its actor. About an actor elsewhere, its host asks.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn may_serve(&self, link: &Link, deadline: Instant) -> Result<(), CallError> {
        let Some(policy) = &self.policy else { return Ok(()) };
        if !self.actors.has_place(&link.actor_id) {
            return Ok(());
        }
        let source = link.provider_id.public_key();
        self.ask(policy, self.linked_provider(link), self.actor(&link.actor_id), source, deadline).await
    }

    /// Whether a call that arrived for an actor of this host may be carried out. Its origin is checked before.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn may_take(&self, origin: &Entity, target: &ActorId, deadline: Instant) -> Result<(), CallError> {
        let Some(policy) = &self.policy else { return Ok(()) };
        let Some((source, key)) = self.party(origin) else {
            return Err(CallError::Unauthorized { reason: "the origin of the invocation cannot be named".to_owned() });
        };
        self.ask(policy, source, self.actor(target), key, deadline).await
    }

    /// Why calls over a link are refused on this host, in whichever direction it stands in the way; for whoever asks why.
    pub async fn refuses_link(&self, link: &Link) -> Option<PolicyError> {
        let policy = self.policy.as_ref()?;
        self.actors.get(&link.actor_id)?;
        let (actor, provider) = (self.actor(&link.actor_id), self.linked_provider(link));
        let (out, back) = (Question::call(actor.clone(), provider.clone()), Question::call(provider, actor));
        // Most links are used in one direction; about the other it only matters what was said already.
        let serves = link.contract_id.as_str() == httpserver::CONTRACT;
        let (usual, other) = if serves { (back, out) } else { (out, back) };
        let source = if serves { link.provider_id.public_key() } else { link.actor_id.public_key() };
        let usual = policy.check(usual, || self.capabilities_of(&source)).await.err();
        usual.or_else(|| policy.known_refusal(&other))
    }

    /// Why calls between two actors are refused on this host; for whoever asks why.
    pub async fn refuses_actor(&self, caller: &ActorId, callee: &ActorId) -> Option<PolicyError> {
        let policy = self.policy.as_ref()?;
        self.actors.get(callee)?;
        let question = Question::call(self.actor(caller), self.actor(callee));
        policy.check(question, || self.capabilities_of(&caller.public_key())).await.err()
    }

    /// An actor: what runs here is known exactly, others by lattice state.
    fn actor(&self, id: &ActorId) -> Party {
        let running = self.actors.get(id).map(|actor| actor.provenance.issuer);
        Party::actor(id, running.or_else(|| self.tables().claims.issuer(&id.public_key())))
    }

    fn provider(&self, id: &ProviderId, contract: ContractId, link_name: LinkName) -> Party {
        Party::provider(id, self.tables().claims.issuer(&id.public_key()), contract, link_name)
    }

    fn linked_provider(&self, link: &Link) -> Party {
        self.provider(&link.provider_id, link.contract_id.clone(), link.link_name.clone())
    }

    fn party(&self, entity: &Entity) -> Option<(Party, PublicKey)> {
        if entity.is_actor() {
            let id: ActorId = entity.public_key.parse().ok()?;
            return Some((self.actor(&id), id.public_key()));
        }
        let id: ProviderId = entity.public_key.parse().ok()?;
        let party = self.provider(&id, entity.contract_id.parse().ok()?, entity.link_name.parse().ok()?);
        Some((party, id.public_key()))
    }

    /// What the claims of an actor name; nothing for a provider.
    fn capabilities_of(&self, key: &PublicKey) -> Vec<String> {
        match self.tables().claims.get(key).as_deref() {
            Some(StoredClaims::Actor(actor)) => actor.capabilities.clone(),
            _ => Vec::new(),
        }
    }

    /// In a box: without a policy no call should carry what only a question needs.
    fn ask<'c>(
        &'c self,
        policy: &'c Arc<Policy>,
        source: Party,
        target: Party,
        key: PublicKey,
        deadline: Instant,
    ) -> BoxFuture<'c, Result<(), CallError>> {
        Box::pin(async move {
            let check = policy.check(Question::call(source, target), || self.capabilities_of(&key));
            match tokio::time::timeout_at(deadline.into(), check).await {
                Ok(outcome) => outcome.map_err(CallError::from),
                Err(_) => Err(CallError::DeadlineExceeded { step: "waiting for the policy service".to_owned() }),
            }
        })
    }
}
