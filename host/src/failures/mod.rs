//! What failed on this host lately, for whoever asks why (`wash why`).
//!
//! A bounded memory: per actor the last failure of each way it calls or is called, and per reference the last failed
//! start. A failure is *open* until the same thing works, or nobody wants it any more; then it is history, and is kept as
//! such. Written when something fails; a call that works looks at one counter. Invariant: neither a guest that invents
//! names nor a client that starts nonsense makes it grow beyond its bounds, or pushes out what other actors left.

mod open;
mod peer;

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use claims::{ActorId, ProviderId};
use contracts::CallError;
use lattice::{Link, LinkName, control::FailureRecord};

use self::open::{Open, OpenWays};
pub use self::peer::Peer;
use crate::process::clock::unix_now;

/// Actors that are remembered; the one that failed longest ago goes first.
const MOST_ACTORS: usize = 1024;
/// Failures that are remembered of one actor.
const MOST_OF_ACTOR: usize = 32;
/// Failed starts that are remembered.
const MOST_STARTS: usize = 128;
/// Longest text that is kept, in characters.
const MOST_TEXT: usize = 1024;

/// Code of a link that a provider did not take.
const LINK_REFUSED: &str = "link_refused";
/// Code of a provider whose process ended by itself.
const PROVIDER_DEAD: &str = "provider_dead";

/// The memory.
#[derive(Default)]
pub struct Failures {
    kept: Mutex<Kept>,
    open: OpenWays,
}

impl fmt::Debug for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failures").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Kept {
    actors: HashMap<ActorId, Recent>,
    starts: VecDeque<Failure>,
}

/// The failures of one actor, the latest first.
#[derive(Default)]
struct Recent {
    last: u64,
    failures: VecDeque<Failure>,
}

struct Failure {
    peer: Peer,
    operation: String,
    actor: Option<ActorId>,
    /// The provider that refused it, of a link.
    refused_by: Option<ProviderId>,
    record: FailureRecord,
    /// While nothing is known to be well again.
    open: Option<Open>,
}

impl Failure {
    fn new(peer: Peer, operation: &str, code: &str, message: &str) -> Self {
        let record = FailureRecord {
            what: peer.to_string(),
            code: short(code),
            message: short(message),
            at: unix_now(),
            times: 1,
            kind: Some(peer.kind()),
            operation: (!operation.is_empty()).then(|| short(operation)),
            over_at: None,
            contract: peer.contract().map(str::to_owned),
            link_name: peer.link_name().map(str::to_owned),
            peer: peer.key(),
        };
        Self { peer, operation: short(operation), actor: None, refused_by: None, record, open: None }
    }

    /// What failed is not so any more.
    fn is_over(&mut self) {
        self.open = None;
        self.record.over_at.get_or_insert_with(unix_now);
    }
}

impl Failures {
    /// A call of an actor, or to it, failed.
    pub fn called(&self, actor: &ActorId, peer: Peer, operation: &str, error: &CallError) {
        let open = self.open.open(actor, &peer, operation);
        let failure = Failure { open: Some(open), ..Failure::new(peer, operation, error.code(), &error.to_string()) };
        self.of_actor(actor, failure);
    }

    /// The same call worked.
    pub fn worked(&self, actor: &ActorId, peer: impl FnOnce() -> Peer, operation: &str) {
        if self.open.is_none() {
            return;
        }
        let peer = peer();
        if self.open.may_have(actor, &peer, operation) {
            self.over_of(actor, |failure| failure.peer == peer && failure.operation == operation);
        }
    }

    /// An actor stopped on this host: what it called and got says nothing any more.
    pub fn stopped(&self, actor: &ActorId) {
        self.over_of(actor, |failure| failure.open.is_some() && !matches!(failure.peer, Peer::Provider { .. }));
    }

    /// An actor or provider did not start.
    pub fn not_started(&self, reference: &str, actor: Option<ActorId>, code: &str, reason: &str) {
        let failure = Failure { actor, ..Failure::new(Peer::Start(short(reference)), "", code, reason) };
        remember(&mut self.lock().starts, failure, MOST_STARTS);
    }

    /// It started.
    pub fn started(&self, reference: &str) {
        self.start_over(|failure| failure.peer == Peer::Start(short(reference)));
    }

    /// It is not to start any more.
    pub fn given_up(&self, reference: &str) {
        self.started(reference);
    }

    /// The process of a provider ended by itself.
    pub fn provider_ended(&self, id: &ProviderId, link_name: &LinkName, reason: &str) {
        let peer = Peer::Provider { id: *id, link_name: link_name.to_string() };
        remember(&mut self.lock().starts, Failure::new(peer, "", PROVIDER_DEAD, reason), MOST_STARTS);
    }

    /// A provider answers that it is well.
    pub fn provider_well(&self, id: &ProviderId, link_name: &LinkName) {
        self.start_over(|failure| failure.peer.is_provider(id, link_name));
    }

    /// A provider was stopped: nothing it did or refused is so any more.
    pub fn provider_gone(&self, id: &ProviderId, link_name: &LinkName) {
        self.provider_well(id, link_name);
        let its = |failure: &Failure| {
            let refused =
                failure.refused_by.as_ref() == Some(id) && failure.peer.link_name() == Some(link_name.as_str());
            refused || failure.peer.is_provider(id, link_name)
        };
        let mut kept = self.lock();
        let all = kept.actors.values_mut().flat_map(|recent| &mut recent.failures);
        all.filter(|failure| its(failure)).for_each(Failure::is_over);
    }

    /// A provider does not take a link, or it can have no effect.
    pub fn link_refused(&self, link: &Link, reason: &str) {
        let peer = Peer::link(link.contract_id.as_str(), link.link_name.as_str());
        let failure = Failure::new(peer, "", LINK_REFUSED, reason);
        self.of_actor(&link.actor_id, Failure { refused_by: Some(link.provider_id), ..failure });
    }

    /// A link is served, gone, or put anew and then taken or refused anew.
    pub fn link_over(&self, link: &Link) {
        let peer = Peer::link(link.contract_id.as_str(), link.link_name.as_str());
        self.over_of(&link.actor_id, |failure| failure.peer == peer && failure.record.code == LINK_REFUSED);
    }

    /// Those about an actor, a reference or a provider, newest first.
    pub fn about(&self, actor: Option<&ActorId>, wanted: impl Fn(&Peer) -> bool) -> Vec<FailureRecord> {
        let kept = self.lock();
        let of_actor = actor.and_then(|actor| kept.actors.get(actor)).into_iter().flat_map(|recent| &recent.failures);
        let elsewhere = kept
            .starts
            .iter()
            .filter(|failure| wanted(&failure.peer) || (actor.is_some() && failure.actor.as_ref() == actor));
        let mut found: Vec<FailureRecord> = of_actor.chain(elsewhere).map(|failure| failure.record.clone()).collect();
        found.sort_by_key(|record| std::cmp::Reverse(record.at));
        found
    }

    fn of_actor(&self, actor: &ActorId, failure: Failure) {
        let mut kept = self.lock();
        if !kept.actors.contains_key(actor) && kept.actors.len() >= MOST_ACTORS {
            let oldest = kept.actors.iter().min_by_key(|(_, recent)| recent.last).map(|(actor, _)| *actor);
            oldest.and_then(|actor| kept.actors.remove(&actor));
        }
        let recent = kept.actors.entry(*actor).or_default();
        recent.last = failure.record.at;
        remember(&mut recent.failures, failure, MOST_OF_ACTOR);
    }

    fn over_of(&self, actor: &ActorId, what: impl Fn(&Failure) -> bool) {
        if let Some(recent) = self.lock().actors.get_mut(actor) {
            recent.failures.iter_mut().filter(|failure| what(failure)).for_each(Failure::is_over);
        }
    }

    fn start_over(&self, what: impl Fn(&Failure) -> bool) {
        self.lock().starts.iter_mut().filter(|failure| what(failure)).for_each(Failure::is_over);
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One entry per way, operation and whether it is a refused link; a repetition counts.
fn remember(failures: &mut VecDeque<Failure>, mut failure: Failure, most: usize) {
    let same = |known: &Failure| {
        let refused = |failure: &Failure| failure.record.code == LINK_REFUSED;
        known.peer == failure.peer && known.operation == failure.operation && refused(known) == refused(&failure)
    };
    if let Some(at) = failures.iter().position(same)
        && let Some(before) = failures.remove(at)
        && before.record.code == failure.record.code
        && before.record.over_at.is_none()
    {
        failure.record.times += before.record.times;
    }
    failures.truncate(most - 1);
    failures.push_front(failure);
}

fn short(text: &str) -> String {
    text.chars().take(MOST_TEXT).collect()
}

#[cfg(test)]
mod tests;
