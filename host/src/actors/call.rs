//! A call into an actor of this host: refused when it is revoked, counted, traced, and handed to its guest.
//!
//! Invariant: every call that begins is counted once, however it ends, also where it ends after its answer.

use std::time::Instant;

use bytes::Bytes;
use contracts::{
    CallError, TraceContext,
    http_message::{self, HttpTerms},
    httpserver,
};
use provider_sdk::HttpBody;
use runtime::{CallContext, GuestKind, Watch};
use telemetry::{Kind, Span};

use super::{
    RunningActor,
    watch::{Afterwards, Watched},
};

impl RunningActor {
    /// Calls the actor in this process. `contract` is that of the calling provider, for the metrics.
    ///
    /// # Errors
    /// [`CallError`], by the deadline at the latest.
    pub async fn call(
        &self,
        contract: &str,
        operation: &str,
        payload: Bytes,
        deadline: Instant,
        mut trace: TraceContext,
    ) -> Result<Bytes, CallError> {
        self.revoked.check(&self.id)?;
        if operation == httpserver::HANDLE_REQUEST {
            return Box::pin(self.call_http(contract, payload, deadline, trace)).await;
        }
        let measured = self.calls.arrived.begin(contract, operation);
        let span = self.span(contract, operation, &mut trace);
        let context = CallContext { deadline, trace, outbound: self.outbound.clone() };
        let outcome = self.guest.call(operation, payload, context).await;
        measured.end(&outcome);
        span.end(&outcome);
        if let Err(error) = &outcome {
            self.calls.lines.failed(&self.id, error, false);
        }
        outcome
    }

    /// Whether this is how the actor turns a call away for want of room: then nothing of it was begun.
    #[must_use]
    pub fn is_full(&self, error: &CallError) -> bool {
        error.turned_away_by(self.id.as_str())
    }

    fn span(&self, contract: &str, operation: &str, trace: &mut TraceContext) -> Span {
        let span = self.calls.tracer.span(operation, Kind::Internal, trace);
        let span = span.with("lattice.hop", || "actor").with("lattice.actor", || self.id.as_str());
        span.with("lattice.contract", || contract)
    }

    fn watched<A>(&self, contract: &str, trace: &mut TraceContext) -> Watched<A> {
        let ongoing = self.calls.arrive(contract, httpserver::HANDLE_REQUEST);
        let span = self.span(contract, httpserver::HANDLE_REQUEST, trace);
        Watched::new(self.id, ongoing, self.calls.clone(), span)
    }

    /// An HTTP request as a message. An answer that nobody could send on is no answer, here where its actor is known.
    async fn call_http(
        &self,
        contract: &str,
        payload: Bytes,
        deadline: Instant,
        mut trace: TraceContext,
    ) -> Result<Bytes, CallError> {
        let mut watched = self.watched(contract, &mut trace);
        watched.tell(Some(Afterwards::new(self.id, self.calls.failures.clone())));
        let mut watch = Some(watched);
        let context = CallContext { deadline, trace, outbound: self.outbound.clone() };
        let outcome = self.guest.call_watched(httpserver::HANDLE_REQUEST, payload, context, &mut watch).await;
        let outcome = match self.guest.kind() {
            GuestKind::Module => outcome.and_then(|answer| http_message::check_response(&answer).map(|()| answer)),
            GuestKind::Component => outcome,
        };
        if let Some(watch) = watch {
            watch.ended(outcome.as_ref().map(|_| ()));
        }
        outcome
    }

    /// Lets the actor answer an HTTP request in this process. `also` is taken when the actor is to answer, and told what
    /// becomes of that, also after this has returned.
    ///
    /// # Errors
    /// [`CallError`], as long as there is no head of an answer.
    pub async fn handle_http<A: Watch>(
        &self,
        request: http::Request<HttpBody>,
        terms: HttpTerms,
        mut trace: TraceContext,
        also: &mut Option<A>,
    ) -> Result<http::Response<HttpBody>, CallError> {
        self.revoked.check(&self.id)?;
        let mut watched = self.watched(httpserver::CONTRACT, &mut trace);
        watched.tell(also.take());
        let mut watch = Some(watched);
        let context = CallContext { deadline: terms.head.from_now(), trace, outbound: self.outbound.clone() };
        let outcome = self.guest.answer_http(request, terms, context, &mut watch).await;
        if let (Some(watch), Err(error)) = (watch, &outcome) {
            watch.ended(Err(error));
        }
        outcome
    }
}
