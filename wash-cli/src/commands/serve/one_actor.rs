//! The host as the HTTP server sees it: one actor, which answers every request.
//!
//! Invariant: whatever goes wrong in a request is said once, also after the head of the answer is out.

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use bytes::Bytes;
use claims::ActorId;
use contracts::{CallError, TraceContext};
use http::StatusCode;
use provider_sdk::{Actors, HttpTerms};
use runtime::{CallContext, Denied, Guest, HttpBody, Watch};

use crate::terminal::output::Printer;

/// One loaded component.
pub struct OneActor {
    guest: Guest,
    printer: Printer,
}

impl OneActor {
    /// Says on `printer` what goes wrong.
    pub fn new(guest: Guest, printer: Printer) -> Self {
        Self { guest, printer }
    }
}

#[async_trait]
impl Actors for OneActor {
    async fn call(
        &self,
        actor: &ActorId,
        operation: &str,
        _payload: Bytes,
        _deadline: Instant,
        _trace: TraceContext,
    ) -> Result<Bytes, CallError> {
        Err(CallError::Unsupported { target: actor.to_string(), operation: operation.to_owned() })
    }

    async fn handle_http(
        &self,
        _actor: &ActorId,
        request: http::Request<HttpBody>,
        terms: HttpTerms,
    ) -> Result<http::Response<HttpBody>, CallError> {
        let what = format!("{} {}", request.method(), request.uri());
        let (deadline, trace) = (terms.head.from_now(), TraceContext::default());
        let context = CallContext { deadline, trace, outbound: Arc::new(Denied) };
        let spoken = Spoken { printer: self.printer.clone(), what, began: Instant::now(), has_head: false };
        let mut watch = Some(spoken);
        let outcome = self.guest.answer_http(request, terms, context, &mut watch).await;
        if let (Some(watch), Err(error)) = (watch, &outcome) {
            watch.ended(Err(error));
        }
        outcome
    }
}

/// Says what becomes of one request.
struct Spoken {
    printer: Printer,
    what: String,
    began: Instant,
    has_head: bool,
}

impl Watch for Spoken {
    fn answered(&mut self, status: StatusCode) {
        self.has_head = true;
        self.printer.detail(|| format!("{}: {status} after {} ms", self.what, self.began.elapsed().as_millis()));
    }

    fn ended(self, outcome: Result<(), &CallError>) {
        let Err(error) = outcome else { return };
        let broken = if self.has_head { "the answer broke off: " } else { "" };
        self.printer.note(format!("{}: {broken}{}: {error}", self.what, error.code()));
    }

    fn ended_afterwards(self, outcome: Result<(), &CallError>) {
        if let Err(error) = outcome {
            self.printer.note(format!("{}: after its answer: {}: {error}", self.what, error.code()));
        }
    }
}
