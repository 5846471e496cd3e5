//! Who is in an instance that takes several calls at once.
//!
//! Pure bookkeeping, knows nothing of wasm. Invariants: no more calls at once and altogether than were allowed; an
//! instance that a call has left unfinished takes no other, because what goes on in it cannot be told apart.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::{sync::Notify, time::sleep_until};

use crate::call::clock::Clock;

/// The calls in one instance.
#[derive(Debug)]
pub(super) struct SharedInstance {
    state: Mutex<State>,
    left: Notify,
    /// Most calls at once.
    most: u32,
    /// Most calls altogether.
    calls_per_instance: u32,
}

#[derive(Debug)]
struct State {
    open: bool,
    spoiled: bool,
    present: u32,
    begun: u32,
    /// When the last of those that left must have ended; those that are there have their own time.
    until: Instant,
}

/// A call's place. Dropped before [`Slot::done`], it has left the instance with work undone.
#[derive(Debug)]
pub(super) struct Slot {
    shared: Arc<SharedInstance>,
    clock: Arc<Clock>,
    done: bool,
}

impl SharedInstance {
    /// One that nobody is in; the instance has served `begun` calls before.
    pub(super) fn new(most: u32, calls_per_instance: u32, begun: u32) -> Arc<Self> {
        let state = State { open: true, spoiled: false, present: 0, begun, until: Instant::now() };
        Arc::new(Self { state: Mutex::new(state), left: Notify::new(), most, calls_per_instance })
    }

    /// Takes a place, if there is one and `enter` gets in, which happens before anybody can close the instance.
    pub(super) fn join(self: &Arc<Self>, clock: Arc<Clock>, enter: impl FnOnce() -> bool) -> Option<Slot> {
        let mut state = self.lock();
        let has_room = state.present < self.most && state.begun < self.calls_per_instance;
        if !state.open || state.spoiled || !has_room || !enter() {
            return None;
        }
        state.present += 1;
        state.begun += 1;
        state.until = state.until.max(clock.deadline());
        Some(Slot { shared: self.clone(), clock, done: false })
    }

    /// Lets nobody in any more, unless somebody `has_entered` meanwhile.
    pub(super) fn close(&self, has_entered: impl FnOnce() -> bool) -> bool {
        let mut state = self.lock();
        state.open = has_entered();
        !state.open
    }

    /// Closes it for good.
    pub(super) fn shut(&self) {
        self.lock().open = false;
    }

    pub(super) fn is_open(&self) -> bool {
        self.lock().open
    }

    /// How many calls the instance has begun, if it may serve another.
    pub(super) fn fit_for_more(&self) -> Option<u32> {
        let state = self.lock();
        (!state.spoiled).then_some(state.begun)
    }

    /// Waits until nothing in the instance matters to anybody: all have left, one of them with work undone, or with time
    /// that is over. Each of those that are there leaves by itself when its own time is.
    pub(super) async fn is_over(&self) {
        loop {
            let left = self.left.notified();
            let until = {
                let state = self.lock();
                if state.present == 0 && (state.spoiled || Instant::now() >= state.until) {
                    return;
                }
                (state.present == 0).then_some(state.until)
            };
            match until {
                None => left.await,
                Some(until) => tokio::select! {
                    () = left => {}
                    () = sleep_until(until.into()) => {}
                },
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// The call has come to its end.
    pub(super) fn done(mut self) {
        self.done = true;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.present -= 1;
        state.until = state.until.max(self.clock.deadline());
        state.spoiled |= !self.done;
        drop(state);
        self.shared.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn join(shared: &Arc<SharedInstance>) -> Option<Slot> {
        shared.join(clock(Duration::from_secs(60)), || true)
    }

    fn clock(time: Duration) -> Arc<Clock> {
        Clock::new(Instant::now() + time, false, None)
    }

    #[test]
    fn no_more_at_once_and_altogether_than_allowed() {
        let shared = SharedInstance::new(2, 4, 1);
        let (first, second) = (join(&shared).expect("room"), join(&shared).expect("room"));
        assert!(join(&shared).is_none(), "two at once");
        first.done();
        let third = join(&shared).expect("the fourth of this instance");
        second.done();
        third.done();
        assert!(join(&shared).is_none(), "four altogether");
        assert_eq!(shared.fit_for_more(), Some(4));
    }

    #[test]
    fn whoever_leaves_work_undone_spoils_the_instance() {
        let shared = SharedInstance::new(2, 4, 0);
        let stays = join(&shared).expect("room");
        drop(join(&shared).expect("room"));
        assert!(join(&shared).is_none());
        assert_eq!(shared.fit_for_more(), None);
        stays.done();
    }

    #[test]
    fn it_closes_only_when_nobody_came_meanwhile() {
        let shared = SharedInstance::new(2, 4, 0);
        assert!(!shared.close(|| true));
        join(&shared).expect("still open").done();
        assert!(shared.join(clock(Duration::ZERO), || false).is_none(), "it could not get in");
        assert!(shared.close(|| false));
        assert!(join(&shared).is_none());
    }

    #[tokio::test]
    async fn it_is_over_with_the_last_of_a_spoiled_one_or_with_their_time() {
        let shared = SharedInstance::new(2, 4, 0);
        let (stays, goes) = (join(&shared).expect("room"), join(&shared).expect("room"));
        drop(goes);
        tokio::select! {
            biased;
            () = shared.is_over() => panic!("somebody is there"),
            () = tokio::task::yield_now() => {}
        }
        stays.done();
        shared.is_over().await;
        let shared = SharedInstance::new(1, 1, 0);
        shared.join(clock(Duration::from_millis(5)), || true).expect("room").done();
        shared.is_over().await;
    }
}
