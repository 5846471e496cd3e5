//! How long a host waits and how often it looks: one place, so that tests can set each.
//!
//! Bounds that are part of an agreement with others (of the protocol, of an SDK) stay where that is written.

use std::time::Duration;

use lattice::invocation::DELEGATION_LIFETIME;

use crate::process::backoff::Schedule;

/// Waits, intervals and backoffs of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timings {
    /// Deadline of a call that brings none.
    pub call: Duration,
    /// Grace of a provider process at stop.
    pub provider_shutdown: Duration,
    /// Time between heartbeats; the protocol says 30 s.
    pub heartbeat: Duration,
    /// Time between health checks of a provider; the protocol says 30 s.
    pub health_check: Duration,
    /// How long a provider process may sign with its own key by one statement; a new one comes with every health check.
    pub delegation: Duration,
    /// Time between comparisons of desired with actual.
    pub reconcile: Duration,
    /// Before a provider process that ended is started again.
    pub restart: Schedule,
    /// Before a start of the last run that failed is tried again.
    pub resume: Schedule,
    /// Before the config service is asked again.
    pub config_service: Schedule,
}

impl Default for Timings {
    fn default() -> Self {
        let minute = Schedule { first: Duration::from_secs(1), most: Duration::from_secs(60) };
        Self {
            call: Duration::from_secs(2),
            provider_shutdown: Duration::from_millis(300),
            heartbeat: Duration::from_secs(30),
            health_check: Duration::from_secs(30),
            delegation: Duration::from_secs(DELEGATION_LIFETIME),
            reconcile: Duration::from_secs(2),
            restart: Schedule { first: Duration::from_millis(100), most: Duration::from_secs(10) },
            resume: minute,
            config_service: minute,
        }
    }
}
