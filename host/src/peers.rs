//! The other hosts of the lattice, as far as this one has heard of them.
//!
//! Fed by `host_started`, `host_heartbeat` and `host_stopped` events and by one ping at start. Its only use is to tell
//! clients whom to wait for, so that a gather ends when all have answered. Invariant: a host silent for
//! [`FORGET_AFTER`] is forgotten; being listed is never proof of being alive.

use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, Instant},
};

/// Four heartbeats of 30 s, after which 0.82-era tools drop a host too (protocol section 10.4).
pub const FORGET_AFTER: Duration = Duration::from_secs(120);

/// Most hosts remembered; a peer that invents ids cannot grow us without bound.
const MAX_PEERS: usize = 10_000;

/// Hosts by public key, with when they were last heard of.
#[derive(Default)]
pub struct Peers {
    seen: Mutex<BTreeMap<String, Instant>>,
}

impl Peers {
    /// A host was heard of.
    pub fn heard(&self, host: &str, now: Instant) {
        let mut seen = self.lock();
        if seen.len() < MAX_PEERS || seen.contains_key(host) {
            seen.insert(host.to_owned(), now);
        }
    }

    /// A host said goodbye, or is known to be dead.
    pub fn gone(&self, host: &str) {
        self.lock().remove(host);
    }

    /// Everybody heard of lately.
    #[must_use]
    pub fn current(&self, now: Instant) -> Vec<String> {
        let mut seen = self.lock();
        seen.retain(|_, last| now.saturating_duration_since(*last) < FORGET_AFTER);
        seen.keys().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Instant>> {
        self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_silent_are_forgotten_and_the_departed_at_once() {
        let start = Instant::now();
        let peers = Peers::default();
        peers.heard("NA", start);
        peers.heard("NB", start + FORGET_AFTER / 2);
        peers.heard("NC", start);
        peers.gone("NC");
        assert_eq!(peers.current(start), ["NA", "NB"]);
        assert_eq!(peers.current(start + FORGET_AFTER), ["NB"]);
    }
}
