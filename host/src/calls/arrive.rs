//! Calls that arrive for actors of this host, over NATS or the control socket (protocol section 4.5).
//!
//! Signature, replay and body are checked by the lattice layer; here it is checked that the actor is the one meant
//! and that its caller is known and may call it. Invariant: whoever waits for an answer gets one.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::Message;
use bytes::Bytes;
use claims::{ActorId, ProviderId, PublicKey};
use contracts::{Budget, CallError, TraceContext};
use lattice::{
    client::{MAX_SOCKET_BODY, Noted},
    invocation::{DEADLINE_HEADER, Entity, Invocation, InvocationResponse, UNKNOWN_INVOCATION},
    session::{CallEntry, CallParts},
};
use telemetry::Kind;

use super::{face::Calls, origin::check_known};
use crate::{actors::RunningActor, failures::Peer, meters::BETWEEN_ACTORS, process::clock::unix_now};

impl Calls {
    /// A call that came over the control socket: the reply and, for a failure, its code. None when the actor does not
    /// run here.
    pub async fn serve_local(
        &self,
        actor: &ActorId,
        headers: &http::HeaderMap,
        body: Bytes,
    ) -> Option<(Bytes, Option<String>)> {
        let soon = self.default_deadline();
        let came;
        let actor = match self.actors.for_call(actor, BETWEEN_ACTORS) {
            Some(actor) => actor,
            None => {
                came = self.coming_here(actor, BETWEEN_ACTORS, soon).await.ok().flatten()?;
                Arc::clone(&came)
            }
        };
        let (id, outcome) = match Invocation::decode_within(&body, MAX_SOCKET_BODY) {
            Ok(invocation) => {
                let left = headers.get(DEADLINE_HEADER).and_then(|value| value.to_str().ok()?.parse().ok());
                let deadline = left.map_or_else(
                    || self.default_deadline(),
                    |ms| Instant::now() + Duration::from_millis(ms).min(Duration::from_secs(3600)),
                );
                (invocation.id.clone(), self.serve_socket_call(&actor, invocation, deadline).await)
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
        actor: &RunningActor,
        invocation: Invocation,
        deadline: Instant,
    ) -> Result<Bytes, CallError> {
        let unauthorized = |reason: String| CallError::Unauthorized { reason };
        let verified = invocation
            .validate(unix_now(), &self.identity.trusted_issuers)
            .map_err(|error| unauthorized(error.to_string()))?;
        verified.check_body(&invocation.msg).map_err(|error| unauthorized(error.to_string()))?;
        let noted = self.inbound.replays.note(&verified, &invocation.encoded_claims, unix_now());
        self.tell_taken(&actor.id, noted.map_err(|error| unauthorized(error.to_string()))?);
        let words = actor.calls.arrived.words(contract_of(&invocation.origin), &invocation.operation);
        let outcome = match Budget::bodies().carry(invocation.msg) {
            Ok(msg) => run(self, actor, Invocation { msg, ..invocation }, deadline).await,
            Err(no_room) => Err(no_room.into()),
        };
        remember(self, actor, words, outcome.as_ref().err());
        outcome
    }

    /// The other hosts that run an actor hear that a signed call to it was taken.
    fn tell_taken(&self, actor: &ActorId, noted: Noted) {
        if let (Some(sessions), Some(route)) = (&self.sessions, self.peers.route(actor)) {
            sessions.taken(route, noted);
        }
    }
}

/// What calls are counted under of which nothing can be believed, neither contract nor operation.
const UNVERIFIED: &str = "unverified";

/// Answers a call that the broker brought for an actor that serves, or served until lately.
pub(super) async fn answer(calls: Arc<Calls>, actor: Arc<RunningActor>, message: Message) {
    let Some(responder) = &calls.inbound.responder else { return };
    let trusted = &calls.identity.trusted_issuers;
    let accepted = responder.accept(&message, unix_now(), trusted, &calls.inbound.replays).await;
    drop(message);
    let (reply_to, words, outcome) = match accepted {
        Ok(incoming) => {
            // Who else runs it, and is to hear of it, may not be known yet.
            calls.peers.want_known();
            incoming.noted.iter().for_each(|noted| calls.tell_taken(&actor.id, *noted));
            let (origin, operation) = (&incoming.invocation.origin, &incoming.invocation.operation);
            let words = actor.calls.arrived.words(contract_of(origin), operation);
            let deadline = incoming.deadline.unwrap_or_else(|| calls.default_deadline());
            (incoming.reply_to, words, run_or_pass_on(&calls, &actor, incoming.invocation, deadline).await)
        }
        Err(rejected) => {
            actor.calls.arrived.refused(UNVERIFIED, UNVERIFIED, &rejected.error);
            (rejected.reply_to, (UNVERIFIED, UNVERIFIED), Err(rejected.error))
        }
    };
    remember(&calls, &actor, words, outcome.as_ref().err());
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
    calls: &Arc<Calls>,
    actor: &RunningActor,
    invocation: Invocation,
    deadline: Instant,
) -> Result<Bytes, CallError> {
    check_target(actor, &invocation)?;
    let contract = contract_of(&invocation.origin);
    let running = calls.actors.for_call(&actor.id, contract);
    let mut actor = running.as_deref().unwrap_or(actor);
    admit(calls, actor, &invocation.origin, &invocation.operation, deadline).await?;
    let next;
    let Invocation { origin, operation, msg, trace_context, .. } = invocation;
    let (wire, trace) = (&trace_context, TraceContext::new(trace_context.clone()));
    let call = CallParts { origin: &origin, target: &actor.id, operation: &operation, trace: wire, payload: &msg };
    if running.is_none() || actor.serving().is_cancelled() {
        actor.revoked.check(&actor.id)?;
        if let Some(elsewhere) = Box::pin(calls.spill(&call, deadline)).await {
            return elsewhere;
        }
        next = Box::pin(calls.actors.coming(&actor.id, contract_of(&origin), deadline)).await?;
        match &next {
            // It has stopped, and another version of it has started since.
            Some(version) if running.is_none() => {
                actor = version;
                admit(calls, actor, &origin, &operation, deadline).await?;
            }
            // Without another host the actor is what it was told to be: stopped.
            _ if calls.peers.route(&actor.id).is_none() => {
                return Err(CallError::NotRunning { target: actor.id.to_string() });
            }
            _ => {}
        }
    }
    let outcome = carry_out(calls, actor, &origin, &operation, msg.clone(), deadline, trace).await;
    match outcome {
        Err(full) if actor.is_full(&full) => Box::pin(calls.spill(&call, deadline)).await.unwrap_or(Err(full)),
        outcome => outcome,
    }
}

/// A call that another host sends in a session. A failure says whether the call was begun.
///
/// # Errors
/// [`CallError`].
pub async fn serve_session_call(calls: &Calls, call: CallEntry, deadline: Instant) -> Result<Bytes, (bool, CallError)> {
    let actor = calls.actors.for_call(&call.target, contract_of(&call.origin));
    let actor = actor.filter(|actor| !actor.serving().is_cancelled());
    let absent = || (false, CallError::NotRunning { target: call.target.to_string() });
    let actor = actor.ok_or_else(absent)?;
    let words = actor.calls.arrived.words(contract_of(&call.origin), &call.operation);
    let failed = |error: &CallError| remember(calls, &actor, words, Some(error));
    let admitted = admit(calls, &actor, &call.origin, &call.operation, deadline).await;
    admitted.inspect_err(failed).map_err(|error| (false, error))?;
    let CallEntry { origin, operation, payload, trace, .. } = call;
    let outcome = carry_out(calls, &actor, &origin, &operation, payload, deadline, TraceContext::new(trace)).await;
    remember(calls, &actor, words, outcome.as_ref().err());
    outcome.map_err(|error| {
        let stopped = matches!(&error, CallError::NotRunning { target } if target == actor.id.as_str());
        (!actor.is_full(&error) && !stopped, error)
    })
}

/// What became of a call over the lattice, for whoever asks why.
fn remember(calls: &Calls, actor: &RunningActor, (contract, operation): (&str, &str), failed: Option<&CallError>) {
    let peer = || Peer::caller(Some(contract).filter(|contract| *contract != BETWEEN_ACTORS));
    match failed {
        None => calls.failures.worked(&actor.id, peer, operation),
        Some(error) => calls.failures.called(&actor.id, peer(), operation, error),
    }
}

async fn run(
    calls: &Calls,
    actor: &RunningActor,
    invocation: Invocation,
    deadline: Instant,
) -> Result<Bytes, CallError> {
    check_target(actor, &invocation)?;
    admit(calls, actor, &invocation.origin, &invocation.operation, deadline).await?;
    let Invocation { origin, operation, msg, trace_context, .. } = invocation;
    carry_out(calls, actor, &origin, &operation, msg, deadline, TraceContext::new(trace_context)).await
}

/// Whether the caller may, counted when it may not.
async fn admit(
    calls: &Calls,
    actor: &RunningActor,
    origin: &Entity,
    operation: &str,
    deadline: Instant,
) -> Result<(), CallError> {
    let checked = async {
        let caller = check_origin(calls, actor, origin)?;
        check_known(&calls.permission, caller, deadline).await?;
        calls.permission.may_take(origin, &actor.id, deadline).await
    };
    checked.await.inspect_err(|error| actor.calls.arrived.refused(contract_of(origin), operation, error))
}

async fn carry_out(
    calls: &Calls,
    actor: &RunningActor,
    origin: &Entity,
    operation: &str,
    payload: Bytes,
    deadline: Instant,
    mut trace: TraceContext,
) -> Result<Bytes, CallError> {
    let span = calls.tracer.span(operation, Kind::Server, &mut trace);
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
fn check_origin(calls: &Calls, actor: &RunningActor, origin: &Entity) -> Result<PublicKey, CallError> {
    let allowed = |caller: PublicKey| calls.permission.check_caller(caller).map(|()| caller);
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
    let linked = |id: &ProviderId| calls.tables().links.granting(&actor.id, id, &origin.link_name);
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
