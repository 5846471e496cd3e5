//! Instances between two calls: for actors that chose to reuse theirs (`calls_per_instance`), and those made beforehand.
//!
//! Knows nothing of what an instance is. Invariants: an instance is handed out at most `calls_per_instance` times and
//! never to two calls at once; it waits for [`PATIENCE`] at most; instances that wait never keep one from being made.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, PoisonError, Weak, atomic::Ordering::SeqCst},
    time::{Duration, Instant},
};

use crate::{
    limits::GuestLimits,
    sync::{AtomicU32, Mutex, MutexGuard, weak_list::WeakList},
};

/// How long an instance waits for the next call.
const PATIENCE: Duration = Duration::from_secs(1);

/// The idle instances of one guest, of one kind. Without reuse there is nothing in here, and it costs nothing.
pub(crate) struct Idle<T: Send + 'static> {
    list: Option<Arc<List<T>>>,
}

/// An instance that has served calls, each of which ended well.
pub(crate) struct Warm<T> {
    pub(crate) instance: T,
    /// How many.
    pub(crate) served: u32,
}

struct List<T> {
    waiting: Mutex<Waiting<T>>,
    capacity: usize,
    calls_per_instance: u32,
    all: Arc<AllIdle>,
}

struct Waiting<T> {
    /// The one that waits for longest is in front.
    instances: VecDeque<(Instant, Warm<T>)>,
    /// Whether somebody looks after those that wait for too long.
    watched: bool,
}

impl<T: Send + 'static> Idle<T> {
    pub(crate) fn new(limits: &GuestLimits, all: &Arc<AllIdle>) -> Self {
        let capacity = limits.idle_instances.min(limits.max_concurrent) as usize;
        if limits.calls_per_instance <= 1 || capacity == 0 {
            return Self::none();
        }
        Self::of(capacity, limits.calls_per_instance, all)
    }

    /// Keeps one instance, for one call.
    pub(crate) fn one(all: &Arc<AllIdle>) -> Self {
        Self::of(1, 1, all)
    }

    fn of(capacity: usize, calls_per_instance: u32, all: &Arc<AllIdle>) -> Self {
        let waiting = Mutex::new(Waiting { instances: VecDeque::new(), watched: false });
        let list = Arc::new(List { waiting, capacity, calls_per_instance, all: all.clone() });
        all.add(&list);
        Self { list: Some(list) }
    }

    /// Nothing is ever kept.
    pub(crate) const fn none() -> Self {
        Self { list: None }
    }

    pub(crate) fn keeps_any(&self) -> bool {
        self.list.is_some()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.as_ref().is_none_or(|list| list.lock().instances.is_empty())
    }

    /// The instance that was used last.
    pub(crate) fn take(&self) -> Option<Warm<T>> {
        let list = self.list.as_ref()?;
        let (_, warm) = list.lock().instances.pop_back()?;
        list.all.count.fetch_sub(1, SeqCst);
        Some(warm)
    }

    /// Keeps an instance for the next call, if it may serve another and there is room.
    pub(crate) fn park(&self, warm: Warm<T>) {
        let Some(list) = &self.list else { return };
        if warm.served >= list.calls_per_instance {
            return;
        }
        let mut waiting = list.lock();
        if waiting.instances.len() >= list.capacity {
            return;
        }
        list.all.count.fetch_add(1, SeqCst);
        waiting.instances.push_back((Instant::now(), warm));
        if !mem::replace(&mut waiting.watched, true) {
            tokio::spawn(watch(Watch(Arc::downgrade(list))));
        }
    }
}

impl<T> List<T> {
    fn lock(&self) -> MutexGuard<'_, Waiting<T>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops those that waited for too long; says when to look again, if any are left.
    fn expire(&self) -> Option<Instant> {
        let mut expired = Vec::new();
        let mut waiting = self.lock();
        let next = loop {
            match waiting.instances.front() {
                Some((since, _)) if since.elapsed() >= PATIENCE => expired.extend(waiting.instances.pop_front()),
                Some((since, _)) => break Some(*since + PATIENCE),
                None => break None,
            }
        };
        waiting.watched = next.is_some();
        drop(waiting);
        self.all.count.fetch_sub(expired.len() as u32, SeqCst);
        next
    }
}

impl<T> Drop for List<T> {
    fn drop(&mut self) {
        let left = self.lock().instances.len();
        self.all.count.fetch_sub(left as u32, SeqCst);
    }
}

/// Whoever looks after a list. A list must not believe it is looked after when the executor is gone.
struct Watch<T>(Weak<List<T>>);

impl<T> Drop for Watch<T> {
    fn drop(&mut self) {
        if let Some(list) = self.0.upgrade() {
            list.lock().watched = false;
        }
    }
}

async fn watch<T: Send + 'static>(mut watch: Watch<T>) {
    while let Some(next) = watch.0.upgrade().and_then(|list| list.expire()) {
        tokio::time::sleep_until(next.into()).await;
    }
    // Whoever parks the next instance sees to it.
    watch.0 = Weak::new();
}

/// All idle instances of a runtime. They take places in the pool which those that run may need.
#[derive(Default)]
pub(crate) struct AllIdle {
    count: AtomicU32,
    lists: Mutex<WeakList<dyn Shed>>,
}

/// What can give up an instance.
trait Shed: Send + Sync {
    /// Drops the instance that waits for longest; says whether there was one.
    fn shed(&self) -> bool;
}

impl<T: Send> Shed for List<T> {
    fn shed(&self) -> bool {
        let oldest = self.lock().instances.pop_front();
        let shed = oldest.is_some();
        if shed {
            self.all.count.fetch_sub(1, SeqCst);
        }
        shed
    }
}

impl AllIdle {
    /// Gives up idle instances until `running` ones and those that are left are `limit` at most.
    pub(crate) fn make_room(&self, running: u32, limit: u32) {
        self.shed_until(|| running.saturating_add(self.count.load(SeqCst)) <= limit);
    }

    /// Gives up idle instances until there is enough, as far as there are any.
    pub(crate) fn shed_until(&self, enough: impl Fn() -> bool) {
        // Those that were left behind while the lists were gone through are found the next time round.
        while !enough() && self.shed_some(&enough) {}
    }

    /// Whether more than half of `limit` places are free beside `running` ones, so that instances made beforehand harm nobody.
    pub(crate) fn has_plenty(&self, running: u32, limit: u32) -> bool {
        running.saturating_add(self.count.load(SeqCst)) < limit / 2
    }

    /// Goes through the lists once; says whether there was anything to give up.
    fn shed_some(&self, enough: impl Fn() -> bool) -> bool {
        let lists = self.lists().alive();
        let mut shed = false;
        for list in lists {
            while !enough() && list.shed() {
                shed = true;
            }
        }
        shed
    }

    fn add<T: Send + 'static>(&self, list: &Arc<List<T>>) {
        let list: Weak<List<T>> = Arc::downgrade(list);
        self.lists().add(list);
    }

    fn lists(&self) -> MutexGuard<'_, WeakList<dyn Shed>> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod models;
#[cfg(test)]
mod tests {
    use super::*;

    fn idle(calls_per_instance: u32, idle_instances: u32, all: &Arc<AllIdle>) -> Idle<u32> {
        Idle::new(&GuestLimits { calls_per_instance, idle_instances, ..GuestLimits::default() }, all)
    }

    fn park(idle: &Idle<u32>, instance: u32, served: u32) {
        idle.park(Warm { instance, served });
    }

    #[tokio::test]
    async fn an_instance_serves_as_many_calls_as_it_may_and_the_last_used_goes_first() {
        let all = Arc::default();
        let idle = idle(3, 2, &all);
        park(&idle, 1, 1);
        park(&idle, 2, 2);
        park(&idle, 3, 1);
        assert_eq!(all.count.load(SeqCst), 2, "there is room for two");
        assert_eq!(idle.take().map(|warm| (warm.instance, warm.served)), Some((2, 2)));
        park(&idle, 2, 3);
        assert_eq!(idle.take().map(|warm| warm.instance), Some(1));
        assert!(idle.take().is_none());
        assert_eq!(all.count.load(SeqCst), 0);
    }

    #[tokio::test]
    async fn without_reuse_nothing_is_kept() {
        let all = Arc::default();
        for idle in [idle(1, 8, &all), idle(8, 0, &all)] {
            park(&idle, 1, 0);
            assert!(idle.take().is_none());
        }
    }

    #[tokio::test]
    async fn those_that_wait_for_a_second_are_dropped() {
        let all = Arc::default();
        let idle = idle(8, 8, &all);
        park(&idle, 1, 1);
        let until = Instant::now() + 10 * PATIENCE;
        while all.count.load(SeqCst) > 0 {
            assert!(Instant::now() < until, "it is still there");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(idle.take().is_none());
        park(&idle, 2, 1);
        assert_eq!(idle.take().map(|warm| warm.instance), Some(2), "and the next one is kept again");
    }

    #[tokio::test]
    async fn the_oldest_make_room_for_what_runs() {
        let all = Arc::default();
        let (first, second) = (idle(8, 8, &all), idle(8, 8, &all));
        park(&first, 1, 1);
        park(&first, 2, 1);
        park(&second, 3, 1);
        all.make_room(1, 4);
        assert_eq!(all.count.load(SeqCst), 3, "there is room");
        all.make_room(2, 4);
        assert_eq!(first.take().map(|warm| warm.instance), Some(2), "the oldest went");
        all.make_room(4, 4);
        assert!(second.take().is_none());
        all.make_room(9, 4);
        park(&first, 4, 1);
        drop(first);
        assert_eq!(all.count.load(SeqCst), 0, "a guest that is gone has none");
    }
}
