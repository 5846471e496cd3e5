//! The other hosts of the lattice, as far as this one has heard of them: who is there, what each runs, and whether it
//! speaks sessions.
//!
//! Fed by events, heartbeats, the answers to pings, and inventories that are asked for when a call needs them. Its uses
//! are to tell clients whom to wait for, and to say where an actor may be called. Invariants: a host silent for
//! [`FORGET_AFTER`] is forgotten; being listed is never proof of being alive, so whoever relies on it has another way.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use claims::{ActorId, HostId};
use dashmap::DashMap;
use lattice::{
    control::{Annotations, HostInventory},
    session,
};

/// Four heartbeats of 30 s, after which 0.82-era tools drop a host too (protocol section 10.4).
pub const FORGET_AFTER: Duration = Duration::from_secs(120);

/// How long nobody asks a host again what it runs.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// Most hosts remembered; a peer that invents ids cannot grow us without bound.
const MAX_PEERS: usize = 10_000;
/// Most actors remembered of one host.
const MAX_ACTORS: usize = 20_000;

/// Who runs an actor, this host aside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Route {
    /// Hosts that speak our sessions.
    pub hosts: Vec<HostId>,
    /// Whether there are others, or some of which this is not known.
    pub others: bool,
}

/// Hosts by public key, with what is known of each.
#[derive(Default)]
pub struct Peers {
    seen: Mutex<BTreeMap<HostId, Peer>>,
    routes: DashMap<ActorId, Arc<Route>>,
    /// Whether some host has not said what it runs.
    incomplete: AtomicBool,
}

struct Peer {
    last: Instant,
    /// Version of the session format; none when it has not said.
    sessions: Option<u8>,
    /// Annotation sets of what it runs.
    runs: BTreeMap<ActorId, BTreeSet<Annotations>>,
    /// Whether `runs` is everything, as far as events told since.
    complete: bool,
    asked: Option<Instant>,
}

impl Peers {
    /// A host was heard of.
    pub fn heard(&self, host: HostId, now: Instant) {
        self.with(host, now, |_| {});
    }

    /// A host said goodbye, or is known to be dead.
    pub fn gone(&self, host: &HostId) {
        let mut seen = self.lock();
        if let Some(peer) = seen.remove(host) {
            self.reroute(&seen, peer.runs.into_keys());
        }
    }

    /// A host began anew. What it ran it may run again; what it runs besides is not known.
    pub fn began(&self, host: HostId, now: Instant) {
        self.with(host, now, |peer| (peer.complete, peer.asked) = (false, None));
        self.incomplete.store(true, Ordering::Relaxed);
    }

    /// What was known may have changed unseen.
    pub fn doubt(&self) {
        for peer in self.lock().values_mut() {
            (peer.complete, peer.asked) = (false, None);
        }
        self.incomplete.store(true, Ordering::Relaxed);
    }

    /// Everybody heard of lately.
    #[must_use]
    pub fn current(&self, now: Instant) -> Vec<HostId> {
        self.forget_silent(now);
        self.lock().keys().copied().collect()
    }

    /// Forgets who was not heard of for long.
    pub fn forget_silent(&self, now: Instant) {
        let mut seen = self.lock();
        let silent = seen.extract_if(.., |_, peer| now.saturating_duration_since(peer.last) >= FORGET_AFTER);
        let stale: BTreeSet<ActorId> = silent.flat_map(|(_, peer)| peer.runs.into_keys()).collect();
        self.reroute(&seen, stale);
    }

    /// A host said everything it runs.
    pub fn told(&self, inventory: &HostInventory, now: Instant) {
        let mut runs = BTreeMap::new();
        for actor in inventory.actors.iter().take(MAX_ACTORS) {
            let sets = actor.instances.iter().map(|instance| instance.annotations.clone()).collect();
            runs.insert(actor.id, sets);
        }
        let mut seen = self.lock();
        let Some(peer) = self.entry(&mut seen, inventory.host_id, now) else { return };
        let sessions = Some(inventory.sessions.unwrap_or_default());
        if inventory.left_out > 0 {
            // It runs more than fits a message: what it said before may be among that.
            runs.extend(peer.runs.iter().take(MAX_ACTORS).map(|(actor, sets)| (*actor, sets.clone())));
        }
        let mut changed: BTreeSet<ActorId> = runs.keys().copied().collect();
        if peer.sessions == sessions {
            changed.retain(|actor| !peer.runs.contains_key(actor));
        }
        changed.extend(peer.runs.keys().filter(|actor| !runs.contains_key(actor)));
        (peer.sessions, peer.runs, peer.complete) = (sessions, runs, true);
        self.reroute(&seen, changed);
    }

    /// A host runs an actor with these annotations.
    pub fn started(&self, host: HostId, actor: ActorId, annotations: &Annotations, now: Instant) {
        self.with(host, now, |peer| {
            if peer.runs.len() < MAX_ACTORS || peer.runs.contains_key(&actor) {
                peer.runs.entry(actor).or_default().insert(annotations.clone());
            }
        });
        self.reroute(&self.lock(), [actor]);
    }

    /// A host does not run an actor with these annotations any more.
    pub fn stopped(&self, host: HostId, actor: ActorId, annotations: &Annotations, now: Instant) {
        self.with(host, now, |peer| {
            let Some(sets) = peer.runs.get_mut(&actor) else { return };
            sets.remove(annotations);
            if sets.is_empty() {
                peer.runs.remove(&actor);
            }
        });
        self.reroute(&self.lock(), [actor]);
    }

    /// A host said that it does not run an actor.
    pub fn refuted(&self, host: &HostId, actor: ActorId) {
        let mut seen = self.lock();
        if let Some(peer) = seen.get_mut(host) {
            peer.runs.remove(&actor);
        }
        self.reroute(&seen, [actor]);
    }

    /// Who runs an actor.
    #[must_use]
    pub fn route(&self, actor: &ActorId) -> Option<Arc<Route>> {
        self.routes.get(actor).map(|route| route.clone())
    }

    /// The hosts that have not said what they run, to be asked now. Whoever takes them does ask.
    #[must_use]
    pub fn take_unknown(&self, now: Instant) -> Vec<HostId> {
        if !self.incomplete.load(Ordering::Relaxed) || !self.incomplete.swap(false, Ordering::Relaxed) {
            return Vec::new();
        }
        let mut seen = self.lock();
        let unknown = seen.iter_mut().filter(|(_, peer)| {
            let asked = peer.asked.is_some_and(|asked| now.saturating_duration_since(asked) < ASK_AGAIN);
            !peer.complete && !asked
        });
        let mut hosts = Vec::new();
        for (host, peer) in unknown {
            peer.asked = Some(now);
            hosts.push(*host);
        }
        hosts
    }

    fn with(&self, host: HostId, now: Instant, change: impl FnOnce(&mut Peer)) {
        let mut seen = self.lock();
        if let Some(peer) = self.entry(&mut seen, host, now) {
            change(peer);
        }
    }

    fn entry<'s>(&self, seen: &'s mut BTreeMap<HostId, Peer>, host: HostId, now: Instant) -> Option<&'s mut Peer> {
        if seen.len() >= MAX_PEERS && !seen.contains_key(&host) {
            return None;
        }
        let peer = seen.entry(host).or_insert_with(|| {
            self.incomplete.store(true, Ordering::Relaxed);
            Peer { last: now, sessions: None, runs: BTreeMap::new(), complete: false, asked: None }
        });
        peer.last = now;
        Some(peer)
    }

    fn reroute(&self, seen: &BTreeMap<HostId, Peer>, actors: impl IntoIterator<Item = ActorId>) {
        for actor in actors {
            let mut route = Route::default();
            for (host, peer) in seen.iter().filter(|(_, peer)| peer.runs.contains_key(&actor)) {
                match peer.sessions {
                    Some(session::VERSION) => route.hosts.push(*host),
                    Some(_) => route.others = true,
                    None => {
                        route.others = true;
                        self.incomplete.store(true, Ordering::Relaxed);
                    }
                }
            }
            if route == Route::default() {
                self.routes.remove(&actor);
            } else {
                self.routes.insert(actor, Arc::new(route));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<HostId, Peer>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
