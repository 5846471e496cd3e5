//! Where the policy stands in the way: one function per action, called by whoever is about to do it.
//!
//! A call is asked about on the host where its target is: that is where hosts of the protocol ask. A call to a provider
//! is asked about on the host of its caller, because a provider process asks nobody, and where a provider is compiled in
//! on the host that runs it as well, because that of the caller may have no policy. Invariants: without a policy
//! these return at once; a call waits for a decision no longer than its deadline.

use std::{sync::Arc, time::Instant};

use claims::{AccountId, ActorId, ProviderId};
use contracts::{CallError, httpserver};
use futures_util::future::BoxFuture;
use lattice::{ContractId, Link, LinkName, invocation::Entity, policy::PolicyAction};

use super::{Party, Policy, PolicyError, Question};
use crate::core::Core;

/// Whether an actor may start, or get more instances.
///
/// # Errors
/// [`PolicyError`].
pub async fn may_start_actor(core: &Core, actor: &ActorId, issuer: AccountId) -> Result<(), PolicyError> {
    let Some(policy) = &core.policy else { return Ok(()) };
    let action = PolicyAction::StartActor;
    policy.check(core, action, Question::start(action, Party::new_actor(actor, issuer))).await
}

/// Whether a provider may start.
///
/// # Errors
/// [`PolicyError`].
pub async fn may_start_provider(
    core: &Core,
    provider: &ProviderId,
    issuer: AccountId,
    contract: &ContractId,
    link_name: &LinkName,
) -> Result<(), PolicyError> {
    let Some(policy) = &core.policy else { return Ok(()) };
    let action = PolicyAction::StartProvider;
    let target = Party::new_provider(provider, issuer, contract.clone(), link_name.clone());
    policy.check(core, action, Question::start(action, target)).await
}

/// Whether an actor of this host may call another one. About an actor elsewhere, its host asks.
///
/// # Errors
/// [`CallError`].
pub async fn may_call(core: &Core, caller: &ActorId, target: &ActorId, deadline: Instant) -> Result<(), CallError> {
    let Some(policy) = &core.policy else { return Ok(()) };
    if !core.actors.has_place(target) {
        return Ok(());
    }
    ask(core, policy, Party::actor(core, caller), Party::actor(core, target), deadline).await
}

/// Whether the actor of a link may call its provider.
///
/// # Errors
/// [`CallError`].
pub async fn may_call_over(core: &Core, link: &Link, deadline: Instant) -> Result<(), CallError> {
    let Some(policy) = &core.policy else { return Ok(()) };
    ask(core, policy, Party::actor(core, &link.actor_id), linked_provider(core, link), deadline).await
}

/// Whether the provider of a link may call its actor. About an actor elsewhere, its host asks.
///
/// # Errors
/// [`CallError`].
pub async fn may_serve(core: &Core, link: &Link, deadline: Instant) -> Result<(), CallError> {
    let Some(policy) = &core.policy else { return Ok(()) };
    if !core.actors.has_place(&link.actor_id) {
        return Ok(());
    }
    ask(core, policy, linked_provider(core, link), Party::actor(core, &link.actor_id), deadline).await
}

/// Whether a call that arrived for an actor of this host may be carried out. Its origin is checked before.
///
/// # Errors
/// [`CallError`].
pub async fn may_take(core: &Core, origin: &Entity, target: &ActorId, deadline: Instant) -> Result<(), CallError> {
    let Some(policy) = &core.policy else { return Ok(()) };
    let Some(source) = party(core, origin) else {
        return Err(CallError::Unauthorized { reason: "the origin of the invocation cannot be named".to_owned() });
    };
    ask(core, policy, source, Party::actor(core, target), deadline).await
}

fn linked_provider(core: &Core, link: &Link) -> Party {
    Party::provider(core, &link.provider_id, link.contract_id.clone(), link.link_name.clone())
}

fn party(core: &Core, entity: &Entity) -> Option<Party> {
    if entity.is_actor() {
        return Some(Party::actor(core, &entity.public_key.parse().ok()?));
    }
    let (contract, link_name) = (entity.contract_id.parse().ok()?, entity.link_name.parse().ok()?);
    Some(Party::provider(core, &entity.public_key.parse().ok()?, contract, link_name))
}

/// In a box: without a policy no call should carry what only a question needs.
fn ask<'c>(
    core: &'c Core,
    policy: &'c Arc<Policy>,
    source: Party,
    target: Party,
    deadline: Instant,
) -> BoxFuture<'c, Result<(), CallError>> {
    Box::pin(call(core, policy, source, target, deadline))
}

async fn call(
    core: &Core,
    policy: &Arc<Policy>,
    source: Party,
    target: Party,
    deadline: Instant,
) -> Result<(), CallError> {
    let check = policy.check(core, PolicyAction::PerformInvocation, Question::call(source, target));
    match tokio::time::timeout_at(deadline.into(), check).await {
        Ok(outcome) => outcome.map_err(CallError::from),
        Err(_) => Err(CallError::DeadlineExceeded { step: "waiting for the policy service".to_owned() }),
    }
}

/// Why calls over a link are refused on this host, in whichever direction it stands in the way; for whoever asks why.
pub async fn refuses_link(core: &Core, link: &Link) -> Option<PolicyError> {
    let policy = core.policy.as_ref()?;
    core.actors.get(&link.actor_id)?;
    let action = PolicyAction::PerformInvocation;
    let (actor, provider) = (Party::actor(core, &link.actor_id), linked_provider(core, link));
    let (out, back) = (Question::call(actor.clone(), provider.clone()), Question::call(provider, actor));
    // Most links are used in one direction; about the other it only matters what was said already.
    let serves = link.contract_id.as_str() == httpserver::CONTRACT;
    let (usual, other) = if serves { (back, out) } else { (out, back) };
    let usual = policy.check(core, action, usual).await.err();
    usual.or_else(|| policy.known_refusal(action, &other))
}

/// Why calls between two actors are refused on this host; for whoever asks why.
pub async fn refuses_actor(core: &Core, caller: &ActorId, callee: &ActorId) -> Option<PolicyError> {
    let policy = core.policy.as_ref()?;
    core.actors.get(callee)?;
    let question = Question::call(Party::actor(core, caller), Party::actor(core, callee));
    policy.check(core, PolicyAction::PerformInvocation, question).await.err()
}
