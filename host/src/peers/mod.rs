//! The other hosts of the lattice, as far as this one has heard of them: who is there, what each runs, and whether it
//! speaks sessions.
//!
//! Fed by events, heartbeats, the answers to pings, and inventories that are asked for when a call needs them. Its uses
//! are to tell clients whom to wait for, and to say where an actor may be called. Invariants: a host silent for
//! [`FORGET_AFTER`] is forgotten; being listed is never proof of being alive, so whoever relies on it has another way; what
//! is told without the word of a trusted key changes nothing of what a member told, and takes no place from members.

mod providers;
mod table;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use claims::{ActorId, HostId, ProviderId};
use dashmap::DashMap;
use lattice::{
    LinkName,
    control::{Annotations, HostInventory},
};
use sessions::Route;
use tokio::sync::Notify;

#[cfg(test)]
use self::table::Bounds;
pub use self::table::Standing;
use self::{providers::OfOthers, table::Table};

/// Hosts that no trusted key vouches for, such as those of 0.82, that clients are told to wait for.
const MOST_STRANGERS_AWAITED: usize = 64;
/// Four heartbeats of 30 s, after which 0.82-era tools drop a host too (protocol section 10.4).
pub const FORGET_AFTER: Duration = Duration::from_secs(120);

/// How long nobody asks a host again what it runs.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// Hosts by public key, with what is known of each.
#[derive(Default)]
pub struct Peers {
    table: Mutex<Table>,
    routes: DashMap<ActorId, Arc<Route>>,
    /// Whether some host has not said what it runs.
    incomplete: AtomicBool,
    /// Somebody wants to know.
    wanted: Notify,
    /// The providers they run.
    pub providers: OfOthers,
}

impl Peers {
    #[cfg(test)]
    fn within(members: Bounds, strangers: Bounds) -> Self {
        Self { table: Mutex::new(Table::within(members, strangers)), ..Self::default() }
    }

    /// A host was heard of.
    pub fn heard(&self, host: HostId, standing: Standing, now: Instant) {
        let mut table = self.lock();
        let is_new = !table.knows(&host);
        self.note_new(table.entry(host, standing, now).is_some() && is_new);
    }

    /// A host said goodbye, or is known to be dead.
    pub fn gone(&self, host: &HostId, standing: Standing) {
        let mut table = self.lock();
        let actors = table.remove(host, standing);
        self.reroute(&table, actors);
        if !table.knows(host) {
            self.providers.gone(|gone| gone == host, Instant::now());
        }
    }

    /// A host began anew. What it ran it may run again; what it runs besides is not known.
    pub fn began(&self, host: HostId, standing: Standing, now: Instant) {
        let mut table = self.lock();
        let Some(peer) = table.entry(host, standing, now) else { return };
        (peer.complete, peer.asked) = (false, None);
        self.note_new(true);
        self.providers.gone(|gone| *gone == host, now);
    }

    /// What was known may have changed unseen.
    pub fn doubt(&self) {
        for peer in self.lock().peers_mut() {
            (peer.complete, peer.asked) = (false, None);
        }
        self.note_new(true);
    }

    /// Everybody heard of lately.
    #[must_use]
    pub fn current(&self, now: Instant) -> Vec<HostId> {
        self.forget_silent(now);
        self.lock().hosts()
    }

    /// Those of them that clients wait for: all that a trusted key vouches for, and of the others, which anybody can make up,
    /// no more than a mixed lattice has.
    #[must_use]
    pub fn awaited(&self, now: Instant) -> Vec<HostId> {
        self.forget_silent(now);
        self.lock().awaited(MOST_STRANGERS_AWAITED)
    }

    /// Forgets who was not heard of for long.
    pub fn forget_silent(&self, now: Instant) {
        let mut table = self.lock();
        let stale = table.remove_silent(now, FORGET_AFTER);
        self.reroute(&table, stale);
        self.providers.gone(|host| !table.knows(host), now);
    }

    /// A host said everything it runs.
    pub fn told(&self, inventory: &HostInventory, standing: Standing, now: Instant) {
        let mut table = self.lock();
        let changed = table.told(inventory, standing, now);
        self.reroute(&table, changed);
        if table.standing(&inventory.host_id) == Some(standing) {
            self.providers.told(inventory.host_id, standing, &inventory.providers, now);
        }
    }

    /// A host runs an actor with these annotations.
    pub fn started(&self, host: HostId, standing: Standing, actor: ActorId, annotations: &Annotations, now: Instant) {
        let mut table = self.lock();
        table.started(host, standing, actor, annotations, now);
        self.reroute(&table, [actor]);
    }

    /// A host does not run an actor with these annotations any more.
    pub fn stopped(&self, host: HostId, standing: Standing, actor: ActorId, annotations: &Annotations, now: Instant) {
        let mut table = self.lock();
        table.stopped(host, standing, actor, annotations, now);
        self.reroute(&table, [actor]);
    }

    /// A provider, or its process, runs on a host, or has ended there. Only members are believed.
    pub fn provider(&self, host: HostId, provider: (ProviderId, &LinkName), is_up: bool, now: Instant) {
        let mut table = self.lock();
        if table.entry(host, Standing::Member, now).is_none() {
            return;
        }
        let (id, link_name) = provider;
        match is_up {
            true => self.providers.started(host, id, link_name),
            false => self.providers.ended(host, id, link_name, now),
        }
    }

    /// A host said that it does not run an actor.
    pub fn refuted(&self, host: &HostId, actor: ActorId) {
        let mut table = self.lock();
        table.drop_actor(host, &actor);
        self.reroute(&table, [actor]);
    }

    /// Whether a host is a member.
    #[must_use]
    pub fn is_member(&self, host: &HostId) -> bool {
        self.lock().is_member(host)
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
        self.lock().take_unknown(now, ASK_AGAIN)
    }

    /// Somebody looks for a host that runs something: those that have not said what they run are to be asked, if there are
    /// any.
    pub fn want_known(&self) {
        if self.incomplete.load(Ordering::Relaxed) {
            self.wanted.notify_one();
        }
    }

    /// Resolves when somebody [wants to know](Peers::want_known) what is not known. Cancel safe.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    fn note_new(&self, unknown: bool) {
        if unknown {
            self.incomplete.store(true, Ordering::Relaxed);
        }
    }

    fn reroute(&self, table: &Table, actors: impl IntoIterator<Item = ActorId>) {
        for actor in actors {
            let (route, unknown) = table.route(&actor);
            self.note_new(unknown);
            if route == Route::default() {
                self.routes.remove(&actor);
            } else {
                self.routes.insert(actor, Arc::new(route));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
