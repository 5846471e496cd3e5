//! Starts that are under way, and what was stopped since they were asked for.
//!
//! Whom a start is about is known once its artifact is read; until then a stop of that actor, or provider, finds nothing
//! that runs. It is noted here with every earlier start, and a start that turns out to be about it does not take effect.
//! So a start and a later stop end stopped, however long the start takes. Invariant: a start is listed from before its
//! command is acknowledged until it has ended, also by a panic.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

/// Stops that are noted with one start; the oldest goes first.
const MOST_STOPS: usize = 256;

/// The starts of one kind: `I` is what an id is, `S` what a stop may narrow itself to.
pub struct Starts<I, S> {
    shared: Arc<Shared<I, S>>,
}

struct Shared<I, S> {
    open: Mutex<Open<I, S>>,
    changed: watch::Sender<()>,
}

struct Open<I, S> {
    next: u64,
    starts: BTreeMap<u64, UnderWay<I, S>>,
}

struct UnderWay<I, S> {
    id: Option<I>,
    /// Stops that came since.
    stops: Vec<(I, S)>,
}

/// One start; dropped when it has ended.
pub struct Start<I, S> {
    shared: Arc<Shared<I, S>>,
    number: u64,
}

impl<I, S> Default for Starts<I, S> {
    fn default() -> Self {
        let open = Mutex::new(Open { next: 0, starts: BTreeMap::new() });
        Self { shared: Arc::new(Shared { open, changed: watch::Sender::new(()) }) }
    }
}

impl<I: Copy + PartialEq, S: Clone + PartialEq> Starts<I, S> {
    /// A start was asked for.
    #[must_use]
    pub fn begin(&self) -> Start<I, S> {
        let mut open = self.shared.lock();
        let number = open.next;
        open.next += 1;
        open.starts.insert(number, UnderWay { id: None, stops: Vec::new() });
        Start { shared: self.shared.clone(), number }
    }

    /// A stop was asked for. How many starts are under way that are known to be about it.
    pub fn stop(&self, id: I, of: &S) -> usize {
        let mut open = self.shared.lock();
        let mut known = 0;
        for start in open.starts.values_mut().filter(|start| start.id.is_none_or(|other| other == id)) {
            known += usize::from(start.id.is_some());
            if start.stops.contains(&(id, of.clone())) {
                continue;
            }
            if start.stops.len() >= MOST_STOPS {
                start.stops.remove(0);
            }
            start.stops.push((id, of.clone()));
        }
        known
    }

    /// Whether a start is under way that is about this one, or may turn out to be.
    #[must_use]
    pub fn may_bring(&self, id: &I) -> bool {
        self.shared.lock().starts.values().any(|start| start.id.is_none_or(|other| other == *id))
    }

    /// Changes whenever a start ends, or it becomes known whom it is about.
    #[must_use]
    pub fn follow(&self) -> watch::Receiver<()> {
        self.shared.changed.subscribe()
    }
}

impl<I: Copy + PartialEq, S> Start<I, S> {
    /// It turned out to be about this one.
    pub fn is_about(&self, id: I) {
        if let Some(start) = self.shared.lock().starts.get_mut(&self.number) {
            start.id = Some(id);
        }
        self.shared.changed.send_replace(());
    }

    /// Whether it was stopped since it was asked for, by a stop that `covers` it.
    #[must_use]
    pub fn is_stopped(&self, id: &I, covers: impl Fn(&S) -> bool) -> bool {
        let open = self.shared.lock();
        let stops = open.starts.get(&self.number).map(|start| start.stops.as_slice()).unwrap_or_default();
        stops.iter().any(|(stopped, of)| stopped == id && covers(of))
    }
}

impl<I, S> Drop for Start<I, S> {
    fn drop(&mut self) {
        self.shared.lock().starts.remove(&self.number);
        self.shared.changed.send_replace(());
    }
}

impl<I, S> Shared<I, S> {
    fn lock(&self) -> MutexGuard<'_, Open<I, S>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_is_noted_with_every_earlier_start_that_may_be_about_it() {
        let starts = Starts::<u8, &str>::default();
        let (early, other) = (starts.begin(), starts.begin());
        other.is_about(2);
        assert_eq!(starts.stop(1, &"all"), 0, "nobody knows yet that the first one is about it");
        let late = starts.begin();
        late.is_about(1);
        assert!(early.is_stopped(&1, |of| *of == "all"));
        assert!(!early.is_stopped(&1, |_| false), "the stop was about another set");
        assert!(!early.is_stopped(&3, |_| true) && !other.is_stopped(&1, |_| true) && !late.is_stopped(&1, |_| true));
        assert_eq!(starts.stop(1, &"all"), 1);
        assert!(late.is_stopped(&1, |_| true));
    }

    #[test]
    fn what_ended_brings_nothing_and_stops_of_it_are_forgotten() {
        let starts = Starts::<u8, ()>::default();
        assert!(!starts.may_bring(&1));
        let start = starts.begin();
        assert!(starts.may_bring(&1), "it may be this one");
        start.is_about(2);
        assert!(!starts.may_bring(&1) && starts.may_bring(&2));
        drop(start);
        assert!(!starts.may_bring(&2));
        assert!(starts.shared.lock().starts.is_empty());
    }

    #[test]
    fn a_client_that_stops_what_does_not_run_takes_no_memory() {
        let starts = Starts::<u32, ()>::default();
        let start = starts.begin();
        for id in 0..10_000 {
            starts.stop(id, &());
            starts.stop(id, &());
        }
        assert!(start.is_stopped(&9_999, |()| true) && !start.is_stopped(&0, |()| true));
        assert_eq!(starts.shared.lock().starts[&0].stops.len(), MOST_STOPS);
    }
}
