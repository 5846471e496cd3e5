//! The way from a provider process to its actors: signed invocations over NATS.
//!
//! A key of this process alone is known to hosts of ours. A host of others refuses it; the call, which it has not begun, is
//! then made by the host of this process.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use claims::{ActorId, HostId, KeyPair};
use contracts::{CallError, TraceContext, httpserver::HANDLE_REQUEST};
use lattice::{
    client::{Delegated, RpcClient},
    invocation::{Entity, Invocation, UNTRUSTED_ISSUER},
    subject::RpcSubject,
};
use telemetry::{Kind, Tracer};

use super::{time_left, unix_time};
use crate::{Actors, HttpBody, http_message};

/// Calls actors as the provider, signed with the cluster key that the host gave.
pub struct LatticeActors {
    /// The way.
    pub rpc: RpcClient,
    /// The provider.
    pub origin: Entity,
    /// Signs.
    pub cluster: KeyPair,
    /// The host that started this process.
    pub host: HostId,
    /// The statement for the key, where it is one of this process.
    pub delegated: Delegated,
    /// Makes spans.
    pub tracer: Tracer,
}

#[async_trait]
impl Actors for LatticeActors {
    async fn call(
        &self,
        actor: &ActorId,
        operation: &str,
        payload: Bytes,
        deadline: Instant,
        mut trace: TraceContext,
    ) -> Result<Bytes, CallError> {
        let span = self.tracer.span(operation, Kind::Client, &mut trace);
        let span = span.with("lattice.hop", || "remote").with("lattice.target", || actor.as_str());
        let outcome = self.invoke(actor, operation, payload, deadline, trace).await;
        span.end(&outcome);
        outcome
    }

    async fn handle_http(
        &self,
        actor: &ActorId,
        mut request: http::Request<HttpBody>,
        max_body: u64,
        deadline: Instant,
    ) -> Result<http::Response<HttpBody>, CallError> {
        let span = telemetry::arrival(&self.tracer, &mut request).with("lattice.actor", || actor.as_str());
        let outcome = self.hand_over(actor, request, max_body, deadline).await;
        span.end_http(&outcome);
        outcome
    }
}

impl LatticeActors {
    async fn invoke(
        &self,
        actor: &ActorId,
        operation: &str,
        payload: Bytes,
        deadline: Instant,
        trace: TraceContext,
    ) -> Result<Bytes, CallError> {
        let expired = || CallError::DeadlineExceeded { step: format!("waiting for the answer of `{actor}`") };
        let timeout = time_left(deadline);
        if timeout < Duration::from_millis(1) {
            return Err(expired());
        }
        let call = async {
            let refused =
                match self.send(&RpcSubject::Actor(*actor), actor, operation, &payload, deadline, &trace).await {
                    Err(error) if self.is_unknown(&error) => error,
                    outcome => return outcome,
                };
            tracing::debug!(%actor, error = %refused, "a host does not know the key of this process; its own host calls");
            self.send(&RpcSubject::Relay(self.host), actor, operation, &payload, deadline, &trace).await
        };
        // The client grants large payloads extra time; who set the deadline did not.
        tokio::time::timeout_at(deadline.into(), Box::pin(call)).await.unwrap_or_else(|_| Err(expired()))
    }

    async fn send(
        &self,
        subject: &RpcSubject,
        actor: &ActorId,
        operation: &str,
        payload: &Bytes,
        deadline: Instant,
        trace: &TraceContext,
    ) -> Result<Bytes, CallError> {
        let (origin, target, payload) = (self.origin.clone(), Entity::actor(actor), payload.clone());
        let mut invocation =
            Invocation::issue(origin, target, operation, payload, &self.cluster, &self.host, unix_time())
                .map_err(|error| CallError::HostFault { message: format!("cannot sign an invocation: {error}") })?;
        invocation.trace_context = trace.0.clone();
        self.rpc.invoke(subject, invocation, time_left(deadline)).await
    }

    /// Whether a call was refused for its key. Hosts of others say it in these words alone, with no code beside them; so do
    /// older hosts of ours, with the code of many refusals.
    fn is_unknown(&self, error: &CallError) -> bool {
        let (CallError::Reported { message } | CallError::Remote { message, .. }) = error else { return false };
        message == UNTRUSTED_ISSUER && self.delegated.get().is_some()
    }

    async fn hand_over(
        &self,
        actor: &ActorId,
        request: http::Request<HttpBody>,
        max_body: u64,
        deadline: Instant,
    ) -> Result<http::Response<HttpBody>, CallError> {
        let trace = http_message::trace(request.headers());
        let head_only = request.method() == http::Method::HEAD;
        let reading = http_message::encode_request(request, max_body);
        let message = tokio::time::timeout_at(deadline.into(), reading)
            .await
            .map_err(|_| CallError::DeadlineExceeded { step: "reading the request body".to_owned() })??;
        let answer = self.call(actor, HANDLE_REQUEST, message, deadline, trace).await?;
        http_message::decode_response(&answer, head_only)
    }
}
