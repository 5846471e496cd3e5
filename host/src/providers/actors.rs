//! The way from an embedded provider to its linked actors: called here, or where they run.
//!
//! Link, grant and policy are checked first. A request for an actor of this host is handed on as a stream; one for an actor
//! elsewhere becomes a message. Invariant: as for every call, an answer or a [`CallError`] by the deadline.

use std::{
    sync::{Arc, Weak},
    time::Instant,
};

use async_trait::async_trait;
use bytes::Bytes;
use claims::{ActorId, ProviderId};
use contracts::{CallError, TraceContext, httpserver};
use lattice::{Link, LinkName, invocation::Entity};
use provider_sdk::{Actors as ActorHandle, HttpBody, http_message};
use runtime::{OutboundCall, OutboundTarget};

use crate::{
    actors::RunningActor,
    core::Core,
    policy,
    router::{stopping, within},
    why::Peer,
};

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
        let outcome = self.call_linked(&core, actor, operation, payload, deadline, trace).await;
        self.remember(&core, actor, operation, &outcome);
        outcome
    }

    async fn handle_http(
        &self,
        actor: &ActorId,
        mut request: http::Request<HttpBody>,
        max_body: u64,
        deadline: Instant,
    ) -> Result<http::Response<HttpBody>, CallError> {
        let core = self.core.upgrade().ok_or_else(stopping)?;
        let span = telemetry::arrival(&core.tracer, &mut request).with("lattice.actor", || actor.as_str());
        let outcome = self.hand_over(&core, actor, request, max_body, deadline).await;
        span.end_http(&outcome);
        core.metrics.responded(outcome.as_ref().ok().map(http::Response::status));
        self.remember(&core, actor, httpserver::HANDLE_REQUEST, &outcome);
        outcome
    }
}

impl EmbeddedActors {
    fn peer(&self) -> Peer {
        Peer::Provider { id: self.id, link_name: self.link_name.to_string() }
    }

    fn remember<T>(&self, core: &Core, actor: &ActorId, operation: &str, outcome: &Result<T, CallError>) {
        match outcome {
            Ok(_) => core.failures.worked(actor, || self.peer(), operation),
            Err(error) => core.failures.called(actor, self.peer(), operation, error),
        }
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
        core.call_actor(link.contract_id.as_str(), origin, *actor, call).await
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
        // A request is a stream and cannot be sent twice: whether there is room is asked before.
        let room = |local: &Arc<RunningActor>| !(local.guest.is_full() && core.runs_elsewhere(actor));
        let contract = link.contract_id.as_str();
        let running = core.actors.for_call(actor, contract);
        let came = match running {
            Some(_) => None,
            None => Box::pin(core.coming_here(actor, contract, deadline)).await?,
        };
        let local = running.or_else(|| came.as_deref().cloned());
        if let Some(local) = local.filter(room) {
            return local.handle_http(request, max_body, deadline, trace).await;
        }
        let origin = Entity::provider(&self.id, &self.link_name, &link.contract_id);
        let remote = Box::pin(core.remote_http(origin, *actor, request, max_body, deadline, trace));
        within(deadline, "waiting for the actor", remote).await
    }
}

impl Core {
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
        let target = OutboundTarget::Actor { name: String::new() };
        let operation = httpserver::HANDLE_REQUEST.to_owned();
        let call = OutboundCall { target, operation, payload, deadline, trace };
        let contract = origin.contract_id.clone();
        let answer = self.call_actor(&contract, || origin, actor, call).await?;
        http_message::decode_response(&answer, head_only)
    }
}
