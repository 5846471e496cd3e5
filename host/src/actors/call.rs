//! A call into an actor of this host: refused when it is barred, counted, traced, and handed to its guest.
//!
//! Invariant: every call that begins is counted once, however it ends.

use std::time::Instant;

use bytes::Bytes;
use contracts::{CallError, TraceContext, httpserver};
use provider_sdk::HttpBody;
use runtime::CallContext;
use telemetry::{Kind, Span};

use super::RunningActor;

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
        self.barred.check(&self.id)?;
        let measured = self.calls.arrived.begin(contract, operation);
        let span = self.span(contract, operation, &mut trace);
        let context = CallContext { deadline, trace, outbound: self.outbound.clone() };
        let outcome = self.guest.call(operation, payload, context).await;
        measured.end(&outcome);
        span.end(&outcome);
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

    /// Lets the actor answer an HTTP request in this process.
    ///
    /// # Errors
    /// [`CallError`], by the deadline at the latest.
    pub async fn handle_http(
        &self,
        request: http::Request<HttpBody>,
        max_body: u64,
        deadline: Instant,
        mut trace: TraceContext,
    ) -> Result<http::Response<HttpBody>, CallError> {
        self.barred.check(&self.id)?;
        let measured = self.calls.arrived.begin(httpserver::CONTRACT, httpserver::HANDLE_REQUEST);
        let span = self.span(httpserver::CONTRACT, httpserver::HANDLE_REQUEST, &mut trace);
        let context = CallContext { deadline, trace, outbound: self.outbound.clone() };
        let outcome = self.guest.handle_http(request, max_body, context).await;
        measured.end(&outcome);
        span.end_http(&outcome);
        outcome
    }
}
