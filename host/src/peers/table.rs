//! What is kept of the other hosts, and how much of it: for one host, and for all of a standing.
//!
//! Pure bookkeeping. Members and strangers have places of their own, so that made-up hosts push out no true one.
//! Invariants: the numbers of [`Bounds`] hold at any time; `runners` names exactly the hosts whose entry has the actor.

use std::{
    collections::{BTreeSet, HashMap},
    hash::{BuildHasher, RandomState},
    time::{Duration, Instant},
};

use claims::{ActorId, HostId};
use lattice::{
    control::{Annotations, HostInventory},
    session,
};

use super::Route;

/// Sets of annotations remembered of one actor on one host.
const MAX_SETS: usize = 64;

/// Whose word something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// A trusted cluster key stands for it.
    Member,
    /// Nobody we know does. So are all hosts of others.
    Stranger,
}

/// How much is kept of the hosts of one standing. What is not kept is called the signed way, which finds it all the same.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Hosts.
    pub hosts: usize,
    /// Actors of one host.
    pub actors_of_one: usize,
    /// Actors of all hosts together, each counted on every host.
    pub actors: usize,
}

const MEMBERS: Bounds = Bounds { hosts: 10_000, actors_of_one: 20_000, actors: 200_000 };
const STRANGERS: Bounds = Bounds { hosts: 1_000, actors_of_one: 2_000, actors: 20_000 };

/// One host.
pub struct Peer {
    standing: Standing,
    last: Instant,
    /// Version of the session format; none when it has not said.
    sessions: Option<u8>,
    /// Annotation sets of what it runs, each as a hash.
    runs: HashMap<ActorId, Vec<u64>>,
    /// Whether `runs` is everything, as far as events told since.
    pub complete: bool,
    /// When it was asked what it runs.
    pub asked: Option<Instant>,
}

/// How much there is of one standing.
#[derive(Debug, Clone, Copy)]
struct Kept {
    bounds: Bounds,
    hosts: usize,
    actors: usize,
}

/// All of them.
pub struct Table {
    peers: HashMap<HostId, Peer>,
    runners: HashMap<ActorId, Vec<HostId>>,
    members: Kept,
    strangers: Kept,
    /// Annotations are told by anybody: nobody can aim at a collision.
    hasher: RandomState,
}

impl Default for Table {
    fn default() -> Self {
        Self::within(MEMBERS, STRANGERS)
    }
}

impl Table {
    pub(super) fn within(members: Bounds, strangers: Bounds) -> Self {
        let kept = |bounds| Kept { bounds, hosts: 0, actors: 0 };
        Self {
            peers: HashMap::new(),
            runners: HashMap::new(),
            members: kept(members),
            strangers: kept(strangers),
            hasher: RandomState::new(),
        }
    }

    fn kept(&mut self, standing: Standing) -> &mut Kept {
        match standing {
            Standing::Member => &mut self.members,
            Standing::Stranger => &mut self.strangers,
        }
    }

    /// The entry of a host that was heard of just now; none when there is no room for it, or when a stranger speaks in
    /// the name of a member.
    pub fn entry(&mut self, host: HostId, standing: Standing, now: Instant) -> Option<&mut Peer> {
        match self.peers.get(&host).map(|peer| peer.standing) {
            Some(Standing::Member) if standing == Standing::Stranger => return None,
            Some(Standing::Stranger) if standing == Standing::Member => self.promote(&host)?,
            Some(_) => {}
            None => return self.add(host, standing, now),
        }
        let peer = self.peers.get_mut(&host)?;
        peer.last = now;
        Some(peer)
    }

    fn add(&mut self, host: HostId, standing: Standing, now: Instant) -> Option<&mut Peer> {
        let kept = self.kept(standing);
        if kept.hosts >= kept.bounds.hosts {
            return None;
        }
        kept.hosts += 1;
        let (sessions, runs) = (None, HashMap::new());
        let peer = Peer { standing, last: now, sessions, runs, complete: false, asked: None };
        Some(self.peers.entry(host).or_insert(peer))
    }

    /// Makes a stranger a member, with what is known of it; none when members have no room for that.
    fn promote(&mut self, host: &HostId) -> Option<()> {
        let peer = self.peers.get_mut(host)?;
        let (kept, actors) = (&mut self.members, peer.runs.len());
        if kept.hosts >= kept.bounds.hosts || kept.actors + actors > kept.bounds.actors {
            return None;
        }
        (peer.standing, peer.complete, peer.asked) = (Standing::Member, false, None);
        (kept.hosts, kept.actors) = (kept.hosts + 1, kept.actors + actors);
        let before = &mut self.strangers;
        (before.hosts, before.actors) = (before.hosts - 1, before.actors - actors);
        Some(())
    }

    /// Removes a host, on whose word; what it ran.
    pub fn remove(&mut self, host: &HostId, on_word_of: Standing) -> Vec<ActorId> {
        let is_member = self.is_member(host);
        if is_member && on_word_of == Standing::Stranger {
            return Vec::new();
        }
        let Some(peer) = self.peers.remove(host) else { return Vec::new() };
        let kept = self.kept(peer.standing);
        (kept.hosts, kept.actors) = (kept.hosts - 1, kept.actors - peer.runs.len());
        let actors: Vec<ActorId> = peer.runs.into_keys().collect();
        actors.iter().for_each(|actor| self.runs_no_more(actor, host));
        actors
    }

    /// Removes who was silent so long; what they ran.
    pub fn remove_silent(&mut self, now: Instant, after: Duration) -> BTreeSet<ActorId> {
        let is_silent = |peer: &Peer| now.saturating_duration_since(peer.last) >= after;
        let silent: Vec<HostId> =
            self.peers.iter().filter(|(_, peer)| is_silent(peer)).map(|(host, _)| *host).collect();
        silent.iter().flat_map(|host| self.remove(host, Standing::Member)).collect()
    }

    /// A host said everything it runs; the actors whose routes change.
    pub fn told(&mut self, inventory: &HostInventory, standing: Standing, now: Instant) -> BTreeSet<ActorId> {
        let host = inventory.host_id;
        let bounds = self.kept(standing).bounds;
        let mut runs = HashMap::new();
        for actor in inventory.actors.iter().take(bounds.actors_of_one) {
            let sets =
                actor.instances.iter().take(MAX_SETS).map(|instance| self.hasher.hash_one(&instance.annotations));
            runs.insert(actor.id, sets.collect::<Vec<_>>());
        }
        let was_of = self.peers.get(&host).map(|peer| peer.standing);
        let Some(peer) = self.entry(host, standing, now) else { return BTreeSet::new() };
        let sessions = Some(inventory.sessions.unwrap_or_default());
        let all_change = peer.sessions != sessions || was_of != Some(standing);
        (peer.sessions, peer.complete) = (sessions, true);
        let mut before = std::mem::take(&mut peer.runs);
        if inventory.left_out > 0 {
            // It runs more than fits a message: what it said before may be among that.
            for (actor, sets) in &before {
                runs.entry(*actor).or_insert_with(|| sets.clone());
            }
        }
        let kept = self.kept(standing);
        kept.actors -= before.len();
        let room = kept.bounds.actors.saturating_sub(kept.actors);
        if runs.len() > room {
            let surplus: Vec<ActorId> = runs.keys().skip(room).copied().collect();
            surplus.iter().for_each(|actor| _ = runs.remove(actor));
        }
        kept.actors += runs.len();
        let mut changed = BTreeSet::new();
        for actor in runs.keys() {
            let is_new = before.remove(actor).is_none();
            if is_new {
                self.runners.entry(*actor).or_default().push(host);
            }
            if is_new || all_change {
                changed.insert(*actor);
            }
        }
        for actor in before.into_keys() {
            self.runs_no_more(&actor, &host);
            changed.insert(actor);
        }
        self.peers.get_mut(&host).expect("it was just looked at").runs = runs;
        changed
    }

    /// A host runs an actor with these annotations.
    pub fn started(&mut self, host: HostId, standing: Standing, actor: ActorId, set: &Annotations, now: Instant) {
        let set = self.hasher.hash_one(set);
        if self.entry(host, standing, now).is_none() {
            return;
        }
        let kept = *self.kept(standing);
        let peer = self.peers.get_mut(&host).expect("it was just looked at");
        if let Some(sets) = peer.runs.get_mut(&actor) {
            if sets.len() < MAX_SETS && !sets.contains(&set) {
                sets.push(set);
            }
            return;
        }
        if peer.runs.len() < kept.bounds.actors_of_one && kept.actors < kept.bounds.actors {
            peer.runs.insert(actor, vec![set]);
            self.runners.entry(actor).or_default().push(host);
            self.kept(standing).actors += 1;
        }
    }

    /// A host does not run an actor with these annotations any more.
    pub fn stopped(&mut self, host: HostId, standing: Standing, actor: ActorId, set: &Annotations, now: Instant) {
        let set = self.hasher.hash_one(set);
        let Some(peer) = self.entry(host, standing, now) else { return };
        let Some(sets) = peer.runs.get_mut(&actor) else { return };
        sets.retain(|other| *other != set);
        if sets.is_empty() {
            self.drop_actor(&host, &actor);
        }
    }

    /// A host does not run an actor any more.
    pub fn drop_actor(&mut self, host: &HostId, actor: &ActorId) {
        let Some(peer) = self.peers.get_mut(host) else { return };
        let standing = peer.standing;
        if peer.runs.remove(actor).is_some() {
            self.kept(standing).actors -= 1;
            self.runs_no_more(actor, host);
        }
    }

    fn runs_no_more(&mut self, actor: &ActorId, host: &HostId) {
        let Some(hosts) = self.runners.get_mut(actor) else { return };
        hosts.retain(|other| other != host);
        if hosts.is_empty() {
            self.runners.remove(actor);
        }
    }

    /// Where an actor may be called, and whether some host that runs it has not said whether it speaks sessions. Only
    /// members are called in sessions: anybody can say that it runs everything.
    pub fn route(&self, actor: &ActorId) -> (Route, bool) {
        let (mut route, mut unknown) = (Route::default(), false);
        let peers =
            self.runners.get(actor).into_iter().flatten().filter_map(|host| Some((host, self.peers.get(host)?)));
        for (host, peer) in peers {
            match (peer.sessions, peer.standing) {
                (Some(session::VERSION), Standing::Member) => route.hosts.push(*host),
                (sessions, _) => {
                    route.others = true;
                    unknown |= sessions.is_none();
                }
            }
        }
        (route, unknown)
    }

    /// Whether there is an entry of a host.
    pub fn knows(&self, host: &HostId) -> bool {
        self.peers.contains_key(host)
    }

    /// Whose word its entry is.
    pub fn standing(&self, host: &HostId) -> Option<Standing> {
        self.peers.get(host).map(|peer| peer.standing)
    }

    /// Whether a host is a member.
    pub fn is_member(&self, host: &HostId) -> bool {
        self.standing(host) == Some(Standing::Member)
    }

    /// All hosts, in order.
    pub fn hosts(&self) -> Vec<HostId> {
        let mut hosts: Vec<HostId> = self.peers.keys().copied().collect();
        hosts.sort_unstable();
        hosts
    }

    /// All members, then so many others at most; both in order.
    pub fn awaited(&self, most_others: usize) -> Vec<HostId> {
        let (mut members, others): (Vec<_>, Vec<_>) = self.hosts().into_iter().partition(|host| self.is_member(host));
        members.extend(others.into_iter().take(most_others));
        members
    }

    /// All entries.
    pub fn peers_mut(&mut self) -> impl Iterator<Item = &mut Peer> {
        self.peers.values_mut()
    }

    /// Those that have not said what they run and were not asked lately. They count as asked now.
    pub fn take_unknown(&mut self, now: Instant, ask_again: Duration) -> Vec<HostId> {
        let unknown = self.peers.iter_mut().filter(|(_, peer)| {
            let asked = peer.asked.is_some_and(|asked| now.saturating_duration_since(asked) < ask_again);
            !peer.complete && !asked
        });
        unknown
            .map(|(host, peer)| {
                peer.asked = Some(now);
                *host
            })
            .collect()
    }
}
