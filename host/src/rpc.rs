//! Calls that arrive for actors of this host, over NATS or the control socket (protocol section 4.5).
//!
//! Signature, replay and body are checked by the lattice layer; here it is checked that the actor is the one meant
//! and that its caller is known and may call it. Invariant: whoever waits for an answer gets one.

mod origin;
mod place;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::Message;
use bytes::Bytes;
use claims::{ActorId, ProviderId, PublicKey};
use contracts::{Budget, CallError, TraceContext};
use lattice::{
    client::{MAX_SOCKET_BODY, Noted, ReplayGuard, RpcResponder},
    invocation::{DEADLINE_HEADER, Entity, Invocation, InvocationResponse, UNKNOWN_INVOCATION},
    session::{CallEntry, CallParts},
};
use telemetry::Kind;
use tokio::sync::Semaphore;

pub(crate) use self::origin::check_known;
pub use self::place::serve_actor;
use crate::{
    actors::RunningActor,
    broker::Broker,
    config::HostConfig,
    core::{Core, unix_now},
    heartbeat,
    metrics::BETWEEN_ACTORS,
    policy, revocations,
    why::Peer,
};

/// The receiving side of calls.
pub struct Inbound {
    pub(crate) responder: Option<RpcResponder>,
    pub(crate) replays: ReplayGuard,
    /// Calls that wait until the claims of their origin are known here.
    pub(crate) strangers: Semaphore,
}

impl Inbound {
    /// For a host with or without NATS.
    #[must_use]
    pub fn new(config: &HostConfig, broker: Option<&Broker>) -> Self {
        let responder = broker.map(|broker| {
            RpcResponder::new(broker.calls.client.clone(), &config.lattice, config.js_domain.as_deref())
                .with_max_body(u64::from(config.limits.payload_bytes))
                .with_delegations()
        });
        let replays = ReplayGuard::kept_in(&config.state_dir.join("seen"), unix_now());
        Self { responder, replays, strangers: Semaphore::new(origin::MOST_WAITING) }
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
        let soon = core.default_deadline();
        let came;
        let actor = match core.actors.for_call(actor, BETWEEN_ACTORS) {
            Some(actor) => actor,
            None => {
                came = core.coming_here(actor, BETWEEN_ACTORS, soon).await.ok().flatten()?;
                Arc::clone(&came)
            }
        };
        let (id, outcome) = match Invocation::decode_within(&body, MAX_SOCKET_BODY) {
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
        let noted = self.replays.note(&verified, &invocation.encoded_claims, unix_now());
        core.tell_taken(&actor.id, noted.map_err(|error| unauthorized(error.to_string()))?);
        let words = actor.calls.arrived.words(contract_of(&invocation.origin), &invocation.operation);
        let outcome = match Budget::bodies().carry(invocation.msg) {
            Ok(msg) => run(core, actor, Invocation { msg, ..invocation }, deadline).await,
            Err(no_room) => Err(no_room.into()),
        };
        remember(core, actor, words, outcome.as_ref().err());
        outcome
    }
}

impl Core {
    /// The other hosts that run an actor hear that a signed call to it was taken.
    fn tell_taken(&self, actor: &ActorId, noted: Noted) {
        self.sessions.iter().for_each(|sessions| sessions.taken(self, actor, noted));
    }
}

/// What calls are counted under of which nothing can be believed, neither contract nor operation.
const UNVERIFIED: &str = "unverified";

/// Answers a call that the broker brought for an actor that serves, or served until lately.
async fn answer(core: Arc<Core>, actor: Arc<RunningActor>, message: Message) {
    let Some(responder) = &core.inbound.responder else { return };
    let trusted = &core.identity.trusted_issuers;
    let accepted = responder.accept(&message, unix_now(), trusted, &core.inbound.replays).await;
    drop(message);
    let (reply_to, words, outcome) = match accepted {
        Ok(incoming) => {
            // Who else runs it, and is to hear of it, may not be known yet.
            heartbeat::ask_unknown(&core);
            incoming.noted.iter().for_each(|noted| core.tell_taken(&actor.id, *noted));
            let (origin, operation) = (&incoming.invocation.origin, &incoming.invocation.operation);
            let words = actor.calls.arrived.words(contract_of(origin), operation);
            let deadline = incoming.deadline.unwrap_or_else(|| core.default_deadline());
            (incoming.reply_to, words, run_or_pass_on(&core, &actor, incoming.invocation, deadline).await)
        }
        Err(rejected) => {
            actor.calls.arrived.refused(UNVERIFIED, UNVERIFIED, &rejected.error);
            (rejected.reply_to, (UNVERIFIED, UNVERIFIED), Err(rejected.error))
        }
    };
    remember(&core, &actor, words, outcome.as_ref().err());
    if let Err(error) = &outcome {
        tracing::debug!(actor = %actor.id, code = error.code(), %error, "call failed");
    }
    if let Err(error) = responder.respond(&reply_to, outcome).await {
        tracing::warn!(%error, actor = %actor.id, "cannot answer a call");
    }
}

/// An actor that is full, or has stopped, passes a call on to another host that runs it: callers who know nothing of
/// sessions must not wait for, or be turned away by, one host while another serves.
async fn run_or_pass_on(
    core: &Arc<Core>,
    actor: &RunningActor,
    invocation: Invocation,
    deadline: Instant,
) -> Result<Bytes, CallError> {
    check_target(actor, &invocation)?;
    let contract = contract_of(&invocation.origin);
    let running = core.actors.for_call(&actor.id, contract);
    let mut actor = running.as_deref().unwrap_or(actor);
    admit(core, actor, &invocation.origin, &invocation.operation, deadline).await?;
    let next;
    let Invocation { origin, operation, msg, trace_context, .. } = invocation;
    let (wire, trace) = (&trace_context, TraceContext::new(trace_context.clone()));
    let call = CallParts { origin: &origin, target: &actor.id, operation: &operation, trace: wire, payload: &msg };
    if running.is_none() || actor.serving().is_cancelled() {
        actor.barred.check(&actor.id)?;
        if let Some(elsewhere) = Box::pin(core.spill(&call, deadline)).await {
            return elsewhere;
        }
        next = Box::pin(core.actors.coming(&actor.id, contract_of(&origin), deadline)).await?;
        match &next {
            // It has stopped, and another version of it has started since.
            Some(version) if running.is_none() => {
                actor = version;
                admit(core, actor, &origin, &operation, deadline).await?;
            }
            // Without another host the actor is what it was told to be: stopped.
            _ if core.peers.route(&actor.id).is_none() => {
                return Err(CallError::NotRunning { target: actor.id.to_string() });
            }
            _ => {}
        }
    }
    let outcome = carry_out(core, actor, &origin, &operation, msg.clone(), deadline, trace).await;
    match outcome {
        Err(full) if actor.is_full(&full) => Box::pin(core.spill(&call, deadline)).await.unwrap_or(Err(full)),
        outcome => outcome,
    }
}

/// A call that another host sends in a session. A failure says whether the call was begun.
///
/// # Errors
/// [`CallError`].
pub async fn serve_session_call(core: &Core, call: CallEntry, deadline: Instant) -> Result<Bytes, (bool, CallError)> {
    let actor = core.actors.for_call(&call.target, contract_of(&call.origin));
    let actor = actor.filter(|actor| !actor.serving().is_cancelled());
    let absent = || (false, CallError::NotRunning { target: call.target.to_string() });
    let actor = actor.ok_or_else(absent)?;
    let words = actor.calls.arrived.words(contract_of(&call.origin), &call.operation);
    let failed = |error: &CallError| remember(core, &actor, words, Some(error));
    let admitted = admit(core, &actor, &call.origin, &call.operation, deadline).await;
    admitted.inspect_err(failed).map_err(|error| (false, error))?;
    let CallEntry { origin, operation, payload, trace, .. } = call;
    let outcome = carry_out(core, &actor, &origin, &operation, payload, deadline, TraceContext::new(trace)).await;
    remember(core, &actor, words, outcome.as_ref().err());
    outcome.map_err(|error| {
        let stopped = matches!(&error, CallError::NotRunning { target } if target == actor.id.as_str());
        (!actor.is_full(&error) && !stopped, error)
    })
}

/// What became of a call over the lattice, for whoever asks why.
fn remember(core: &Core, actor: &RunningActor, (contract, operation): (&str, &str), failed: Option<&CallError>) {
    let peer = || Peer::caller(Some(contract).filter(|contract| *contract != BETWEEN_ACTORS));
    match failed {
        None => core.failures.worked(&actor.id, peer, operation),
        Some(error) => core.failures.called(&actor.id, peer(), operation, error),
    }
}

async fn run(core: &Core, actor: &RunningActor, invocation: Invocation, deadline: Instant) -> Result<Bytes, CallError> {
    check_target(actor, &invocation)?;
    admit(core, actor, &invocation.origin, &invocation.operation, deadline).await?;
    let Invocation { origin, operation, msg, trace_context, .. } = invocation;
    carry_out(core, actor, &origin, &operation, msg, deadline, TraceContext::new(trace_context)).await
}

/// Whether the caller may, counted when it may not.
async fn admit(
    core: &Core,
    actor: &RunningActor,
    origin: &Entity,
    operation: &str,
    deadline: Instant,
) -> Result<(), CallError> {
    let checked = async {
        let caller = check_origin(core, actor, origin)?;
        check_known(core, caller, deadline).await?;
        policy::may_take(core, origin, &actor.id, deadline).await
    };
    checked.await.inspect_err(|error| actor.calls.arrived.refused(contract_of(origin), operation, error))
}

async fn carry_out(
    core: &Core,
    actor: &RunningActor,
    origin: &Entity,
    operation: &str,
    payload: Bytes,
    deadline: Instant,
    mut trace: TraceContext,
) -> Result<Bytes, CallError> {
    let span = core.tracer.span(operation, Kind::Server, &mut trace);
    let span = span.with("lattice.hop", || "arrival").with("lattice.origin", || &origin.public_key);
    let outcome = actor.call(contract_of(origin), operation, payload, deadline, trace).await;
    span.end(&outcome);
    outcome
}

/// What a call is counted under.
fn contract_of(origin: &Entity) -> &str {
    if origin.is_actor() { BETWEEN_ACTORS } else { &origin.contract_id }
}

fn check_target(actor: &RunningActor, invocation: &Invocation) -> Result<(), CallError> {
    if invocation.target.public_key == actor.id.as_str() {
        return Ok(());
    }
    let error = CallError::Unauthorized { reason: "the invocation is for another target".to_owned() };
    actor.calls.arrived.refused(UNVERIFIED, UNVERIFIED, &error);
    Err(error)
}

/// A provider may call an actor that is linked to it and granted its contract; actors may call each other. Who is
/// revoked may call nobody, also where its own host has not heard of it. The key of the caller.
fn check_origin(core: &Core, actor: &RunningActor, origin: &Entity) -> Result<PublicKey, CallError> {
    let allowed = |caller: PublicKey| revocations::check_caller(core, caller).map(|()| caller);
    if origin.is_actor() {
        return match origin.public_key.parse::<ActorId>() {
            Ok(caller) => allowed(caller.public_key()),
            Err(_) => Err(CallError::Unauthorized { reason: "the origin of the invocation is no actor".to_owned() }),
        };
    }
    if !actor.grants(&origin.contract_id) {
        let (caller, contract) = (actor.id.to_string(), origin.contract_id.clone());
        return Err(CallError::NotGranted { caller, contract });
    }
    // Also by a link that just moves away from it: what it began with, it may end.
    let linked = |id: &ProviderId| core.tables().links.granting(&actor.id, id, &origin.link_name);
    let may = |id: &ProviderId| linked(id).is_some_and(|link| link.contract_id.as_str() == origin.contract_id);
    match origin.public_key.parse::<ProviderId>() {
        Ok(provider) if may(&provider) => allowed(provider.public_key()),
        _ => Err(CallError::NotLinked {
            actor: actor.id.to_string(),
            contract: origin.contract_id.clone(),
            link_name: origin.link_name.clone(),
        }),
    }
}
