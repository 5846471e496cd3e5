//! The router: every call of the host passes here and is decided once.
//!
//! Claims, link and deadline are checked first; then the route is *local actor → embedded provider → lattice*. A call
//! between two parties of this host never touches a socket or re-encodes. Invariant: a call ends with an answer or a
//! [`CallError`] that names the failed step, by its deadline at the latest.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use claims::{ActorId, HostId};
use contracts::{CallError, TraceContext};
use futures_util::FutureExt;
use lattice::{Link, client::Lost, invocation::Entity, session::CallParts, subject::RpcSubject};
use provider_sdk::ProviderCall;
use runtime::{Outbound, OutboundCall, OutboundTarget};
use sessions::Wish;
use telemetry::{Kind, Span};

use super::{face::Calls, lost::Sent};
use crate::{
    actors::{ActorCalls, RevokedFlag},
    failures::Peer,
    meters::BETWEEN_ACTORS,
    providers::Home,
};

/// The way out of one actor.
pub struct ActorOutbound {
    calls: Weak<Calls>,
    actor: ActorId,
    /// What the claims of this very code name: a call keeps them, whatever runs under the id by now.
    grants: Arc<[String]>,
    revoked: RevokedFlag,
    counted: Arc<ActorCalls>,
}

impl ActorOutbound {
    /// The way out for code of `actor` whose claims name `grants`, closed once it is revoked.
    pub fn new(
        calls: &Arc<Calls>,
        actor: ActorId,
        grants: Arc<[String]>,
        revoked: RevokedFlag,
        counted: Arc<ActorCalls>,
    ) -> Arc<Self> {
        Arc::new(Self { calls: Arc::downgrade(calls), actor, grants, revoked, counted })
    }
}

#[async_trait]
impl Outbound for ActorOutbound {
    async fn call(&self, mut call: OutboundCall) -> Result<Bytes, CallError> {
        let calls = self.calls.upgrade().ok_or_else(stopping)?;
        self.revoked.check(&self.actor)?;
        let route = self.resolve(&calls, &call.target);
        let route = route.and_then(|route| call.trace.descend().map(|()| route)).inspect_err(|error| {
            let contract = contract_of(&call.target);
            self.counted.made.refused(contract, &call.operation, error);
            let (_, operation) = self.counted.made.words(contract, &call.operation);
            calls.failures.called(&self.actor, Peer::asked_for(&call.target), operation, error);
        })?;
        let measured = self.counted.made.begin(route.contract(), &call.operation);
        let operation = measured.operation();
        let span = self.counted.tracer.span(&call.operation, Kind::Client, &mut call.trace);
        let span = span
            .with("lattice.hop", || "outgoing")
            .with("lattice.actor", || self.actor.as_str())
            .with("lattice.contract", || route.contract());
        let outcome = self.follow(&calls, &route, call).await;
        measured.end(&outcome);
        span.end(&outcome);
        match &outcome {
            Ok(_) => calls.failures.worked(&self.actor, || route.peer(), operation),
            Err(error) => calls.failures.called(&self.actor, route.peer(), operation, error),
        }
        outcome
    }

    async fn config(&self) -> Result<BTreeMap<String, Vec<u8>>, CallError> {
        let calls = self.calls.upgrade().ok_or_else(stopping)?;
        self.revoked.check(&self.actor)?;
        let config = calls.tables().config_of(self.actor.as_str());
        Ok(config.into_iter().map(|(name, value)| (name, value.to_vec())).collect())
    }
}

impl ActorOutbound {
    async fn follow(&self, calls: &Arc<Calls>, route: &Route, call: OutboundCall) -> Result<Bytes, CallError> {
        let deadline = call.deadline;
        match route {
            Route::Actor(target) => {
                calls.permission.may_call(&self.actor, target, deadline).await?;
                calls.call_actor(BETWEEN_ACTORS, || Entity::actor(&self.actor), *target, call).await
            }
            Route::Provider(link) => {
                calls.permission.may_call_over(link, deadline).await?;
                within(deadline, "waiting for the callee", calls.call_provider(link, call)).await
            }
        }
    }
}

enum Route {
    Actor(ActorId),
    Provider(Arc<Link>),
}

impl Route {
    fn contract(&self) -> &str {
        match self {
            Self::Actor(_) => BETWEEN_ACTORS,
            Self::Provider(link) => link.contract_id.as_str(),
        }
    }

    fn peer(&self) -> Peer {
        match self {
            Self::Actor(target) => Peer::actor(target),
            Self::Provider(link) => Peer::link(link.contract_id.as_str(), link.link_name.as_str()),
        }
    }
}

/// What a call that leads nowhere was about.
fn contract_of(target: &OutboundTarget) -> &str {
    match target {
        OutboundTarget::Link { contract, .. } => contract,
        OutboundTarget::Unresolved { namespace, .. } if namespace.contains(':') => namespace,
        OutboundTarget::Actor { .. } | OutboundTarget::Unresolved { .. } => BETWEEN_ACTORS,
    }
}

impl ActorOutbound {
    /// Who is meant, and whether the caller may (protocol section 5.3).
    fn resolve(&self, calls: &Calls, target: &OutboundTarget) -> Result<Route, CallError> {
        match target {
            OutboundTarget::Link { contract, link_name } => self.linked(calls, contract, link_name),
            OutboundTarget::Actor { name } => actor_named(calls, name).map(Route::Actor),
            OutboundTarget::Unresolved { binding, namespace } => {
                let link_name = if binding.is_empty() { "default" } else { binding };
                if calls.tables().links.find(&self.actor, namespace, link_name).is_some() {
                    return self.linked(calls, namespace, link_name);
                }
                match actor_named(calls, namespace) {
                    Ok(actor) => Ok(Route::Actor(actor)),
                    Err(_) if namespace.contains(':') => self.linked(calls, namespace, link_name),
                    Err(error) => Err(error),
                }
            }
        }
    }

    fn linked(&self, calls: &Calls, contract: &str, link_name: &str) -> Result<Route, CallError> {
        let caller = &self.actor;
        if !self.grants.iter().any(|granted| granted == contract) {
            return Err(CallError::NotGranted { caller: caller.to_string(), contract: contract.to_owned() });
        }
        calls.tables().links.find(caller, contract, link_name).map(Route::Provider).ok_or_else(|| {
            CallError::NotLinked {
                actor: caller.to_string(),
                contract: contract.to_owned(),
                link_name: link_name.to_owned(),
            }
        })
    }
}

fn actor_named(calls: &Calls, name: &str) -> Result<ActorId, CallError> {
    let by_key = name.parse::<ActorId>().ok();
    by_key
        .or_else(|| calls.tables().claims.alias(name))
        .ok_or_else(|| CallError::UnknownActor { name: name.to_owned() })
}

impl Calls {
    /// Calls an actor, wherever it runs. Every way to it keeps the deadline by itself.
    pub(super) async fn call_actor(
        self: &Arc<Self>,
        contract: &str,
        origin: impl FnOnce() -> Entity + Send,
        target: ActorId,
        call: OutboundCall,
    ) -> Result<Bytes, CallError> {
        let OutboundCall { operation, payload, deadline, trace, .. } = call;
        // Boxed: the ways over the lattice are large and rare, and would be moved with every local call.
        let Some(actor) = self.actors.for_call(&target, contract) else {
            if let Some(actor) = Box::pin(self.coming_here(&target, contract, deadline)).await? {
                return actor.call(contract, &operation, payload, deadline, trace).await;
            }
            return Box::pin(self.call_elsewhere(origin(), target, operation, payload, deadline, trace)).await;
        };
        if !self.has_sessions() {
            return actor.call(contract, &operation, payload, deadline, trace).await;
        }
        match actor.call(contract, &operation, payload.clone(), deadline, trace.clone()).await {
            Err(full) if actor.is_full(&full) => {
                let (origin, trace, payload) = (&origin(), &trace.into_wire(), &payload);
                let call = CallParts { origin, target: &target, operation: &operation, trace, payload };
                Box::pin(self.spill(&call, deadline)).await.unwrap_or(Err(full))
            }
            outcome => outcome,
        }
    }

    /// Calls an actor that does not run here: in a session with a host of ours that runs it, else as the protocol has it.
    async fn call_elsewhere(
        self: &Arc<Self>,
        origin: Entity,
        target: ActorId,
        operation: String,
        payload: Bytes,
        deadline: Instant,
        mut trace: TraceContext,
    ) -> Result<Bytes, CallError> {
        let span = self.hop(&operation, target.as_str(), &mut trace);
        if let Some(sessions) = &self.sessions {
            self.peers.want_known();
            let route = self.peers.route(&target);
            // Hosts that speak no sessions get their share through the queue group alone.
            if let Some(route) = route.filter(|route| !route.others) {
                let (origin, trace, payload) = (&origin, &trace.clone().into_wire(), &payload);
                let call = CallParts { origin, target: &target, operation: &operation, trace, payload };
                let refuted = |host: &HostId| self.peers.refuted(host, target);
                if let Some(answer) = sessions.call(&call, &route, deadline, Wish::Elsewhere, refuted).await {
                    span.end(&answer);
                    return answer;
                }
            }
        }
        let subject = RpcSubject::Actor(target);
        let target = Entity::actor(&target);
        let signed = self.send_signed(&subject, (origin, target), operation, payload, deadline, trace, &|| None);
        let outcome = Box::pin(signed).await;
        span.end(&outcome);
        outcome
    }

    /// Has another host make a call that this one has no room for. None when no other takes it either, or it is not
    /// known to.
    pub(super) async fn spill(
        self: &Arc<Self>,
        call: &CallParts<'_>,
        deadline: Instant,
    ) -> Option<Result<Bytes, CallError>> {
        let sessions = self.sessions.as_ref()?;
        self.peers.want_known();
        let route = self.peers.route(call.target)?;
        let refuted = |host: &HostId| self.peers.refuted(host, *call.target);
        sessions.call(call, &route, deadline, Wish::Spill, refuted).await
    }

    async fn call_provider(self: &Arc<Self>, link: &Link, call: OutboundCall) -> Result<Bytes, CallError> {
        let OutboundCall { operation, payload, deadline, mut trace, .. } = call;
        let actor = link.actor_id;
        let here = self.providers.get(&link.provider_id, &link.link_name);
        if let Some(provider) = &here {
            provider.check_reachable()?;
            if let Home::Embedded(embedded) = &provider.home {
                let span = self.tracer.span(&operation, Kind::Internal, &mut trace);
                let span =
                    span.with("lattice.hop", || "provider").with("lattice.provider", || link.provider_id.as_str());
                let outcome = embedded.call(ProviderCall { actor, operation, payload, deadline, trace }).await;
                span.end(&outcome);
                return outcome;
            }
        }
        let id = link.provider_id;
        let subject = RpcSubject::Provider { id, link_name: link.link_name.clone() };
        let target = Entity::provider(&id, &link.link_name, &link.contract_id);
        let span = self.hop(&operation, id.as_str(), &mut trace);
        let origin = Entity::actor(&actor);
        let sent = Sent::now(self, link, here);
        let lost = || sent.lost();
        let signed = self.send_signed(&subject, (origin, target), operation, payload, deadline, trace, &lost);
        let outcome = Box::pin(signed).await.map_err(|error| sent.explained(error));
        span.end(&outcome);
        if matches!(outcome, Err(CallError::DeadlineExceeded { .. } | CallError::NotRunning { .. }))
            && let Some(provider) = self.providers.get(&id, &link.link_name)
        {
            provider.suspect();
        }
        outcome
    }

    /// Sends an invocation into the lattice, signed with this host's cluster key.
    #[expect(clippy::too_many_arguments, reason = "the parts of an invocation, each once")]
    async fn send_signed(
        &self,
        subject: &RpcSubject,
        (origin, target): (Entity, Entity),
        operation: String,
        payload: Bytes,
        deadline: Instant,
        trace: TraceContext,
        lost: Lost<'_>,
    ) -> Result<Bytes, CallError> {
        let Some(nats) = &self.nats else {
            return Err(CallError::NotRunning { target: target.public_key });
        };
        let remaining = deadline.saturating_duration_since(Instant::now());
        if remaining.is_zero() {
            return Err(CallError::DeadlineExceeded { step: "preparing the call".to_owned() });
        }
        let mut invocation = self
            .identity
            .issue_invocation(origin, target, operation, payload)
            .map_err(|error| CallError::HostFault { message: format!("cannot sign an invocation: {error}") })?;
        invocation.trace_context = trace.into_wire();
        nats.rpc.invoke_unless(subject, invocation, remaining, lost).await
    }

    /// The hop to another host or process.
    fn hop(&self, operation: &str, target: &str, trace: &mut TraceContext) -> Span {
        let span = self.tracer.span(operation, Kind::Client, trace);
        span.with("lattice.hop", || "remote").with("lattice.target", || target)
    }
}

/// Ends a call whose callee does not keep the deadline.
pub(super) fn within<T>(
    deadline: Instant,
    step: &str,
    call: impl Future<Output = Result<T, CallError>>,
) -> impl Future<Output = Result<T, CallError>> {
    // The callee has the same deadline and answers better; this one catches a callee that does not keep it.
    let last = deadline + Duration::from_millis(20);
    // Not an async function, which would hold the call twice: as its argument, and as what it waits for.
    tokio::time::timeout_at(last.into(), call)
        .map(move |outcome| outcome.unwrap_or_else(|_| Err(CallError::DeadlineExceeded { step: step.to_owned() })))
}

/// The host is going.
pub(super) fn stopping() -> CallError {
    CallError::Unreachable { target: "host".to_owned(), reason: "it is stopping".to_owned() }
}
