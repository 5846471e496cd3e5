//! What becomes of a request for an actor of this host, wherever it came from: counted, traced and told, once.
//!
//! A guest goes on after the head of its answer is out, so this is told by the guest and not by whoever waits for the
//! answer. Invariant: metric, span, log and failures of one call say the same.

use std::sync::Arc;

use claims::ActorId;
use contracts::{CallError, httpserver};
use http::StatusCode;
use runtime::Watch;
use telemetry::Span;

use super::{ActorCalls, Ongoing};
use crate::failures::{Failures, Peer};

/// Watches one request; `also` is whoever else wants to know.
pub struct Watched<A> {
    actor: ActorId,
    ongoing: Ongoing,
    calls: Arc<ActorCalls>,
    span: Span,
    has_head: bool,
    also: Option<A>,
}

impl<A> Watched<A> {
    /// A request begins.
    pub fn new(actor: ActorId, ongoing: Ongoing, calls: Arc<ActorCalls>, span: Span) -> Self {
        Self { actor, ongoing, calls, span, has_head: false, also: None }
    }

    /// From here on somebody else is told as well.
    pub fn tell(&mut self, also: Option<A>) {
        self.also = also;
    }
}

impl<A: Watch> Watch for Watched<A> {
    fn answered(&mut self, status: StatusCode) {
        self.has_head = true;
        self.ongoing.answered();
        self.span.answered(status);
        if let Some(also) = &mut self.also {
            also.answered(status);
        }
    }

    fn ended(self, outcome: Result<(), &CallError>) {
        let also = self.end(outcome);
        if let Some(also) = also {
            also.ended(outcome);
        }
    }

    fn ended_afterwards(self, outcome: Result<(), &CallError>) {
        let also = self.end(outcome);
        if let Some(also) = also {
            also.ended_afterwards(outcome);
        }
    }
}

impl<A> Watched<A> {
    fn end(self, outcome: Result<(), &CallError>) -> Option<A> {
        if let Err(error) = outcome {
            self.calls.lines.failed(&self.actor, error, self.has_head);
        }
        self.ongoing.end(outcome);
        self.span.end_with(outcome);
        self.also
    }
}

/// Remembers what an actor does wrong after its caller had an answer; what is wrong before that, the caller tells.
pub struct Afterwards {
    actor: ActorId,
    failures: Arc<Failures>,
}

impl Afterwards {
    /// For calls of `actor` whose caller tells `failures` by itself how they end.
    pub fn new(actor: ActorId, failures: Arc<Failures>) -> Self {
        Self { actor, failures }
    }
}

impl Watch for Afterwards {
    fn ended(self, _: Result<(), &CallError>) {}

    fn ended_afterwards(self, outcome: Result<(), &CallError>) {
        if let Err(error) = outcome {
            self.failures.called(&self.actor, Peer::caller(None), httpserver::HANDLE_REQUEST, error);
        }
    }
}
