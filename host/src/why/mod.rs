//! What failed on this host lately, for whoever asks why (`wash why`).
//!
//! A bounded memory: per actor the last failure of each way it calls or is called, and per reference the last failed
//! start. Written when something fails and never otherwise. Invariant: neither a guest that invents names nor a client
//! that starts nonsense makes it grow beyond its bounds, or pushes out what other actors left.

mod peer;

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use claims::ActorId;
use contracts::CallError;
use lattice::{control::FailureRecord, event::EventData};

pub use self::peer::Peer;
use crate::core::unix_now;

/// Actors that are remembered; the one that failed longest ago goes first.
const MOST_ACTORS: usize = 1024;
/// Failures that are remembered of one actor.
const MOST_OF_ACTOR: usize = 32;
/// Failed starts that are remembered.
const MOST_STARTS: usize = 128;
/// Longest text that is kept, in characters.
const MOST_TEXT: usize = 1024;

/// The memory.
#[derive(Default)]
pub struct Failures {
    kept: Mutex<Kept>,
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
    actor: Option<ActorId>,
    record: FailureRecord,
}

impl Failures {
    /// A call of an actor, or to it, failed.
    pub fn called(&self, actor: &ActorId, peer: Peer, error: &CallError) {
        self.of_actor(actor, peer, error.code(), &error.to_string());
    }

    /// An actor or provider did not start.
    pub fn not_started(&self, reference: &str, actor: Option<ActorId>, code: &str, reason: &str) {
        let failure = Failure { actor, ..failure(Peer::Start(short(reference)), code, reason) };
        remember(&mut self.lock().starts, failure, MOST_STARTS);
    }

    /// Something this host tells the lattice, in case it is a failure.
    pub fn told(&self, event: &EventData) {
        match event {
            EventData::LinkdefFailed(failed) => {
                let link = &failed.link;
                let peer = Peer::link(link.contract_id.as_str(), link.link_name.as_str());
                self.of_actor(&link.actor_id, peer, "link_refused", &failed.error);
            }
            EventData::LinkdefApplied(served) => {
                let peer = Peer::link(served.contract_id.as_str(), served.link_name.as_str());
                self.forget(&served.actor_id, &peer, "link_refused");
            }
            EventData::ProviderStopped(stopped) if stopped.reason.starts_with("process ended") => {
                let peer = Peer::Provider { id: stopped.public_key, link_name: stopped.link_name.to_string() };
                remember(&mut self.lock().starts, failure(peer, "provider_dead", &stopped.reason), MOST_STARTS);
            }
            _ => {}
        }
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

    fn of_actor(&self, actor: &ActorId, peer: Peer, code: &str, message: &str) {
        let failure = failure(peer, code, message);
        let mut kept = self.lock();
        if !kept.actors.contains_key(actor) && kept.actors.len() >= MOST_ACTORS {
            let oldest = kept.actors.iter().min_by_key(|(_, recent)| recent.last).map(|(actor, _)| *actor);
            oldest.and_then(|actor| kept.actors.remove(&actor));
        }
        let recent = kept.actors.entry(*actor).or_default();
        recent.last = failure.record.at;
        remember(&mut recent.failures, failure, MOST_OF_ACTOR);
    }

    /// What was refused is served now.
    fn forget(&self, actor: &ActorId, peer: &Peer, code: &str) {
        if let Some(recent) = self.lock().actors.get_mut(actor) {
            recent.failures.retain(|failure| failure.peer != *peer || failure.record.code != code);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failure(peer: Peer, code: &str, message: &str) -> Failure {
    let record = FailureRecord {
        what: peer.to_string(),
        code: short(code),
        message: short(message),
        at: unix_now(),
        times: 1,
        contract: peer.contract().map(str::to_owned),
        link_name: peer.link_name().map(str::to_owned),
        peer: peer.key(),
    };
    Failure { peer, actor: None, record }
}

/// One entry per way; a repetition counts.
fn remember(failures: &mut VecDeque<Failure>, mut failure: Failure, most: usize) {
    if let Some(at) = failures.iter().position(|known| known.peer == failure.peer)
        && let Some(before) = failures.remove(at)
        && before.record.code == failure.record.code
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
mod tests {
    use claims::{KeyKind, KeyPair};

    use super::*;

    fn actor() -> ActorId {
        KeyPair::generate(KeyKind::Module).public().try_into().expect("an actor")
    }

    fn link(name: &str) -> Peer {
        Peer::Link { contract: "acme:x".to_owned(), link_name: name.to_owned() }
    }

    fn busy() -> CallError {
        CallError::Busy { target: "M".to_owned(), limit: 1 }
    }

    #[test]
    fn a_repetition_counts_and_the_latest_comes_first() {
        let (failures, actor) = (Failures::default(), actor());
        for _ in 0..3 {
            failures.called(&actor, link("a"), &busy());
        }
        failures.not_started("file:///x", Some(actor), "untrusted_issuer", "no");
        let found = failures.about(Some(&actor), |_| false);
        assert_eq!(found.len(), 2);
        assert!(
            found.iter().any(|record| record.times == 3 && record.code == "busy" && record.what.contains("acme:x"))
        );
        assert!(failures.about(None, |peer| matches!(peer, Peer::Start(text) if text == "file:///x")).len() == 1);
        assert!(failures.about(None, |_| false).is_empty());
    }

    #[test]
    fn a_guest_that_invents_names_forgets_its_own_failures_only() {
        let (failures, (quiet, loud)) = (Failures::default(), (actor(), actor()));
        failures.called(&quiet, link("kept"), &busy());
        for number in 0..10_000 {
            failures.called(&loud, link(&number.to_string()), &busy());
        }
        assert_eq!(failures.about(Some(&loud), |_| false).len(), MOST_OF_ACTOR);
        assert_eq!(failures.about(Some(&quiet), |_| false).len(), 1);
    }

    #[test]
    fn actors_starts_and_texts_are_bounded() {
        let failures = Failures::default();
        let long = CallError::Reported { message: "x".repeat(1 << 20) };
        for number in 0..MOST_ACTORS + 10 {
            failures.called(&actor(), link("a"), &long);
            failures.not_started(&number.to_string(), None, "fetch_failed", "no");
        }
        let kept = failures.lock();
        assert_eq!((kept.actors.len(), kept.starts.len()), (MOST_ACTORS, MOST_STARTS));
        assert!(
            kept.actors.values().flat_map(|recent| &recent.failures).all(|one| one.record.message.len() <= MOST_TEXT)
        );
    }
}
