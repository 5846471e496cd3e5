//! Calls from other hosts to providers embedded in this one, and hosts that ask whether such a provider serves a link.
//!
//! Owns the checks of such a call: signature, target, link, claims, revocation, policy. A provider process has the same
//! in its SDK, but for the policy. Invariant: nothing is called here that its caller could not call on this host.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::{Message, Subscriber};
use bytes::Bytes;
use claims::ActorId;
use contracts::{CallError, TraceContext};
use futures_util::{Stream, StreamExt as _};
use lattice::{
    Link,
    client::{Incoming, Noted},
    control::Ack,
    subject::RpcSubject,
};
use provider_sdk::{Provider, ProviderCall};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::RunningProvider;
use crate::{
    core::{Core, unix_now},
    policy, revocations,
    rpc::check_known,
};

/// Calls that run at once; more wait in the subscription.
const AT_ONCE: usize = 1024;
/// How long a host that asks for a link is kept waiting.
const LINK_WITHIN: Duration = Duration::from_secs(5);

/// Takes calls and questions until the provider stops.
pub async fn serve(core: Arc<Core>, provider: Arc<RunningProvider>, embedded: Arc<dyn Provider>) {
    let Some(broker) = &core.broker else { return };
    let (id, link_name) = (provider.spec.id, provider.spec.link_name.clone());
    let calls = RpcSubject::Provider { id, link_name: link_name.clone() };
    let puts = RpcSubject::LinkPut { id, link_name };
    let subscribed = async {
        let (lattice, client) = (&core.config.lattice, &broker.calls.client);
        let group = calls.queue_group(lattice).expect("providers are called through a queue group");
        let calls = client.queue_subscribe(calls.render(lattice), group).await?;
        Ok::<_, async_nats::SubscribeError>((calls, client.subscribe(puts.render(lattice)).await?))
    };
    match subscribed.await {
        Ok((calls, puts)) => take(&core, &provider, &embedded, calls, puts).await,
        Err(error) => tracing::error!(%error, provider = %id, "cannot take calls from the lattice"),
    }
}

async fn take(
    core: &Arc<Core>,
    provider: &Arc<RunningProvider>,
    embedded: &Arc<dyn Provider>,
    mut calls: Subscriber,
    mut puts: Subscriber,
) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        tokio::select! {
            () = provider.stop_token().cancelled() => return,
            Some(put) = puts.next() => {
                core.tasks.spawn(say_when_served(core.clone(), provider.clone(), put));
            }
            call = next_call(&places, &mut calls) => {
                let Some((place, call)) = call else { return };
                let (core, provider, embedded) = (core.clone(), provider.clone(), embedded.clone());
                core.tasks.clone().spawn(async move {
                    let _place = place;
                    Box::pin(answer(&core, &provider, embedded.as_ref(), call)).await;
                });
            }
        }
    }
}

/// The next call, and a place for it; none when no more come. The wait for a place is part of what is awaited: one that is
/// given back wakes whoever waits here. Nothing is lost when the wait is given up.
pub(super) async fn next_call<T>(
    places: &Arc<Semaphore>,
    calls: &mut (impl Stream<Item = T> + Unpin),
) -> Option<(OwnedSemaphorePermit, T)> {
    let place = places.clone().acquire_owned().await.ok()?;
    Some((place, calls.next().await?))
}

async fn answer(core: &Core, provider: &RunningProvider, embedded: &dyn Provider, message: Message) {
    let Some(responder) = &core.inbound.responder else { return };
    let trusted = &core.identity.trusted_issuers;
    let (reply_to, outcome) = match responder.accept(&message, unix_now(), trusted, &core.inbound.replays).await {
        Ok(incoming) => {
            incoming.noted.iter().for_each(|noted| tell_taken(core, provider, *noted));
            (incoming.reply_to.clone(), carry_out(core, provider, embedded, incoming).await)
        }
        Err(rejected) => (rejected.reply_to, Err(rejected.error)),
    };
    if let Err(error) = &outcome {
        tracing::debug!(provider = %provider.spec.id, code = error.code(), %error, "call failed");
    }
    if let Err(error) = responder.respond(&reply_to, outcome).await {
        tracing::warn!(%error, provider = %provider.spec.id, "cannot answer a call");
    }
}

/// The other hosts that have the provider as well hear that a signed call to it was taken.
fn tell_taken(core: &Core, provider: &RunningProvider, noted: Noted) {
    let Some(sessions) = &core.sessions else { return };
    let others = core.peers.providers.members(&provider.spec.id, &provider.spec.link_name);
    sessions.taken_by_provider(others, noted);
}

async fn carry_out(
    core: &Core,
    provider: &RunningProvider,
    embedded: &dyn Provider,
    incoming: Incoming,
) -> Result<Bytes, CallError> {
    let invocation = incoming.invocation;
    if invocation.target.public_key != provider.spec.id.as_str() {
        return Err(CallError::Unauthorized { reason: "the invocation is for another target".to_owned() });
    }
    let link = check_origin(core, provider, &invocation.origin.public_key)?;
    let deadline = incoming.deadline.unwrap_or_else(|| core.default_deadline());
    if deadline <= Instant::now() {
        return Err(CallError::DeadlineExceeded { step: "waiting to be called".to_owned() });
    }
    check_known(core, link.actor_id.public_key(), deadline).await?;
    policy::may_call_over(core, &link, deadline).await?;
    let call = ProviderCall {
        actor: link.actor_id,
        operation: invocation.operation,
        payload: invocation.msg,
        deadline,
        trace: TraceContext::new(invocation.trace_context),
    };
    let late = |_| Err(CallError::DeadlineExceeded { step: format!("waiting for provider `{}`", provider.spec.id) });
    tokio::time::timeout_at(deadline.into(), embedded.call(call)).await.unwrap_or_else(late)
}

/// The link of the actor that calls, if it is granted the contract and not revoked.
fn check_origin(core: &Core, provider: &RunningProvider, origin: &str) -> Result<Arc<Link>, CallError> {
    let spec = &provider.spec;
    let actor: ActorId = origin
        .parse()
        .map_err(|_| CallError::Unauthorized { reason: "the origin of the invocation is no actor".to_owned() })?;
    let link = core.tables().links.granting(&actor, &spec.id, spec.link_name.as_str());
    let link = link.filter(|link| link.contract_id == spec.contract).ok_or_else(|| CallError::NotLinked {
        actor: origin.to_owned(),
        contract: spec.contract.to_string(),
        link_name: spec.link_name.to_string(),
    })?;
    core.check_grant(&actor, spec.contract.as_str())?;
    revocations::check_caller(core, actor.public_key())?;
    provider.check_reachable()?;
    Ok(link)
}

/// Links come by lattice state alone; a host that moves one wants to hear when it is served.
async fn say_when_served(core: Arc<Core>, provider: Arc<RunningProvider>, message: Message) {
    let (Some(reply), Some(broker)) = (message.reply, &core.broker) else { return };
    let Ok(link) = Link::from_msgpack(&message.payload) else { return };
    let ack = match tokio::time::timeout(LINK_WITHIN, provider.serves(&link)).await {
        Ok(()) => Ack::accepted(),
        Err(_) => Ack::refused(format!("the link is not served after {LINK_WITHIN:?}")),
    };
    if let Err(error) = broker.calls.client.publish(reply, lattice::control::encode(&ack).into()).await {
        tracing::debug!(%error, "cannot answer a question about a link");
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, stream};

    use super::*;

    #[tokio::test]
    async fn a_place_that_is_given_back_wakes_who_waits_for_the_next_call() {
        let (places, mut calls) = (Arc::new(Semaphore::new(2)), stream::iter(0..10));
        let one = next_call(&places, &mut calls).await.expect("a place");
        let two = next_call(&places, &mut calls).await.expect("a place");
        assert!(next_call(&places, &mut calls).now_or_never().is_none(), "all places are taken");
        let (next, ()) = tokio::join!(next_call(&places, &mut calls), async {
            tokio::task::yield_now().await;
            drop(one);
        });
        assert_eq!(next.expect("a place again").1, 2, "and no call is lost");
        assert_eq!(two.1, 1);
    }
}
