//! What becomes of a request for an actor of this host, wherever it came from: counted, traced and told, once.
//!
//! A guest goes on after the head of its answer is out, so this is told by the guest and not by whoever waits for the
//! answer. Invariant: metric, span, log and failures of one call say the same.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use claims::ActorId;
use contracts::{CallError, httpserver};
use http::StatusCode;
use runtime::Watch;
use telemetry::Span;

use super::{ActorCalls, Ongoing};
use crate::failures::{Failures, Peer};

/// Lines about failed calls that one actor may cause in a second.
const LINES: u32 = 10;

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

/// The lines about failed calls of one actor, so many in a second: whoever calls it decides how often it fails.
#[derive(Debug, Default)]
pub struct FailureLines {
    second: Mutex<Option<Second>>,
}

#[derive(Debug)]
struct Second {
    began: Instant,
    lines: u32,
    dropped: u64,
}

impl FailureLines {
    /// Says that a call failed, where that is the guest's doing and somebody should look at it.
    pub fn failed(&self, actor: &ActorId, error: &CallError, has_head: bool) {
        let code = error.code();
        if matches!(code, "busy" | "not_running" | "unreachable" | "not_granted" | "not_linked" | "unsupported") {
            return;
        }
        let Some(dropped) = self.pass(Instant::now()) else { return };
        let when = if has_head { "after its answer had begun" } else { "before it answered" };
        if dropped > 0 {
            tracing::warn!(%actor, dropped, "more calls failed than lines were written");
        }
        tracing::warn!(%actor, code, %error, "a call failed {when}");
    }

    /// How many lines were not written since the last one, if another may be.
    fn pass(&self, now: Instant) -> Option<u64> {
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        let second = second.get_or_insert(Second { began: now, lines: 0, dropped: 0 });
        if now.saturating_duration_since(second.began) >= Duration::from_secs(1) {
            *second = Second { began: now, lines: 0, dropped: second.dropped };
        }
        if second.lines >= LINES {
            second.dropped += 1;
            return None;
        }
        second.lines += 1;
        Some(std::mem::take(&mut second.dropped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_actor_that_fails_all_the_time_writes_so_many_lines_and_says_how_many_more() {
        let (lines, now) = (FailureLines::default(), Instant::now());
        let written = (0..100).filter(|_| lines.pass(now).is_some()).count();
        assert_eq!(written, LINES as usize);
        assert_eq!(lines.pass(now + Duration::from_secs(1)), Some(100 - u64::from(LINES)));
        assert_eq!(lines.pass(now + Duration::from_secs(1)), Some(0));
    }
}
