//! Numbers of a host: what is counted where it happens, and the page that shows it.
//!
//! Per-actor numbers live with the actor and go with it; here is what belongs to the host. Invariant: counting never
//! waits; whoever reads pays.

mod calls;
mod histogram;

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use claims::ProviderId;
use dashmap::DashMap;
use http::StatusCode;
use lattice::LinkName;

pub use self::calls::{BETWEEN_ACTORS, CallMeter};
use self::histogram::START_BOUNDS;
pub use self::histogram::{Histogram, Snapshot};

/// A step of starting an actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartStep {
    /// Reading or downloading the artifact.
    Fetch,
    /// Signature, hash, times, issuer.
    Verify,
    /// Compiling, or taking compiled code from the cache, and linking.
    Compile,
    /// From the command until it could be called.
    Total,
}

impl StartStep {
    /// Every step, in this order.
    pub const ALL: [Self; 4] = [Self::Fetch, Self::Verify, Self::Compile, Self::Total];

    /// As the page spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Verify => "verify",
            Self::Compile => "compile",
            Self::Total => "total",
        }
    }
}

/// Classes of status codes, calls that ended without any response, and responses that broke off after their head.
pub const STATUS_CLASSES: [&str; 7] = ["1xx", "2xx", "3xx", "4xx", "5xx", "none", "broken"];
const NO_RESPONSE: usize = 5;
const BROKEN: usize = 6;

/// What an actor gave for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Responded {
    /// An answer with this status.
    With(StatusCode),
    /// None.
    Not,
    /// The beginning of one.
    InPart,
}

/// What the host counts besides its actors.
pub struct Metrics {
    starts: [Histogram; StartStep::ALL.len()],
    responses: [AtomicU64; STATUS_CLASSES.len()],
    restarts: DashMap<(ProviderId, LinkName), u64>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            starts: StartStep::ALL.map(|_| Histogram::new(START_BOUNDS)),
            responses: Default::default(),
            restarts: DashMap::new(),
        }
    }
}

impl Metrics {
    /// A step of a start that succeeded took from `began` until now.
    pub fn started(&self, step: StartStep, began: Instant) {
        self.starts[step as usize].record(began.elapsed());
    }

    /// An actor answered a request of an HTTP server of this host, or did not.
    pub fn responded(&self, responded: Responded) {
        let class = match responded {
            Responded::With(status) => usize::from(status.as_u16() / 100).clamp(1, 5) - 1,
            Responded::Not => NO_RESPONSE,
            Responded::InPart => BROKEN,
        };
        self.responses[class].fetch_add(1, Ordering::Relaxed);
    }

    /// How long a step took, of all starts.
    #[must_use]
    pub fn steps(&self, step: StartStep) -> Snapshot {
        self.starts[step as usize].snapshot()
    }

    /// Answers by [class](STATUS_CLASSES).
    pub fn responses(&self) -> impl Iterator<Item = (&'static str, u64)> {
        STATUS_CLASSES.into_iter().zip(self.responses.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    /// How often a provider ended by itself.
    #[must_use]
    pub fn restarts_of(&self, id: ProviderId, link_name: LinkName) -> u64 {
        self.restarts.get(&(id, link_name)).map_or(0, |count| *count)
    }

    /// Forgets the restarts of providers that do not run any more.
    pub fn forget_restarts(&self, runs: impl Fn(&ProviderId, &LinkName) -> bool) {
        self.restarts.retain(|(id, link_name), _| runs(id, link_name));
    }

    /// A provider process ended by itself and is started again.
    pub fn provider_restarts(&self, id: ProviderId, link_name: LinkName) {
        *self.restarts.entry((id, link_name)).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_stored_where_they_are_shown() {
        for (index, step) in StartStep::ALL.into_iter().enumerate() {
            assert_eq!(step as usize, index);
        }
    }

    #[test]
    fn responses_are_counted_by_class() {
        let metrics = Metrics::default();
        for status in [StatusCode::OK, StatusCode::NO_CONTENT, StatusCode::BAD_GATEWAY] {
            metrics.responded(Responded::With(status));
        }
        metrics.responded(Responded::Not);
        metrics.responded(Responded::InPart);
        let counts = metrics.responses.map(AtomicU64::into_inner);
        assert_eq!(counts, [0, 2, 0, 0, 1, 1, 1]);
    }
}
