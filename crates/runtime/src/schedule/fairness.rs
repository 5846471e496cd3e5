//! How the places of an engine, which are as many as instances may be alive, are shared among its actors.
//!
//! Asked only when more than half of the places are taken; until then everybody takes what it likes. Knows neither wasm nor
//! time but for one clock. Invariants: where there are several actors, a quarter of the places is out of reach of those that
//! have their part of it already, so a call of any other finds one at once; while somebody with less than an equal share was
//! turned away lately, nobody with more gets another place; one actor alone may have them all.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::admission::Admission;

/// For how long it counts that somebody wanted its share.
const LATELY: Duration = Duration::from_secs(1);

/// The shares in the places of one engine.
pub(crate) struct Fairness {
    places: u32,
    actors: Mutex<Vec<Weak<Admission>>>,
    loaded: AtomicU32,
    began: Instant,
    /// The equal share of those that run, as of when somebody wanted it.
    share: AtomicU32,
    /// Until when that counts, in milliseconds after `began`.
    wanted_until: AtomicU64,
}

/// An actor among those that share. Dropping it leaves its part to the others.
pub(crate) struct Member(Arc<Fairness>);

impl Fairness {
    pub(crate) fn new(places: u32) -> Arc<Self> {
        Arc::new(Self {
            places,
            actors: Mutex::default(),
            loaded: AtomicU32::new(0),
            began: Instant::now(),
            share: AtomicU32::new(places),
            wanted_until: AtomicU64::new(0),
        })
    }

    /// Adds an actor.
    pub(crate) fn add(self: &Arc<Self>, actor: &Arc<Admission>) -> Member {
        let mut actors = self.lock();
        if actors.len() == actors.capacity() {
            actors.retain(|actor| actor.strong_count() > 0);
        }
        actors.push(Arc::downgrade(actor));
        self.loaded.fetch_add(1, Relaxed);
        Member(self.clone())
    }

    /// Whether a call of an actor may have a place while so many are taken. `of_actor` are those of its calls that run, this
    /// one among them.
    pub(crate) fn admits(&self, taken: u32, of_actor: impl FnOnce() -> u32) -> bool {
        if taken <= self.places / 2 {
            return true;
        }
        let of_actor = of_actor();
        let fair = of_actor <= self.own_part() || taken < self.places - self.reserve();
        let fair = fair && taken < self.places && !(self.is_wanted() && of_actor > self.share.load(Relaxed));
        if !fair {
            self.turned_away(of_actor);
        }
        fair
    }

    /// Places for those that have few.
    fn reserve(&self) -> u32 {
        if self.loaded.load(Relaxed) > 1 { self.places / 4 } else { 0 }
    }

    /// What of the reserve nobody takes from an actor, as long as there are no more actors than places in it.
    fn own_part(&self) -> u32 {
        (self.reserve() / self.loaded.load(Relaxed).max(1)).max(1)
    }

    fn is_wanted(&self) -> bool {
        self.wanted_until.load(Relaxed) > self.now()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Remembers it, if it was somebody who has less than an equal share.
    fn turned_away(&self, of_actor: u32) {
        let until = self.now().saturating_add(LATELY.as_millis() as u64);
        if self.is_wanted() && self.wanted_until.load(Relaxed) + 10 > until {
            return; // It was reckoned just now, and there may be many actors.
        }
        let active = self.lock().iter().filter_map(Weak::upgrade).filter(|actor| actor.running() > 0).count();
        let share = self.places / u32::try_from(active.max(1)).unwrap_or(u32::MAX);
        if of_actor <= share && active > 1 {
            self.share.store(share.max(1), Relaxed);
            self.wanted_until.store(until, Relaxed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Admission>>> {
        self.actors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.0.loaded.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::admission::{Entry, Permit};

    struct Actor {
        gate: Arc<Admission>,
        running: Vec<Permit>,
        _member: Member,
    }

    /// Some actors, and the places they have taken together.
    struct World {
        fairness: Arc<Fairness>,
        actors: Vec<Actor>,
    }

    impl World {
        fn new(places: u32, actors: usize) -> Self {
            let fairness = Fairness::new(places);
            let actor = |_| {
                let gate = Admission::new(u32::MAX, 0);
                Actor { _member: fairness.add(&gate), running: Vec::new(), gate }
            };
            let actors = (0..actors).map(actor).collect();
            Self { fairness, actors }
        }

        fn taken(&self) -> u32 {
            self.actors.iter().map(|actor| actor.running.len() as u32).sum()
        }

        fn call(&mut self, actor: usize) -> bool {
            let Entry::Admitted(permit) = self.actors[actor].gate.enter() else { panic!("its own gate is open") };
            let gate = &self.actors[actor].gate;
            let admitted = self.fairness.admits(self.taken(), || gate.running());
            if admitted {
                self.actors[actor].running.push(permit);
            }
            admitted
        }

        fn calls(&mut self, actor: usize, count: usize) -> usize {
            (0..count).filter(|_| self.call(actor)).count()
        }
    }

    #[test]
    fn one_actor_alone_has_all_places() {
        let mut world = World::new(100, 1);
        assert_eq!(world.calls(0, 200), 100);
    }

    #[test]
    fn beside_others_one_actor_leaves_a_quarter_and_each_of_them_finds_its_part() {
        let mut world = World::new(1000, 6);
        assert_eq!(world.calls(0, 2000), 750);
        for other in 1..6 {
            assert_eq!(world.calls(other, 2000), 41, "a sixth of what is left, whatever the others take");
        }
        assert_eq!(world.taken(), 955);
    }

    #[test]
    fn who_has_more_than_an_equal_share_gets_no_more_while_others_want_theirs() {
        let mut world = World::new(100, 2);
        assert_eq!(world.calls(0, 200), 75);
        assert_eq!(world.calls(1, 200), 12);
        // A call of the first ends, as they do. The place is for the second.
        for _ in 0..20 {
            world.actors[0].running.pop();
        }
        assert!(!world.call(0));
        let more = world.calls(1, 200);
        assert!(more > 0 && world.call(1) == (world.taken() < 75), "{more}");
        assert!(!world.call(0), "it has more than half");
    }

    #[test]
    fn where_more_actors_are_than_places_in_reserve_each_may_still_have_one() {
        let mut world = World::new(100, 1000);
        assert_eq!(world.calls(0, 200), 75);
        let served = (1..1000).filter(|actor| world.call(*actor)).count();
        assert_eq!(served, 25);
    }

    #[test]
    fn actors_that_are_gone_have_no_part() {
        let mut world = World::new(100, 2);
        world.actors.pop();
        assert_eq!(world.calls(0, 200), 100);
    }
}
