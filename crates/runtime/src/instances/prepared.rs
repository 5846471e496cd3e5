//! An instance made before the next call comes, for guests that are called now and then.
//!
//! To end an instance and to make the next one takes longer than the work of a small call. Where nothing else of the guest
//! runs both happen after the answer, when nobody waits: the call leaves its instance here, and an idle thread ends it and
//! makes a fresh one. A busy guest does without. Knows nothing of what an instance is. Invariants: of each
//! guest one waits to be ended and one to be called at most, and both give way to calls that need their places; what is
//! ready has served nobody.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU8, Ordering::SeqCst},
};

use super::waiting::{AllIdle, Idle, Warm};

/// How often in a row making one may fail. Once says little: the machine may have been busy just then.
const FAILURES: u8 = 3;

/// The prepared instance of one guest: `S` is one that is spent, `R` one that is ready.
pub(crate) struct Prepared<S: Send + 'static, R: Send + 'static> {
    spent: Idle<S>,
    ready: Idle<R>,
    /// Whether a thread will end and make instances.
    tended: AtomicBool,
    /// How often in a row none could be made. From [`FAILURES`] on it is not tried again.
    failures: AtomicU8,
}

impl<S: Send, R: Send> Prepared<S, R> {
    pub(crate) fn new(all: &Arc<AllIdle>) -> Self {
        let (spent, ready) = (Idle::one(all), Idle::one(all));
        Self { spent, ready, tended: AtomicBool::new(false), failures: AtomicU8::new(0) }
    }

    /// The instance that is ready.
    pub(crate) fn take(&self) -> Option<R> {
        self.ready.take().map(|warm| warm.instance)
    }

    /// Leaves an instance after its call. Whether the caller has to see to it that [`Prepared::tend`] runs.
    pub(crate) fn leave(&self, spent: S) -> bool {
        if self.failures.load(SeqCst) >= FAILURES {
            return false;
        }
        self.spent.park(Warm { instance: spent, served: 0 });
        !self.tended.swap(true, SeqCst)
    }

    /// Ends what is spent and, with `make`, has one ready again.
    pub(crate) fn tend(&self, make: impl FnOnce() -> Option<R>) {
        drop(self.spent.take());
        if self.ready.is_empty() {
            match make() {
                Some(ready) => {
                    self.failures.store(0, SeqCst);
                    self.ready.park(Warm { instance: ready, served: 0 });
                }
                None => _ = self.failures.fetch_add(1, SeqCst),
            }
        }
        self.tended.store(false, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_left_is_ended_and_one_is_ready() {
        let (all, ended) = (Arc::default(), Arc::new(()));
        let prepared = Prepared::new(&all);
        assert!(prepared.take().is_none());
        assert!(prepared.leave(ended.clone()), "somebody has to tend it");
        assert!(!prepared.leave(ended.clone()), "somebody does already");
        assert_eq!(Arc::strong_count(&ended), 2, "one waits, one was ended at once");
        prepared.tend(|| Some(1));
        assert_eq!(Arc::strong_count(&ended), 1);
        assert!(prepared.leave(ended.clone()));
        prepared.tend(|| panic!("one is ready"));
        assert_eq!((prepared.take(), prepared.take()), (Some(1), None));
    }

    #[tokio::test]
    async fn who_can_never_be_made_beforehand_is_given_up() {
        let (all, ended) = (Arc::default(), Arc::new(()));
        let prepared: Prepared<_, u32> = Prepared::new(&all);
        for _ in 0..FAILURES {
            assert!(prepared.leave(ended.clone()));
            prepared.tend(|| None);
        }
        assert!(!prepared.leave(ended.clone()));
        assert_eq!((Arc::strong_count(&ended), prepared.take()), (1, None));
    }

    #[tokio::test]
    async fn who_fails_now_and_then_is_tried_again() {
        let prepared = Prepared::new(&Arc::default());
        for number in 0..10 * u32::from(FAILURES) {
            assert!(prepared.leave(()));
            prepared.tend(|| (number % 2 == 0).then_some(number));
            assert_eq!(prepared.take().is_some(), number % 2 == 0);
        }
    }

    #[tokio::test]
    async fn it_gives_way_to_calls() {
        let all = Arc::default();
        let prepared = Prepared::new(&all);
        assert!(prepared.leave(()));
        prepared.tend(|| Some(1));
        AllIdle::make_room(&all, 4, 4);
        assert_eq!(prepared.take(), None);
    }
}
