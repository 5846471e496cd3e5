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
use claims::{ActorId, ProviderId};
use contracts::{CallError, TraceContext, httpserver};
use lattice::{Link, LinkName, invocation::Entity, subject::RpcSubject};
use provider_sdk::{Actors as ActorHandle, HttpBody, ProviderCall, http_message};
use runtime::{CallContext, Outbound, OutboundCall, OutboundTarget};

use crate::{
    actors::{Barred, RunningActor},
    core::Core,
    policy,
    providers::Home,
    why::Peer,
};

/// The way out of one actor.
pub struct ActorOutbound {
    core: Weak<Core>,
    actor: ActorId,
    barred: Barred,
}

impl ActorOutbound {
    /// The way out for `actor`, closed once it is barred.
    pub fn new(core: &Arc<Core>, actor: ActorId, barred: Barred) -> Arc<Self> {
        Arc::new(Self { core: Arc::downgrade(core), actor, barred })
    }
}

#[async_trait]
impl Outbound for ActorOutbound {
    async fn call(&self, call: OutboundCall) -> Result<Bytes, CallError> {
        let core = self.core.upgrade().ok_or_else(stopping)?;
        self.barred.check(&self.actor)?;
        let deadline = call.deadline;
        let failed = |peer, error: &CallError| core.failures.called(&self.actor, peer, error);
        let route = resolve(&core, &self.actor, &call.target)
            .inspect_err(|error| failed(Peer::asked_for(&call.target), error))?;
        let outcome = within(deadline, "waiting for the callee", async {
            match &route {
                Route::Actor(target) => {
                    policy::may_call(&core, &self.actor, target, deadline).await?;
                    core.call_actor(|| Entity::actor(&self.actor), *target, call).await
                }
                Route::Provider(link) => {
                    policy::may_call_over(&core, link, deadline).await?;
                    core.call_provider(link, call).await
                }
            }
        })
        .await;
        outcome.inspect_err(|error| failed(route.peer(), error))
    }

    async fn config(&self) -> Result<BTreeMap<String, Vec<u8>>, CallError> {
        let core = self.core.upgrade().ok_or_else(stopping)?;
        self.barred.check(&self.actor)?;
        let config = core.tables().config_of(self.actor.as_str());
        Ok(config.into_iter().map(|(name, value)| (name, value.to_vec())).collect())
    }
}

enum Route {
    Actor(ActorId),
    Provider(Arc<Link>),
}

impl Route {
    fn peer(&self) -> Peer {
        match self {
            Self::Actor(target) => Peer::actor(target),
            Self::Provider(link) => Peer::link(link.contract_id.as_str(), link.link_name.as_str()),
        }
    }
}

/// Who is meant, and whether the caller may (protocol section 5.3).
fn resolve(core: &Core, caller: &ActorId, target: &OutboundTarget) -> Result<Route, CallError> {
    match target {
        OutboundTarget::Link { contract, link_name } => linked(core, caller, contract, link_name),
        OutboundTarget::Actor { name } => actor_named(core, name).map(Route::Actor),
        OutboundTarget::Unresolved { binding, namespace } => {
            let link_name = if binding.is_empty() { "default" } else { binding };
            if core.tables().links.find(caller, namespace, link_name).is_some() {
                return linked(core, caller, namespace, link_name);
            }
            match actor_named(core, namespace) {
                Ok(actor) => Ok(Route::Actor(actor)),
                Err(_) if namespace.contains(':') => linked(core, caller, namespace, link_name),
                Err(error) => Err(error),
            }
        }
    }
}

fn linked(core: &Core, caller: &ActorId, contract: &str, link_name: &str) -> Result<Route, CallError> {
    if !core.actors.get(caller).is_some_and(|actor| actor.grants(contract)) {
        return Err(CallError::NotGranted { caller: caller.to_string(), contract: contract.to_owned() });
    }
    core.tables().links.find(caller, contract, link_name).map(Route::Provider).ok_or_else(|| CallError::NotLinked {
        actor: caller.to_string(),
        contract: contract.to_owned(),
        link_name: link_name.to_owned(),
    })
}

fn actor_named(core: &Core, name: &str) -> Result<ActorId, CallError> {
    let by_key = name.parse::<ActorId>().ok();
    by_key.or_else(|| core.tables().claims.alias(name)).ok_or_else(|| CallError::UnknownActor { name: name.to_owned() })
}

impl Core {
    async fn call_actor(
        self: &Arc<Self>,
        origin: impl FnOnce() -> Entity + Send,
        target: ActorId,
        call: OutboundCall,
    ) -> Result<Bytes, CallError> {
        let OutboundCall { operation, payload, deadline, trace, .. } = call;
        match self.actors.get(&target) {
            Some(actor) => actor.call(&operation, payload, deadline, trace).await,
            None => {
                let subject = RpcSubject::Actor(target);
                // Boxed: the way over the lattice is large and rare, and would be moved with every local call.
                let target = Entity::actor(&target);
                Box::pin(self.invoke(&subject, origin(), target, operation, payload, deadline, trace)).await
            }
        }
    }

    async fn call_provider(self: &Arc<Self>, link: &Link, call: OutboundCall) -> Result<Bytes, CallError> {
        let OutboundCall { operation, payload, deadline, trace, .. } = call;
        let actor = link.actor_id;
        if let Some(provider) = self.providers.get(&link.provider_id, &link.link_name) {
            provider.check_reachable()?;
            if let Home::Embedded(embedded) = &provider.home {
                return embedded.call(ProviderCall { actor, operation, payload, deadline, trace }).await;
            }
        }
        let id = link.provider_id;
        let subject = RpcSubject::Provider { id, link_name: link.link_name.clone() };
        let target = Entity::provider(&id, &link.link_name, &link.contract_id);
        Box::pin(self.invoke(&subject, Entity::actor(&actor), target, operation, payload, deadline, trace)).await
    }

    /// Sends an invocation into the lattice, signed with this host's cluster key.
    #[expect(clippy::too_many_arguments, reason = "the parts of an invocation, each once")]
    async fn invoke(
        &self,
        subject: &RpcSubject,
        origin: Entity,
        target: Entity,
        operation: String,
        payload: Bytes,
        deadline: Instant,
        trace: TraceContext,
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
        invocation.trace_context = trace.0;
        broker.rpc.invoke(subject, invocation, remaining).await
    }
}

impl RunningActor {
    /// Calls the actor in this process.
    ///
    /// # Errors
    /// [`CallError`], by the deadline at the latest.
    pub async fn call(
        &self,
        operation: &str,
        payload: Bytes,
        deadline: Instant,
        trace: TraceContext,
    ) -> Result<Bytes, CallError> {
        self.barred.check(&self.id)?;
        let context = CallContext { deadline, trace, outbound: self.outbound.clone() };
        self.guest.call(operation, payload, context).await
    }
}

/// The way from an embedded provider to its linked actors.
pub struct EmbeddedActors {
    core: Weak<Core>,
    id: ProviderId,
    link_name: LinkName,
}

impl EmbeddedActors {
    /// The handle for the provider `id` running under `link_name`.
    pub fn new(core: &Arc<Core>, id: ProviderId, link_name: LinkName) -> Arc<Self> {
        Arc::new(Self { core: Arc::downgrade(core), id, link_name })
    }

    /// The link that lets this provider call the actor.
    fn check(&self, core: &Core, actor: &ActorId) -> Result<Arc<Link>, CallError> {
        let link = core.tables().links.granting(actor, &self.id, self.link_name.as_str()).ok_or_else(|| {
            CallError::NotLinked {
                actor: actor.to_string(),
                contract: self.id.to_string(),
                link_name: self.link_name.to_string(),
            }
        })?;
        core.check_grant(actor, link.contract_id.as_str())?;
        Ok(link)
    }
}

#[async_trait]
impl ActorHandle for EmbeddedActors {
    async fn call(
        &self,
        actor: &ActorId,
        operation: &str,
        payload: Bytes,
        deadline: Instant,
        trace: TraceContext,
    ) -> Result<Bytes, CallError> {
        let core = self.core.upgrade().ok_or_else(stopping)?;
        let call = self.call_linked(&core, actor, operation, payload, deadline, trace);
        call.await.inspect_err(|error| core.failures.called(actor, self.peer(), error))
    }

    async fn handle_http(
        &self,
        actor: &ActorId,
        request: http::Request<HttpBody>,
        max_body: u64,
        deadline: Instant,
    ) -> Result<http::Response<HttpBody>, CallError> {
        let core = self.core.upgrade().ok_or_else(stopping)?;
        let call = self.hand_over(&core, actor, request, max_body, deadline);
        call.await.inspect_err(|error| core.failures.called(actor, self.peer(), error))
    }
}

impl EmbeddedActors {
    fn peer(&self) -> Peer {
        Peer::Provider { id: self.id, link_name: self.link_name.to_string() }
    }

    async fn call_linked(
        &self,
        core: &Arc<Core>,
        actor: &ActorId,
        operation: &str,
        payload: Bytes,
        deadline: Instant,
        trace: TraceContext,
    ) -> Result<Bytes, CallError> {
        let link = self.check(core, actor)?;
        let origin = || Entity::provider(&self.id, &self.link_name, &link.contract_id);
        let target = OutboundTarget::Actor { name: String::new() };
        let call = OutboundCall { target, operation: operation.to_owned(), payload, deadline, trace };
        policy::may_serve(core, &link, deadline).await?;
        within(deadline, "waiting for the actor", core.call_actor(origin, *actor, call)).await
    }

    async fn hand_over(
        &self,
        core: &Arc<Core>,
        actor: &ActorId,
        request: http::Request<HttpBody>,
        max_body: u64,
        deadline: Instant,
    ) -> Result<http::Response<HttpBody>, CallError> {
        let link = self.check(core, actor)?;
        policy::may_serve(core, &link, deadline).await?;
        let trace = http_message::trace(request.headers());
        if let Some(local) = core.actors.get(actor) {
            local.barred.check(actor)?;
            let context = CallContext { deadline, trace, outbound: local.outbound.clone() };
            return local.guest.handle_http(request, max_body, context).await;
        }
        let origin = Entity::provider(&self.id, &self.link_name, &link.contract_id);
        let remote = Box::pin(core.remote_http(origin, *actor, request, max_body, deadline, trace));
        within(deadline, "waiting for the actor", remote).await
    }
}

impl Core {
    /// Whether an actor's signed claims grant a contract; what runs here is known exactly, others by lattice state.
    pub(crate) fn check_grant(&self, actor: &ActorId, contract: &str) -> Result<(), CallError> {
        let granted = match self.actors.get(actor) {
            Some(running) => running.grants(contract),
            None => !self.tables().claims.lacks(actor, contract),
        };
        if granted {
            return Ok(());
        }
        Err(CallError::NotGranted { caller: actor.to_string(), contract: contract.to_owned() })
    }

    async fn remote_http(
        self: &Arc<Self>,
        origin: Entity,
        actor: ActorId,
        request: http::Request<HttpBody>,
        max_body: u64,
        deadline: Instant,
        trace: TraceContext,
    ) -> Result<http::Response<HttpBody>, CallError> {
        let head_only = request.method() == http::Method::HEAD;
        let payload = http_message::encode_request(request, max_body).await?;
        let subject = RpcSubject::Actor(actor);
        let operation = httpserver::HANDLE_REQUEST.to_owned();
        let answer = self.invoke(&subject, origin, Entity::actor(&actor), operation, payload, deadline, trace).await?;
        http_message::decode_response(&answer, head_only)
    }

    /// The deadline of a call that brings none.
    #[must_use]
    pub fn default_deadline(&self) -> Instant {
        Instant::now() + self.config.rpc_timeout
    }
}

async fn within<T>(
    deadline: Instant,
    step: &str,
    call: impl Future<Output = Result<T, CallError>>,
) -> Result<T, CallError> {
    // The callee has the same deadline and answers better; this one catches a callee that does not keep it.
    let last = deadline + Duration::from_millis(20);
    match tokio::time::timeout_at(last.into(), call).await {
        Ok(outcome) => outcome,
        Err(_) => Err(CallError::DeadlineExceeded { step: step.to_owned() }),
    }
}

fn stopping() -> CallError {
    CallError::Unreachable { target: "host".to_owned(), reason: "it is stopping".to_owned() }
}
