//! Calls that arrive for actors of this host, over NATS or the control socket (protocol section 4.5).
//!
//! Signature, replay and body are checked by the lattice layer; here it is checked that the actor is the one meant
//! and that its caller may call it. Invariant: whoever waits for an answer gets one.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::Message;
use bytes::Bytes;
use claims::{ActorId, ProviderId};
use contracts::{CallError, TraceContext};
use futures_util::StreamExt;
use lattice::{
    client::{ReplayGuard, RpcResponder},
    invocation::{DEADLINE_HEADER, Invocation, InvocationResponse, UNKNOWN_INVOCATION},
    subject::RpcSubject,
};

use crate::{
    actors::RunningActor,
    broker::Broker,
    config::HostConfig,
    core::{Core, unix_now},
    policy, revocations,
    why::Peer,
};

/// The receiving side of calls.
pub struct Inbound {
    responder: Option<RpcResponder>,
    replays: ReplayGuard,
}

impl Inbound {
    /// For a host with or without NATS.
    #[must_use]
    pub fn new(config: &HostConfig, broker: Option<&Broker>) -> Self {
        let responder = broker.map(|broker| {
            RpcResponder::new(broker.calls.client.clone(), &config.lattice, config.js_domain.as_deref())
                .with_max_body(u64::from(config.limits.payload_bytes))
        });
        Self { responder, replays: ReplayGuard::default() }
    }

    /// A call that came over the control socket: the reply and, for a failure, its code. None when the actor does not
    /// run here.
    pub async fn serve_local(
        &self,
        core: &Arc<Core>,
        actor: &ActorId,
        headers: &http::HeaderMap,
        body: Bytes,
    ) -> Option<(Bytes, Option<String>)> {
        let actor = core.actors.get(actor)?;
        let (id, outcome) = match Invocation::decode(&body) {
            Ok(invocation) => {
                let left = headers.get(DEADLINE_HEADER).and_then(|value| value.to_str().ok()?.parse().ok());
                let deadline = left.map_or_else(
                    || core.default_deadline(),
                    |ms| Instant::now() + Duration::from_millis(ms).min(Duration::from_secs(3600)),
                );
                (invocation.id.clone(), self.serve_socket_call(core, &actor, invocation, deadline).await)
            }
            Err(error) => {
                let what = "invocation".to_owned();
                (UNKNOWN_INVOCATION.to_owned(), Err(CallError::Malformed { what, reason: error.to_string() }))
            }
        };
        Some(match outcome {
            Ok(answer) => (InvocationResponse::success(id, answer).encode(), None),
            Err(error) => {
                let code = error.code().to_owned();
                (InvocationResponse::failure(id, error.to_string()).encode(), Some(code))
            }
        })
    }

    async fn serve_socket_call(
        &self,
        core: &Core,
        actor: &RunningActor,
        invocation: Invocation,
        deadline: Instant,
    ) -> Result<Bytes, CallError> {
        let unauthorized = |reason: String| CallError::Unauthorized { reason };
        let verified = invocation
            .validate(unix_now(), &core.identity.trusted_issuers)
            .map_err(|error| unauthorized(error.to_string()))?;
        verified.check_body(&invocation.msg).map_err(|error| unauthorized(error.to_string()))?;
        if !self.replays.is_first(&invocation.encoded_claims, Instant::now()) {
            return Err(unauthorized("this invocation was seen before".to_owned()));
        }
        let outcome = run(core, actor, invocation, deadline).await;
        outcome.inspect_err(|error| core.failures.called(&actor.id, Peer::Caller, error))
    }
}

/// For the broker's word that no more calls will come. One that just went away would never say it.
const DRAIN: Duration = Duration::from_secs(2);

/// Takes calls for an actor from its queue group until it is removed; what was taken is answered.
pub fn serve_actor(core: &Arc<Core>, actor: &Arc<RunningActor>) {
    let Some(broker) = &core.broker else { return };
    let client = broker.calls.client.clone();
    let (core, actor) = (core.clone(), actor.clone());
    let tasks = core.tasks.clone();
    tasks.spawn(async move {
        let subject = RpcSubject::Actor(actor.id);
        let group = subject.queue_group(&core.config.lattice).expect("actors are called through a queue group");
        let mut calls = match client.queue_subscribe(subject.render(&core.config.lattice), group).await {
            Ok(calls) => calls,
            Err(error) => {
                tracing::error!(%error, actor = %actor.id, "cannot take calls from the lattice");
                return;
            }
        };
        loop {
            let call = tokio::select! {
                call = calls.next() => call,
                () = actor.serving().cancelled() => break,
            };
            let Some(call) = call else { return };
            core.tasks.spawn(answer(core.clone(), actor.clone(), call));
        }
        let drained = async {
            calls.drain().await.ok();
            while let Some(call) = calls.next().await {
                core.tasks.spawn(answer(core.clone(), actor.clone(), call));
            }
        };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            tracing::debug!(actor = %actor.id, "the broker did not confirm the end of a subscription");
        }
    });
}

async fn answer(core: Arc<Core>, actor: Arc<RunningActor>, message: Message) {
    let Some(responder) = &core.inbound.responder else { return };
    let trusted = &core.identity.trusted_issuers;
    let accepted = responder.accept(&message, unix_now(), trusted, &core.inbound.replays).await;
    drop(message);
    let (reply_to, outcome) = match accepted {
        Ok(incoming) => {
            let deadline = incoming.deadline.unwrap_or_else(|| core.default_deadline());
            (incoming.reply_to, run(&core, &actor, incoming.invocation, deadline).await)
        }
        Err(rejected) => (rejected.reply_to, Err(rejected.error)),
    };
    if let Err(error) = &outcome {
        core.failures.called(&actor.id, Peer::Caller, error);
        tracing::debug!(actor = %actor.id, code = error.code(), %error, "call failed");
    }
    if let Err(error) = responder.respond(&reply_to, outcome).await {
        tracing::warn!(%error, actor = %actor.id, "cannot answer a call");
    }
}

async fn run(core: &Core, actor: &RunningActor, invocation: Invocation, deadline: Instant) -> Result<Bytes, CallError> {
    check_target(actor, &invocation)?;
    check_origin(core, actor, &invocation)?;
    policy::may_take(core, &invocation.origin, &actor.id, deadline).await?;
    let trace = TraceContext(invocation.trace_context);
    actor.call(&invocation.operation, invocation.msg, deadline, trace).await
}

fn check_target(actor: &RunningActor, invocation: &Invocation) -> Result<(), CallError> {
    if invocation.target.public_key == actor.id.as_str() {
        return Ok(());
    }
    Err(CallError::Unauthorized { reason: "the invocation is for another target".to_owned() })
}

/// A provider may call an actor that is linked to it and granted its contract; actors may call each other. Who is
/// revoked may call nobody, also where its own host has not heard of it.
fn check_origin(core: &Core, actor: &RunningActor, invocation: &Invocation) -> Result<(), CallError> {
    let origin = &invocation.origin;
    if origin.is_actor() {
        return match origin.public_key.parse::<ActorId>() {
            Ok(caller) => revocations::check_caller(core, caller.public_key()),
            Err(_) => Err(CallError::Unauthorized { reason: "the origin of the invocation is no actor".to_owned() }),
        };
    }
    if !actor.grants(&origin.contract_id) {
        let (caller, contract) = (actor.id.to_string(), origin.contract_id.clone());
        return Err(CallError::NotGranted { caller, contract });
    }
    let linked = core.tables().links.find(&actor.id, &origin.contract_id, &origin.link_name);
    let by_this_provider = |id: ProviderId| linked.is_some_and(|link| link.provider_id == id);
    match origin.public_key.parse::<ProviderId>() {
        Ok(provider) if by_this_provider(provider) => revocations::check_caller(core, provider.public_key()),
        _ => Err(CallError::NotLinked {
            actor: actor.id.to_string(),
            contract: origin.contract_id.clone(),
            link_name: origin.link_name.clone(),
        }),
    }
}
