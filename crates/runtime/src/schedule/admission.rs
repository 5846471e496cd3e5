//! Who may run now, who waits, who is turned away: decided before anything is instantiated.
//!
//! Knows neither wasm nor time; the caller bounds the wait. Invariant: at most `limit` permits are out, except while a
//! lowered limit waits for calls that were already running.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, PoisonError},
};

use tokio::sync::oneshot;

use crate::sync::{Mutex, MutexGuard};

/// The gate of one actor.
pub(crate) struct Admission {
    state: Mutex<State>,
    queue: usize,
}

struct State {
    running: u32,
    limit: u32,
    waiting: VecDeque<oneshot::Sender<Permit>>,
    /// Who waits until nothing runs.
    watching: Vec<oneshot::Sender<()>>,
}

impl State {
    /// Calls that wait and are still wanted.
    fn wanted(&self) -> usize {
        self.waiting.iter().filter(|waiter| !waiter.is_closed()).count()
    }
}

/// Leave to run one call. Dropping it lets the next one in.
pub(crate) struct Permit {
    /// None once the permit was taken back without letting anybody in.
    admission: Option<Arc<Admission>>,
}

/// Answer of the gate.
pub(crate) enum Entry {
    /// Go ahead.
    Admitted(Permit),
    /// Wait for this; it fails when the limit becomes zero.
    Queued(oneshot::Receiver<Permit>),
    /// All permits are out and the queue is full.
    Full,
    /// The limit is zero.
    Closed,
}

impl Admission {
    pub(crate) fn new(limit: u32, queue: u32) -> Arc<Self> {
        let state = State { running: 0, limit, waiting: VecDeque::new(), watching: Vec::new() };
        Arc::new(Self { state: Mutex::new(state), queue: queue as usize })
    }

    pub(crate) fn enter(self: &Arc<Self>) -> Entry {
        let mut state = self.lock();
        if state.limit == 0 {
            return Entry::Closed;
        }
        if state.running < state.limit {
            state.running += 1;
            return Entry::Admitted(Permit::of(self));
        }
        if state.waiting.len() >= self.queue {
            state.waiting.retain(|waiter| !waiter.is_closed());
        }
        if state.waiting.len() >= self.queue {
            return Entry::Full;
        }
        let (sender, receiver) = oneshot::channel();
        state.waiting.push_back(sender);
        Entry::Queued(receiver)
    }

    /// Sets the bound. Zero turns away new calls and those that wait.
    pub(crate) fn set_limit(self: &Arc<Self>, limit: u32) {
        let mut admitted = Vec::new();
        let mut state = self.lock();
        state.limit = limit;
        if limit == 0 {
            let turned_away = mem::take(&mut state.waiting);
            drop(state);
            drop(turned_away);
            return;
        }
        while state.running < state.limit
            && let Some(waiter) = state.waiting.pop_front()
        {
            state.running += 1;
            admitted.push(waiter);
        }
        drop(state);
        for waiter in admitted {
            // A waiter that is gone drops the permit, which lets the next one in.
            drop(waiter.send(Permit::of(self)));
        }
    }

    pub(crate) fn limit(&self) -> u32 {
        self.lock().limit
    }

    pub(crate) fn running(&self) -> u32 {
        self.lock().running
    }

    /// Whether one call runs, and none waits.
    pub(crate) fn is_alone(&self) -> bool {
        let state = self.lock();
        state.running == 1 && state.waiting.is_empty()
    }

    /// Resolves when nothing runs; at once when nothing does.
    pub(crate) async fn quiet(&self) {
        let (sender, receiver) = oneshot::channel();
        {
            let mut state = self.lock();
            if state.running == 0 {
                return;
            }
            state.watching.retain(|watcher| !watcher.is_closed());
            state.watching.push(sender);
        }
        receiver.await.ok(); // told, or the gate is gone
    }

    /// Calls that wait and are still wanted.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().wanted()
    }

    /// Whether who enters now finds no place, not even in the queue.
    pub(crate) fn is_full(&self) -> bool {
        let state = self.lock();
        let no_room = state.limit > 0 && state.running >= state.limit && state.waiting.len() >= self.queue;
        no_room && state.wanted() >= self.queue
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands the permit to the longest waiting call that is still there, else takes it back.
    fn release(self: &Arc<Self>) {
        loop {
            let waiter = {
                let mut state = self.lock();
                let next = if state.running <= state.limit { state.waiting.pop_front() } else { None };
                match next {
                    Some(waiter) => waiter,
                    None => {
                        state.running -= 1;
                        let told = if state.running == 0 { mem::take(&mut state.watching) } else { Vec::new() };
                        drop(state);
                        for watcher in told {
                            let _ = watcher.send(()); // or it waits no more
                        }
                        return;
                    }
                }
            };
            let Err(unwanted) = waiter.send(Permit::of(self)) else { return };
            unwanted.forget();
        }
    }
}

impl Permit {
    fn of(admission: &Arc<Admission>) -> Self {
        Self { admission: Some(admission.clone()) }
    }

    /// Ends the permit while its place stays taken.
    fn forget(mut self) {
        self.admission = None;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(admission) = self.admission.take() {
            admission.release();
        }
    }
}

#[cfg(test)]
mod models;
#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn admitted(entry: Entry) -> Permit {
        match entry {
            Entry::Admitted(permit) => permit,
            _ => panic!("expected to be admitted"),
        }
    }

    fn queued(entry: Entry) -> oneshot::Receiver<Permit> {
        match entry {
            Entry::Queued(receiver) => receiver,
            _ => panic!("expected to be queued"),
        }
    }

    #[test]
    fn the_queue_is_bounded_and_served_in_order() {
        let gate = Admission::new(1, 2);
        let first = admitted(gate.enter());
        let (mut second, mut third) = (queued(gate.enter()), queued(gate.enter()));
        assert!(matches!(gate.enter(), Entry::Full));
        drop(first);
        let second = second.try_recv().expect("the longest waiting goes first");
        assert!(third.try_recv().is_err());
        drop(second);
        drop(third.try_recv().expect("then the next"));
        assert_eq!(gate.running(), 0);
    }

    #[test]
    fn a_waiter_that_left_neither_holds_a_place_nor_an_instance() {
        let gate = Admission::new(1, 1);
        let first = admitted(gate.enter());
        drop(queued(gate.enter()));
        let mut second = queued(gate.enter());
        drop(first);
        let permit = second.try_recv().expect("admitted");
        drop(queued(gate.enter()));
        drop(permit);
        assert_eq!(gate.running(), 0);
    }

    #[test]
    fn a_permit_that_nobody_took_out_of_the_channel_comes_back() {
        let gate = Admission::new(1, 1);
        let first = admitted(gate.enter());
        let second = queued(gate.enter());
        drop(first);
        assert_eq!(gate.running(), 1, "it is in the channel");
        drop(second);
        assert_eq!(gate.running(), 0);
    }

    #[tokio::test]
    async fn quiet_is_when_the_last_call_has_ended_and_nobody_waits() {
        let gate = Admission::new(1, 1);
        gate.quiet().await;
        let (first, mut second) = (admitted(gate.enter()), queued(gate.enter()));
        let mut quiet = std::pin::pin!(gate.quiet());
        assert!(quiet.as_mut().now_or_never().is_none(), "one runs");
        drop(first);
        assert!(quiet.as_mut().now_or_never().is_none(), "the next one runs");
        drop(second.try_recv().expect("admitted"));
        assert!(quiet.now_or_never().is_some());
    }

    #[test]
    fn raising_the_limit_lets_waiting_calls_in() {
        let gate = Admission::new(1, 8);
        let _first = admitted(gate.enter());
        let mut second = queued(gate.enter());
        gate.set_limit(2);
        let _second = second.try_recv().expect("admitted");
        assert_eq!(gate.running(), 2);
    }

    #[test]
    fn lowering_the_limit_takes_effect_as_calls_end() {
        let gate = Admission::new(2, 8);
        let (first, second) = (admitted(gate.enter()), admitted(gate.enter()));
        gate.set_limit(1);
        let mut third = queued(gate.enter());
        drop(first);
        assert!(third.try_recv().is_err(), "one is still running");
        drop(second);
        drop(third.try_recv().expect("now"));
        assert_eq!(gate.running(), 0);
    }

    #[test]
    fn a_limit_of_zero_turns_everybody_away() {
        let gate = Admission::new(1, 8);
        let _first = admitted(gate.enter());
        let mut second = queued(gate.enter());
        gate.set_limit(0);
        assert!(matches!(second.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
        assert!(matches!(gate.enter(), Entry::Closed));
    }
}
