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
use contracts::{CallError, TraceContext, http_message::HttpTerms, httpserver};
use http::StatusCode;
use lattice::{Link, LinkName, invocation::Entity};
use provider_sdk::{Actors as ActorHandle, HttpBody, http_message};
use runtime::{OutboundCall, OutboundTarget, Watch};
use telemetry::Span;

use super::{
    face::Calls,
    out::{stopping, within},
};
use crate::{actors::RunningActor, failures::Peer, meters::Responded};

/// The way from an embedded provider to its linked actors.
pub struct EmbeddedActors {
    calls: Weak<Calls>,
    id: ProviderId,
    link_name: LinkName,
    /// The provider as the other end of a call that fails.
    peer: Arc<Peer>,
}

impl EmbeddedActors {
    /// The handle for the provider `id` running under `link_name`.
    pub fn new(calls: &Arc<Calls>, id: ProviderId, link_name: LinkName) -> Arc<Self> {
        let peer = Arc::new(Peer::Provider { id, link_name: link_name.to_string() });
        Arc::new(Self { calls: Arc::downgrade(calls), id, link_name, peer })
    }

    /// The link that lets this provider call the actor.
    fn check(&self, calls: &Calls, actor: &ActorId) -> Result<Arc<Link>, CallError> {
        let link = calls.tables().links.granting(actor, &self.id, self.link_name.as_str()).ok_or_else(|| {
            CallError::NotLinked {
                actor: actor.to_string(),
                contract: self.id.to_string(),
                link_name: self.link_name.to_string(),
            }
        })?;
        calls.permission.check_grant(actor, link.contract_id.as_str())?;
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
        let calls = self.calls.upgrade().ok_or_else(stopping)?;
        let outcome = self.call_linked(&calls, actor, operation, payload, deadline, trace).await;
        self.remember(&calls, actor, operation, &outcome);
        outcome
    }

    async fn handle_http(
        &self,
        actor: &ActorId,
        mut request: http::Request<HttpBody>,
        terms: HttpTerms,
    ) -> Result<http::Response<HttpBody>, CallError> {
        let calls = self.calls.upgrade().ok_or_else(stopping)?;
        let span = telemetry::arrival(&calls.tracer, &mut request).with("lattice.actor", || actor.as_str());
        let mut exchange =
            Some(Exchange { calls: self.calls.clone(), actor: *actor, peer: self.peer.clone(), span, status: None });
        let outcome = self.hand_over(&calls, actor, request, terms, &mut exchange).await;
        // One that is still here was not handed over to a guest of this host, which would go on with it.
        if let Some(mut exchange) = exchange {
            if let Ok(response) = &outcome {
                exchange.answered(response.status());
            }
            exchange.ended(outcome.as_ref().map(|_| ()));
        }
        outcome
    }
}

/// What becomes of a request of an HTTP server, until all of its answer is out. It is in the hands of a guest that may go on
/// for a moment after its host has stopped, so it holds nothing of the host.
struct Exchange {
    calls: Weak<Calls>,
    actor: ActorId,
    peer: Arc<Peer>,
    span: Span,
    status: Option<StatusCode>,
}

impl Watch for Exchange {
    fn answered(&mut self, status: StatusCode) {
        self.span.answered(status);
        self.status = Some(status);
    }

    fn ended(mut self, outcome: Result<(), &CallError>) {
        let responded = match (self.status.take(), outcome) {
            (Some(status), Ok(())) => Responded::With(status),
            (Some(_), Err(_)) => Responded::InPart,
            (None, _) => Responded::Not,
        };
        self.over(responded, outcome);
    }

    fn ended_afterwards(mut self, outcome: Result<(), &CallError>) {
        let responded = self.status.take().map_or(Responded::Not, Responded::With);
        self.over(responded, outcome);
    }
}

impl Exchange {
    fn over(mut self, responded: Responded, outcome: Result<(), &CallError>) {
        if let Some(calls) = self.calls.upgrade() {
            calls.meters.responded(responded);
            match outcome {
                Ok(()) => calls.failures.worked(&self.actor, || (*self.peer).clone(), httpserver::HANDLE_REQUEST),
                Err(error) => {
                    calls.failures.called(&self.actor, (*self.peer).clone(), httpserver::HANDLE_REQUEST, error);
                }
            }
        }
        std::mem::take(&mut self.span).end_with(outcome);
    }
}

impl Drop for Exchange {
    /// A client that went in the middle of an answer had its head.
    fn drop(&mut self) {
        if let (Some(status), Some(calls)) = (self.status, self.calls.upgrade()) {
            calls.meters.responded(Responded::With(status));
        }
    }
}

impl EmbeddedActors {
    fn remember<T>(&self, calls: &Calls, actor: &ActorId, operation: &str, outcome: &Result<T, CallError>) {
        match outcome {
            Ok(_) => calls.failures.worked(actor, || (*self.peer).clone(), operation),
            Err(error) => calls.failures.called(actor, (*self.peer).clone(), operation, error),
        }
    }

    async fn call_linked(
        &self,
        calls: &Arc<Calls>,
        actor: &ActorId,
        operation: &str,
        payload: Bytes,
        deadline: Instant,
        trace: TraceContext,
    ) -> Result<Bytes, CallError> {
        let link = self.check(calls, actor)?;
        let origin = || Entity::provider(&self.id, &self.link_name, &link.contract_id);
        let target = OutboundTarget::Actor { name: String::new() };
        let call = OutboundCall { target, operation: operation.to_owned(), payload, deadline, trace };
        calls.permission.may_serve(&link, deadline).await?;
        calls.call_actor(link.contract_id.as_str(), origin, *actor, call).await
    }

    async fn hand_over(
        &self,
        calls: &Arc<Calls>,
        actor: &ActorId,
        request: http::Request<HttpBody>,
        terms: HttpTerms,
        exchange: &mut Option<Exchange>,
    ) -> Result<http::Response<HttpBody>, CallError> {
        let link = self.check(calls, actor)?;
        calls.permission.may_serve(&link, terms.head.from_now()).await?;
        let trace = http_message::trace(request.headers());
        // A request is a stream and cannot be sent twice: whether there is room is asked before.
        let room = |local: &Arc<RunningActor>| !(local.guest.is_full() && calls.runs_elsewhere(actor));
        let contract = link.contract_id.as_str();
        let running = calls.actors.for_call(actor, contract);
        let came = match running {
            Some(_) => None,
            None => Box::pin(calls.coming_here(actor, contract, terms.head.from_now())).await?,
        };
        let local = running.or_else(|| came.as_deref().cloned());
        if let Some(local) = local.filter(room) {
            return local.handle_http(request, terms, trace, exchange).await;
        }
        let origin = Entity::provider(&self.id, &self.link_name, &link.contract_id);
        Box::pin(calls.remote_http(origin, *actor, request, terms, trace)).await
    }
}

impl Calls {
    async fn remote_http(
        self: &Arc<Self>,
        origin: Entity,
        actor: ActorId,
        request: http::Request<HttpBody>,
        terms: HttpTerms,
        trace: TraceContext,
    ) -> Result<http::Response<HttpBody>, CallError> {
        let head_only = request.method() == http::Method::HEAD;
        // How long a request may stand still is the business of the server that receives it.
        let payload = http_message::encode_request(request, terms.max_body).await?;
        let deadline = terms.head.from_now();
        let target = OutboundTarget::Actor { name: String::new() };
        let operation = httpserver::HANDLE_REQUEST.to_owned();
        let call = OutboundCall { target, operation, payload, deadline, trace };
        let contract = origin.contract_id.clone();
        let called = self.call_actor(&contract, || origin, actor, call);
        let answer = within(deadline, "waiting for the actor", called).await?;
        http_message::decode_response(&answer, head_only)
    }
}
