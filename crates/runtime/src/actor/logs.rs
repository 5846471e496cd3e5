//! What guests say, as tracing events with the actor's id.
//!
//! Knows no sink. Invariants: a line is one line, without control characters; a call logs at most `log_lines_per_call` lines of at most [`LINE_BYTES`] each, an actor at
//! most `log_lines_per_second`; one more line tells that the rest was dropped.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Instant,
};

use contracts::text;
use wasmtime::component::{ComponentType, Lift};

use super::{Actor, log_rate::Verdict};
use crate::limits::names::Limit;

/// Longest text of one line; the rest of it is cut off.
pub(crate) const LINE_BYTES: usize = 8 << 10;
/// Longest context of a line.
const CONTEXT_BYTES: usize = 256;

/// Level of a guest's line; also the enum of `wasi:logging/logging`, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum Level {
    #[component(name = "trace")]
    Trace,
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
    #[component(name = "critical")]
    Critical,
}

impl Level {
    /// The names of `wasmcloud:builtin:logging`.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "trace" => Self::Trace,
            "debug" => Self::Debug,
            "info" => Self::Info,
            "warn" => Self::Warn,
            "error" => Self::Error,
            "critical" => Self::Critical,
            _ => return None,
        })
    }
}

/// The log of one call.
#[derive(Clone)]
pub(crate) struct Logs {
    shared: Arc<Shared>,
}

struct Shared {
    actor: Arc<Actor>,
    lines: AtomicU32,
}

impl Logs {
    pub(crate) fn new(actor: Arc<Actor>) -> Self {
        Self { shared: Arc::new(Shared { actor, lines: AtomicU32::new(0) }) }
    }

    /// Counts from the beginning, for the next call of an instance.
    pub(crate) fn renew(&self) {
        self.shared.lines.store(0, Relaxed);
    }

    /// Logs one line; `context` may be empty.
    pub(crate) fn line(&self, level: Level, context: &str, text: &str) {
        let actor = self.shared.actor.id();
        let limit = self.shared.actor.limits.log_lines_per_call;
        let before = self.shared.lines.fetch_add(1, Relaxed);
        if before >= limit {
            // Kept from wrapping around; a few lines more or less between threads do not matter.
            self.shared.lines.store(limit.saturating_add(1), Relaxed);
            self.shared.actor.broken_limits.count(Limit::LogLines);
            if before == limit {
                tracing::warn!(target: "guest", actor, log_lines_per_call = limit, "further log lines of this call are dropped");
            }
            return;
        }
        if !self.rate_allows(actor) {
            return;
        }
        let (text, context) = (text::line(text, LINE_BYTES), text::line(context, CONTEXT_BYTES));
        let context = &*context;
        match level {
            Level::Trace => tracing::trace!(target: "guest", actor, context, "{text}"),
            Level::Debug => tracing::debug!(target: "guest", actor, context, "{text}"),
            Level::Info => tracing::info!(target: "guest", actor, context, "{text}"),
            Level::Warn => tracing::warn!(target: "guest", actor, context, "{text}"),
            Level::Error => tracing::error!(target: "guest", actor, context, "{text}"),
            Level::Critical => tracing::error!(target: "guest", actor, context, critical = true, "{text}"),
        }
    }

    /// Whether the actor may log another line now. What it may not is told in two lines: that it begins, and how much
    /// it was.
    fn rate_allows(&self, actor: &str) -> bool {
        let log_lines_per_second = self.shared.actor.limits.log_lines_per_second;
        match self.shared.actor.log_rate.judge(log_lines_per_second, Instant::now()) {
            Verdict::Passes { dropped: 0 } => return true,
            Verdict::Passes { dropped } => {
                tracing::warn!(target: "guest", actor, dropped, log_lines_per_second, "log lines were dropped");
                return true;
            }
            Verdict::FirstDropped => {
                tracing::warn!(target: "guest", actor, log_lines_per_second, "log lines of this second are dropped from here on");
            }
            Verdict::Dropped => {}
        }
        self.shared.actor.broken_limits.count(Limit::LogLinesPerSecond);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_six_levels_of_the_contract_are_known() {
        assert_eq!(Level::parse("critical"), Some(Level::Critical));
        assert_eq!(Level::parse("fatal"), None);
        assert_eq!(Level::parse("INFO"), None);
    }
}
