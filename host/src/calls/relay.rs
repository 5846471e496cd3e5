//! Calls that this host makes for its provider processes.
//!
//! A process that signs with a key of its own is believed by hosts of ours. Hosts of others know cluster keys only: where
//! one of them refuses a call, the process asks its own host, which makes it as it makes calls of embedded providers.
//! Invariant: a call is made for a provider that runs here, in its own name, over a link it has.

use std::sync::Arc;

use async_nats::Message;
use bytes::Bytes;
use claims::ActorId;
use contracts::{CallError, TraceContext};
use lattice::{
    client::{Inbox, Incoming},
    invocation::Entity,
    subject::RpcSubject,
};
use runtime::{OutboundCall, OutboundTarget};
use tokio::sync::Semaphore;

use super::face::Calls;
use crate::{process::clock::unix_now, providers::Home};

/// Calls that are made at once; more wait in the subscription.
const AT_ONCE: usize = 256;

/// Makes calls until the host stops.
pub async fn serve(calls: Arc<Calls>) {
    let Some(nats) = &calls.nats else { return };
    let subject = RpcSubject::Relay(calls.identity.host_id).render(&calls.identity.lattice);
    let mut invocations = match nats.calls.client.subscribe(subject).await {
        Ok(invocations) => Inbox::of_calls("calls of provider processes", invocations),
        Err(error) => return tracing::error!(%error, "cannot make calls for provider processes"),
    };
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        tokio::select! {
            () = calls.life.stop.cancelled() => return,
            call = invocations.next_with(&places) => {
                let Some((place, call)) = call else { return };
                let making = calls.clone();
                calls.life.spawn(async move {
                    let _place = place;
                    Box::pin(answer(&making, call)).await;
                });
            }
        }
    }
}

async fn answer(calls: &Arc<Calls>, message: Message) {
    let Some(responder) = &calls.inbound.responder else { return };
    let trusted = &calls.identity.trusted_issuers;
    let (reply_to, outcome) = match responder.accept(&message, unix_now(), trusted, &calls.inbound.replays).await {
        Ok(incoming) => (incoming.reply_to.clone(), make(calls, incoming).await),
        Err(rejected) => (rejected.reply_to, Err(rejected.error)),
    };
    if let Err(error) = responder.respond(&reply_to, outcome).await {
        tracing::warn!(%error, "cannot answer a call that was made for a provider");
    }
}

async fn make(calls: &Arc<Calls>, incoming: Incoming) -> Result<Bytes, CallError> {
    let deadline = incoming.deadline.unwrap_or_else(|| calls.default_deadline());
    let invocation = incoming.invocation;
    let actor: ActorId = invocation.target.public_key.parse().map_err(|_| unauthorized("the target is no actor"))?;
    let origin = own_provider(calls, &invocation.origin)?;
    let link_of = || calls.tables().links.granting(&actor, &origin.0, &invocation.origin.link_name);
    let link =
        link_of().filter(|link| link.contract_id.as_str() == invocation.origin.contract_id).ok_or_else(|| {
            CallError::NotLinked {
                actor: actor.to_string(),
                contract: invocation.origin.contract_id.clone(),
                link_name: invocation.origin.link_name.clone(),
            }
        })?;
    calls.permission.check_grant(&actor, link.contract_id.as_str())?;
    calls.permission.check_caller(origin.0.public_key())?;
    calls.permission.may_serve(&link, deadline).await?;
    let call = OutboundCall {
        target: OutboundTarget::Actor { name: String::new() },
        operation: invocation.operation,
        payload: invocation.msg,
        deadline,
        trace: TraceContext::new(invocation.trace_context),
    };
    calls.call_actor(link.contract_id.as_str(), || origin.1, actor, call).await
}

/// The caller, if it is a provider process of this host.
pub(super) fn own_provider(calls: &Calls, origin: &Entity) -> Result<(claims::ProviderId, Entity), CallError> {
    let provider = origin.public_key.parse().ok().and_then(|id| {
        let link_name = origin.link_name.parse().ok()?;
        calls.providers.get(&id, &link_name)
    });
    match provider {
        Some(provider) if matches!(provider.home, Home::Process(_)) && provider.spec.entity() == *origin => {
            Ok((provider.spec.id, provider.spec.entity()))
        }
        _ => Err(unauthorized("the origin of the invocation is no provider process of this host")),
    }
}

fn unauthorized(reason: &str) -> CallError {
    CallError::Unauthorized { reason: reason.to_owned() }
}
