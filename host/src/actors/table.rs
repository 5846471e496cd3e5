//! The table of running actors: under each id its versions, and the one place in the queue group that they share.
//!
//! A call goes to a version that has room, each in its turn, so every version stays within the maxima of its annotation
//! sets. An actor whose last version has stopped stays *vacant* for a moment (see [`super::coming`]). Invariant: a slot
//! without versions is vacant, and is closed by whoever made it vacant.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use claims::ActorId;
use dashmap::{DashMap, mapref::entry::Entry};
use lattice::control::ActorDescription;
use lattice_state::{revocations::Provenance, scale::Annotations};
use runtime::LimitSettings;
use telemetry::Tracer;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::{
    RunningActor,
    coming::{AT_ONCE, MOST_WAITING},
};
use crate::{actors::ActorCalls, failures::Failures, meters::BETWEEN_ACTORS};

/// The table.
pub struct Actors {
    slots: DashMap<ActorId, Slot>,
    changing: DashMap<ActorId, Arc<tokio::sync::Mutex<()>>>,
    calls: DashMap<ActorId, Weak<ActorCalls>>,
    /// Calls that wait for a vacant actor, of all actors.
    pub(super) waiting: Semaphore,
}

/// What there is under one id.
pub(super) struct Slot {
    versions: Vec<Arc<RunningActor>>,
    /// Whose turn it is, where there are several.
    turn: AtomicUsize,
    place: CancellationToken,
    /// How many versions there were so far. Tells those who wait that there is one again; gone with the slot.
    pub(super) filled: watch::Sender<u64>,
    /// Calls that wait for this one.
    pub(super) waiting: Arc<Semaphore>,
    /// Lets those that waited in.
    pub(super) door: Arc<Semaphore>,
}

impl Slot {
    fn new() -> Self {
        Self {
            versions: Vec::with_capacity(1),
            turn: AtomicUsize::new(0),
            place: CancellationToken::new(),
            filled: watch::Sender::new(0),
            waiting: Arc::new(Semaphore::new(MOST_WAITING.0)),
            door: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    pub(super) fn is_vacant(&self) -> bool {
        self.versions.is_empty()
    }

    /// The version for the next call. Of several, one that may take it, with room if there is one.
    fn next(&self, contract: &str) -> Option<&Arc<RunningActor>> {
        let versions = match self.versions.as_slice() {
            [] => return None,
            [only] => return Some(only),
            several => several,
        };
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let in_turn = || (0..versions.len()).map(|step| &versions[turn.wrapping_add(step) % versions.len()]);
        let able = || in_turn().filter(|version| contract == BETWEEN_ACTORS || version.grants(contract));
        let has_room = |version: &&Arc<RunningActor>| version.guest.running() < version.guest.max_instances();
        able()
            .find(has_room)
            .or_else(|| able().find(|version| !version.guest.is_full()))
            .or_else(|| able().next())
            // None may: whoever checks the grant says so.
            .or_else(|| in_turn().next())
    }
}

/// What is left of an actor when a version was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Other versions run, or it was not there.
    Others,
    /// None; the slot is vacant, and whoever removed this one closes it.
    Vacant(Vacancy),
}

/// Which of the vacancies of an actor it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vacancy(u64);

impl Default for Actors {
    fn default() -> Self {
        let (slots, changing, calls) = Default::default();
        Self { slots, changing, calls, waiting: Semaphore::new(MOST_WAITING.1) }
    }
}

impl Actors {
    /// A running actor, in one of its versions; nobody's turn is taken.
    #[must_use]
    pub fn get(&self, id: &ActorId) -> Option<Arc<RunningActor>> {
        self.slots.get(id)?.versions.first().cloned()
    }

    /// Whether a version's claims name a contract; none when it does not run.
    #[must_use]
    pub fn grants(&self, id: &ActorId, contract: &str) -> Option<bool> {
        let slot = self.slots.get(id).filter(|slot| !slot.is_vacant())?;
        Some(slot.versions.iter().any(|version| version.grants(contract)))
    }

    /// The version that takes the next call over a contract.
    #[must_use]
    pub fn for_call(&self, id: &ActorId, contract: &str) -> Option<Arc<RunningActor>> {
        self.slots.get(id)?.next(contract).cloned()
    }

    /// Whether calls of it are taken here: it runs, or stopped a moment ago.
    #[must_use]
    pub fn has_place(&self, id: &ActorId) -> bool {
        self.slots.contains_key(id)
    }

    /// All versions of an actor.
    #[must_use]
    pub fn versions(&self, id: &ActorId) -> Vec<Arc<RunningActor>> {
        self.slots.get(id).map(|slot| slot.versions.clone()).unwrap_or_default()
    }

    /// Whether this very version runs.
    #[must_use]
    pub fn holds(&self, actor: &Arc<RunningActor>) -> bool {
        self.slots.get(&actor.id).is_some_and(|slot| slot.versions.iter().any(|version| Arc::ptr_eq(version, actor)))
    }

    /// The version that an annotation set runs.
    #[must_use]
    pub fn of_set(&self, id: &ActorId, annotations: &Annotations) -> Option<Arc<RunningActor>> {
        self.versions(id).into_iter().find(|version| version.max_of(annotations).is_some())
    }

    /// The version that is loaded from these very bytes, with these limits where they are given.
    #[must_use]
    pub fn loaded(
        &self,
        id: &ActorId,
        image_ref: &str,
        artifact: &Provenance,
        limits: Option<&LimitSettings>,
    ) -> Option<Arc<RunningActor>> {
        let same = |version: &Arc<RunningActor>| {
            version.is_from(image_ref, artifact) && limits.is_none_or(|limits| version.limits == *limits)
        };
        self.versions(id).into_iter().find(same)
    }

    /// What runs from a reference. A file may have held one actor and hold another now.
    #[must_use]
    pub fn running_from(&self, image_ref: &str) -> Vec<Arc<RunningActor>> {
        let mut found = self.all();
        found.retain(|version| version.image_ref == image_ref);
        found
    }

    /// Every version of every actor, in a stable order.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<RunningActor>> {
        self.grouped().into_values().flatten().collect()
    }

    /// Every actor that runs, with its versions.
    #[must_use]
    pub fn grouped(&self) -> BTreeMap<ActorId, Vec<Arc<RunningActor>>> {
        let running = self.slots.iter().filter(|slot| !slot.is_vacant());
        running.map(|slot| (*slot.key(), slot.versions.clone())).collect()
    }

    /// The rows of the inventory: one per actor, with the annotation sets of all its versions.
    #[must_use]
    pub fn describe(&self) -> Vec<ActorDescription> {
        let one = |versions: Vec<Arc<RunningActor>>| {
            let mut rows = versions.iter().map(|version| version.describe());
            let first = rows.next()?;
            Some(rows.fold(first, |mut all, row| {
                all.instances.extend(row.instances);
                for (limit, count) in row.limits_exceeded {
                    *all.limits_exceeded.entry(limit).or_default() += count;
                }
                all
            }))
        };
        self.grouped().into_values().filter_map(one).collect()
    }

    /// Adds a version. Whether the actor has no place in the queue group yet.
    pub fn insert(&self, actor: &Arc<RunningActor>) -> bool {
        let entry = self.slots.entry(actor.id);
        let is_new = matches!(entry, Entry::Vacant(_));
        let mut slot = entry.or_insert_with(Slot::new);
        actor.takes_calls_at(&slot.place);
        slot.versions.push(actor.clone());
        slot.filled.send_modify(|versions| *versions += 1);
        is_new
    }

    /// Removes a version; calls in flight keep it until they end.
    pub fn remove(&self, actor: &Arc<RunningActor>) -> Left {
        let Some(mut slot) = self.slots.get_mut(&actor.id) else { return Left::Others };
        let before = slot.versions.len();
        slot.versions.retain(|version| !Arc::ptr_eq(version, actor));
        if slot.is_vacant() && before > 0 { Left::Vacant(Vacancy(*slot.filled.borrow())) } else { Left::Others }
    }

    /// Ends a vacancy: the actor leaves its queue group, and whoever waits for it hears that it does not come.
    pub fn close(&self, id: &ActorId, vacancy: Vacancy) {
        let lasts = |slot: &Slot| slot.is_vacant() && *slot.filled.borrow() == vacancy.0;
        if let Some((_, slot)) = self.slots.remove_if(id, |_, slot| lasts(slot)) {
            slot.place.cancel();
        }
    }

    /// A vacant actor.
    #[cfg(test)]
    pub(super) fn vacate(&self, id: ActorId) -> Vacancy {
        self.slots.insert(id, Slot::new());
        Vacancy(0)
    }

    pub(super) fn slot(&self, id: &ActorId) -> Option<dashmap::mapref::one::Ref<'_, ActorId, Slot>> {
        self.slots.get(id)
    }

    /// What is counted of an actor's calls, for all its versions.
    #[must_use]
    pub fn calls_of(&self, id: &ActorId, tracer: &Tracer, failures: &Arc<Failures>) -> Arc<ActorCalls> {
        let mut entry = self.calls.entry(*id).or_default();
        if let Some(calls) = entry.upgrade() {
            return calls;
        }
        let calls = Arc::new(ActorCalls::new(tracer.clone(), failures.clone()));
        *entry = Arc::downgrade(&calls);
        drop(entry);
        self.calls.retain(|_, calls| calls.strong_count() > 0);
        calls
    }

    /// Held while an actor is changed, so that changes of one actor do not cross.
    pub async fn change(&self, id: &ActorId) -> tokio::sync::OwnedMutexGuard<()> {
        let lock = self.changing.entry(*id).or_default().clone();
        let guard = lock.lock_owned().await;
        // What nobody holds or waits for is forgotten: ids come from commands.
        self.changing.retain(|_, lock| Arc::strong_count(lock) > 1);
        guard
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::actor;

    #[tokio::test]
    async fn what_nobody_changes_any_more_is_forgotten() {
        let actors = Actors::default();
        for byte in 0..=255 {
            drop(actors.change(&actor(byte)).await);
        }
        let held = actors.change(&actor(0)).await;
        drop(actors.change(&actor(1)).await);
        assert!(actors.changing.len() <= 2, "{}", actors.changing.len());
        drop(held);
    }

    #[tokio::test]
    async fn changes_of_one_actor_do_not_cross_and_those_of_others_do() {
        use futures_util::FutureExt as _;
        let actors = Actors::default();
        let one = actor(1);
        let held = actors.change(&one).await;
        assert!(actors.change(&actor(2)).now_or_never().is_some());
        let mut next = Box::pin(actors.change(&one));
        assert!((&mut next).now_or_never().is_none());
        drop(held);
        next.await;
    }

    #[test]
    fn a_vacancy_is_closed_once_and_only_while_it_lasts() {
        let actors = Actors::default();
        let vacancy = actors.vacate(actor(1));
        assert!(actors.has_place(&actor(1)) && actors.get(&actor(1)).is_none());
        actors.close(&actor(1), Vacancy(7));
        assert!(actors.has_place(&actor(1)), "that is another vacancy");
        actors.close(&actor(1), vacancy);
        assert!(!actors.has_place(&actor(1)));
        actors.close(&actor(1), vacancy);
    }

    #[test]
    fn nothing_runs_in_an_empty_table() {
        let actors = Actors::default();
        assert!(actors.all().is_empty() && actors.describe().is_empty() && actors.versions(&actor(1)).is_empty());
        assert_eq!((actors.grants(&actor(1), "c"), actors.has_place(&actor(1))), (None, false));
        assert!(actors.for_call(&actor(1), "c").is_none() && actors.running_from("r").is_empty());
    }
}
