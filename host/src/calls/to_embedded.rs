//! Calls from other hosts to providers embedded in this one, and hosts that ask whether such a provider serves a link.
//!
//! Owns the checks of such a call: signature, target, link, claims, revocation, policy. A provider process has the same
//! in its SDK, but for the policy. Invariant: nothing is called here that its caller could not call on this host.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::Message;
use bytes::Bytes;
use claims::ActorId;
use contracts::{CallError, TraceContext};
use futures_util::StreamExt as _;
use lattice::{
    Link,
    client::{Inbox, Incoming, Noted},
    control::Ack,
    subject::RpcSubject,
};
use provider_sdk::{Provider, ProviderCall};
use tokio::sync::Semaphore;

use super::{face::Calls, origin::check_known};
use crate::{process::clock::unix_now, providers::RunningProvider};

/// Calls that run at once; more wait in the subscription.
const AT_ONCE: usize = 1024;
/// How long a host that asks for a link is kept waiting.
const LINK_WITHIN: Duration = Duration::from_secs(5);

/// Takes calls and questions until the provider stops.
pub async fn serve(calls: Arc<Calls>, provider: Arc<RunningProvider>, embedded: Arc<dyn Provider>) {
    let Some(nats) = &calls.nats else { return };
    let (id, link_name) = (provider.spec.id, provider.spec.link_name.clone());
    let invocations = RpcSubject::Provider { id, link_name: link_name.clone() };
    let puts = RpcSubject::LinkPut { id, link_name };
    let subscribed = async {
        let (lattice, client) = (&calls.identity.lattice, &nats.calls.client);
        let group = invocations.queue_group(lattice).expect("providers are called through a queue group");
        let invocations = client.queue_subscribe(invocations.render(lattice), group).await?;
        let puts = client.subscribe(puts.render(lattice)).await?;
        Ok::<_, async_nats::SubscribeError>((
            Inbox::of_calls("calls of a provider", invocations),
            Inbox::new("links of a provider", puts),
        ))
    };
    match subscribed.await {
        Ok((invocations, puts)) => take(&calls, &provider, &embedded, invocations, puts).await,
        Err(error) => tracing::error!(%error, provider = %id, "cannot take calls from the lattice"),
    }
}

async fn take(
    calls: &Arc<Calls>,
    provider: &Arc<RunningProvider>,
    embedded: &Arc<dyn Provider>,
    mut invocations: Inbox,
    mut puts: Inbox,
) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        tokio::select! {
            () = provider.stop_token().cancelled() => return,
            Some(put) = puts.next() => {
                calls.life.spawn(say_when_served(calls.clone(), provider.clone(), put));
            }
            call = invocations.next_with(&places) => {
                let Some((place, call)) = call else { return };
                let (calls, provider, embedded) = (calls.clone(), provider.clone(), embedded.clone());
                calls.life.clone().spawn(async move {
                    let _place = place;
                    Box::pin(answer(&calls, &provider, embedded.as_ref(), call)).await;
                });
            }
        }
    }
}

async fn answer(calls: &Calls, provider: &RunningProvider, embedded: &dyn Provider, message: Message) {
    let Some(responder) = &calls.inbound.responder else { return };
    let trusted = &calls.identity.trusted_issuers;
    let (reply_to, outcome) = match responder.accept(&message, unix_now(), trusted, &calls.inbound.replays).await {
        Ok(incoming) => {
            incoming.noted.iter().for_each(|noted| tell_taken(calls, provider, *noted));
            (incoming.reply_to.clone(), carry_out(calls, provider, embedded, incoming).await)
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
fn tell_taken(calls: &Calls, provider: &RunningProvider, noted: Noted) {
    let Some(sessions) = &calls.sessions else { return };
    let others = calls.peers.providers.members(&provider.spec.id, &provider.spec.link_name);
    sessions.taken_by_provider(others, noted);
}

async fn carry_out(
    calls: &Calls,
    provider: &RunningProvider,
    embedded: &dyn Provider,
    incoming: Incoming,
) -> Result<Bytes, CallError> {
    let invocation = incoming.invocation;
    if invocation.target.public_key != provider.spec.id.as_str() {
        return Err(CallError::Unauthorized { reason: "the invocation is for another target".to_owned() });
    }
    let link = check_origin(calls, provider, &invocation.origin.public_key)?;
    let deadline = incoming.deadline.unwrap_or_else(|| calls.default_deadline());
    if deadline <= Instant::now() {
        return Err(CallError::DeadlineExceeded { step: "waiting to be called".to_owned() });
    }
    check_known(&calls.permission, link.actor_id.public_key(), deadline).await?;
    calls.permission.may_call_over(&link, deadline).await?;
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
pub(super) fn check_origin(calls: &Calls, provider: &RunningProvider, origin: &str) -> Result<Arc<Link>, CallError> {
    let spec = &provider.spec;
    let actor: ActorId = origin
        .parse()
        .map_err(|_| CallError::Unauthorized { reason: "the origin of the invocation is no actor".to_owned() })?;
    let link = calls.tables().links.granting(&actor, &spec.id, spec.link_name.as_str());
    let link = link.filter(|link| link.contract_id == spec.contract).ok_or_else(|| CallError::NotLinked {
        actor: origin.to_owned(),
        contract: spec.contract.to_string(),
        link_name: spec.link_name.to_string(),
    })?;
    calls.permission.check_grant(&actor, spec.contract.as_str())?;
    calls.permission.check_caller(actor.public_key())?;
    provider.check_reachable()?;
    Ok(link)
}

/// Links come by lattice state alone; a host that moves one wants to hear when it is served.
async fn say_when_served(calls: Arc<Calls>, provider: Arc<RunningProvider>, message: Message) {
    let (Some(reply), Some(nats)) = (message.reply, &calls.nats) else { return };
    let Ok(link) = Link::from_msgpack(&message.payload) else { return };
    let ack = match tokio::time::timeout(LINK_WITHIN, provider.serves(&link)).await {
        Ok(()) => Ack::accepted(),
        Err(_) => Ack::refused(format!("the link is not served after {LINK_WITHIN:?}")),
    };
    if let Err(error) = nats.calls.client.publish(reply, lattice::control::encode(&ack).into()).await {
        tracing::debug!(%error, "cannot answer a question about a link");
    }
}
