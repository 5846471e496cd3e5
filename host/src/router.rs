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
use claims::ActorId;
use contracts::{CallError, TraceContext};
use futures_util::FutureExt;
use lattice::{Link, client::Lost, invocation::Entity, session::CallParts, subject::RpcSubject};
use provider_sdk::ProviderCall;
use runtime::{Outbound, OutboundCall, OutboundTarget};
use telemetry::{Kind, Span};

use crate::{
    actors::Barred,
    core::Core,
    heartbeat,
    metrics::{ActorCalls, BETWEEN_ACTORS},
    policy,
    providers::{Home, lost::Sent},
    sessions::Wish,
    why::Peer,
};

/// The way out of one actor.
pub struct ActorOutbound {
    core: Weak<Core>,
    actor: ActorId,
    /// What the claims of this very code name: a call keeps them, whatever runs under the id by now.
    grants: Arc<[String]>,
    barred: Barred,
    calls: Arc<ActorCalls>,
}

impl ActorOutbound {
    /// The way out for code of `actor` whose claims name `grants`, closed once it is barred.
    pub fn new(
        core: &Arc<Core>,
        actor: ActorId,
        grants: Arc<[String]>,
        barred: Barred,
        calls: Arc<ActorCalls>,
    ) -> Arc<Self> {
        Arc::new(Self { core: Arc::downgrade(core), actor, grants, barred, calls })
    }
}

#[async_trait]
impl Outbound for ActorOutbound {
    async fn call(&self, mut call: OutboundCall) -> Result<Bytes, CallError> {
        let core = self.core.upgrade().ok_or_else(stopping)?;
        self.barred.check(&self.actor)?;
        let route = self.resolve(&core, &call.target);
        let route = route.and_then(|route| call.trace.descend().map(|()| route)).inspect_err(|error| {
            let contract = contract_of(&call.target);
            self.calls.made.refused(contract, &call.operation, error);
            let (_, operation) = self.calls.made.words(contract, &call.operation);
            core.failures.called(&self.actor, Peer::asked_for(&call.target), operation, error);
        })?;
        let measured = self.calls.made.begin(route.contract(), &call.operation);
        let operation = measured.operation();
        let span = self.calls.tracer.span(&call.operation, Kind::Client, &mut call.trace);
        let span = span
            .with("lattice.hop", || "outgoing")
            .with("lattice.actor", || self.actor.as_str())
            .with("lattice.contract", || route.contract());
        let outcome = self.follow(&core, &route, call).await;
        measured.end(&outcome);
        span.end(&outcome);
        match &outcome {
            Ok(_) => core.failures.worked(&self.actor, || route.peer(), operation),
            Err(error) => core.failures.called(&self.actor, route.peer(), operation, error),
        }
        outcome
    }

    async fn config(&self) -> Result<BTreeMap<String, Vec<u8>>, CallError> {
        let core = self.core.upgrade().ok_or_else(stopping)?;
        self.barred.check(&self.actor)?;
        let config = core.tables().config_of(self.actor.as_str());
        Ok(config.into_iter().map(|(name, value)| (name, value.to_vec())).collect())
    }
}

impl ActorOutbound {
    async fn follow(&self, core: &Arc<Core>, route: &Route, call: OutboundCall) -> Result<Bytes, CallError> {
        let deadline = call.deadline;
        match route {
            Route::Actor(target) => {
                policy::may_call(core, &self.actor, target, deadline).await?;
                core.call_actor(BETWEEN_ACTORS, || Entity::actor(&self.actor), *target, call).await
            }
            Route::Provider(link) => {
                policy::may_call_over(core, link, deadline).await?;
                within(deadline, "waiting for the callee", core.call_provider(link, call)).await
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
    fn resolve(&self, core: &Core, target: &OutboundTarget) -> Result<Route, CallError> {
        match target {
            OutboundTarget::Link { contract, link_name } => self.linked(core, contract, link_name),
            OutboundTarget::Actor { name } => actor_named(core, name).map(Route::Actor),
            OutboundTarget::Unresolved { binding, namespace } => {
                let link_name = if binding.is_empty() { "default" } else { binding };
                if core.tables().links.find(&self.actor, namespace, link_name).is_some() {
                    return self.linked(core, namespace, link_name);
                }
                match actor_named(core, namespace) {
                    Ok(actor) => Ok(Route::Actor(actor)),
                    Err(_) if namespace.contains(':') => self.linked(core, namespace, link_name),
                    Err(error) => Err(error),
                }
            }
        }
    }

    fn linked(&self, core: &Core, contract: &str, link_name: &str) -> Result<Route, CallError> {
        let caller = &self.actor;
        if !self.grants.iter().any(|granted| granted == contract) {
            return Err(CallError::NotGranted { caller: caller.to_string(), contract: contract.to_owned() });
        }
        core.tables().links.find(caller, contract, link_name).map(Route::Provider).ok_or_else(|| CallError::NotLinked {
            actor: caller.to_string(),
            contract: contract.to_owned(),
            link_name: link_name.to_owned(),
        })
    }
}

fn actor_named(core: &Core, name: &str) -> Result<ActorId, CallError> {
    let by_key = name.parse::<ActorId>().ok();
    by_key.or_else(|| core.tables().claims.alias(name)).ok_or_else(|| CallError::UnknownActor { name: name.to_owned() })
}

impl Core {
    /// Calls an actor, wherever it runs. Every way to it keeps the deadline by itself.
    pub(crate) async fn call_actor(
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
            heartbeat::ask_unknown(self);
            let route = self.peers.route(&target);
            // Hosts that speak no sessions get their share through the queue group alone.
            if let Some(route) = route.filter(|route| !route.others) {
                let (origin, trace, payload) = (&origin, &trace.clone().into_wire(), &payload);
                let call = CallParts { origin, target: &target, operation: &operation, trace, payload };
                if let Some(answer) = sessions.call(self, &call, &route, deadline, Wish::Elsewhere).await {
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
    pub(crate) async fn spill(
        self: &Arc<Self>,
        call: &CallParts<'_>,
        deadline: Instant,
    ) -> Option<Result<Bytes, CallError>> {
        let sessions = self.sessions.as_ref()?;
        heartbeat::ask_unknown(self);
        let route = self.peers.route(call.target)?;
        sessions.call(self, call, &route, deadline, Wish::Spill).await
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
        let Some(broker) = &self.broker else {
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
        broker.rpc.invoke_unless(subject, invocation, remaining, lost).await
    }

    /// The hop to another host or process.
    fn hop(&self, operation: &str, target: &str, trace: &mut TraceContext) -> Span {
        let span = self.tracer.span(operation, Kind::Client, trace);
        span.with("lattice.hop", || "remote").with("lattice.target", || target)
    }
}

impl Core {
    /// Whether an actor's signed claims grant a contract; what runs here is known exactly, others by lattice state.
    pub(crate) fn check_grant(&self, actor: &ActorId, contract: &str) -> Result<(), CallError> {
        let granted = self.actors.grants(actor, contract);
        if granted.unwrap_or_else(|| !self.tables().claims.lacks(actor, contract)) {
            return Ok(());
        }
        Err(CallError::NotGranted { caller: actor.to_string(), contract: contract.to_owned() })
    }

    /// The deadline of a call that brings none.
    #[must_use]
    pub fn default_deadline(&self) -> Instant {
        Instant::now() + self.config.rpc_timeout
    }
}

/// Ends a call whose callee does not keep the deadline.
pub(crate) fn within<T>(
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
pub(crate) fn stopping() -> CallError {
    CallError::Unreachable { target: "host".to_owned(), reason: "it is stopping".to_owned() }
}
