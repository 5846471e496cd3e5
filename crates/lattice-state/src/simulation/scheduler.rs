//! One thread, one clock that stands still while anything can be done, and chance in the order of what can be.
//!
//! Tasks are polled one at a time, any that is awake; when none is, the clock goes to the next moment for which something
//! was arranged. Invariant: the same numbers lead to the same run.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use super::random::Random;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;
type Call = Box<dyn FnOnce() + Send>;

/// Polls in one run: a task that never comes to rest is a fault, and no reason to wait.
const MOST_POLLS: u64 = 2_000_000;

/// The scheduler. Cheap to clone.
#[derive(Clone)]
pub(super) struct Scheduler(Arc<Shared>);

struct Shared {
    inner: Mutex<Inner>,
    awake: Arc<Mutex<Vec<usize>>>,
}

struct Inner {
    /// Microseconds.
    now: u64,
    arranged: BinaryHeap<Reverse<Arranged>>,
    number: u64,
    tasks: Vec<Option<Task>>,
    random: Random,
    polls: u64,
}

enum What {
    Wake(Waker),
    Call(Call),
}

struct Arranged {
    at: u64,
    number: u64,
    what: What,
}

impl PartialEq for Arranged {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Arranged {}

impl PartialOrd for Arranged {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Arranged {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// Wakes one task.
struct Awaken {
    task: usize,
    awake: Arc<Mutex<Vec<usize>>>,
}

impl Wake for Awaken {
    fn wake(self: Arc<Self>) {
        let mut awake = self.awake.lock().unwrap_or_else(PoisonError::into_inner);
        if !awake.contains(&self.task) {
            awake.push(self.task);
        }
    }
}

/// A task that can be ended from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TaskId(usize);

impl Scheduler {
    pub(super) fn new(random: Random) -> Self {
        let inner = Inner { now: 0, arranged: BinaryHeap::new(), number: 0, tasks: Vec::new(), random, polls: 0 };
        Self(Arc::new(Shared { inner: Mutex::new(inner), awake: Arc::default() }))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Microseconds since the beginning of the run.
    pub(super) fn now(&self) -> u64 {
        self.inner().now
    }

    /// A number by chance.
    pub(super) fn between(&self, first: u64, last: u64) -> u64 {
        self.inner().random.between(first, last)
    }

    /// True once in `many` times.
    pub(super) fn one_in(&self, many: u64) -> bool {
        self.inner().random.one_in(many)
    }

    /// Runs a task beside the others.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> TaskId {
        let mut inner = self.inner();
        inner.tasks.push(Some(Box::pin(task)));
        let id = inner.tasks.len() - 1;
        self.0.awake.lock().unwrap_or_else(PoisonError::into_inner).push(id);
        TaskId(id)
    }

    /// Ends a task where it stands, as a power cut does.
    pub(super) fn end(&self, task: TaskId) {
        let ended = self.inner().tasks[task.0].take();
        drop(ended);
    }

    fn arrange(&self, at: u64, what: What) {
        let mut inner = self.inner();
        inner.number += 1;
        let number = inner.number;
        inner.arranged.push(Reverse(Arranged { at, number, what }));
    }

    /// Does something at a moment; at once when that has passed.
    pub(super) fn at(&self, moment: u64, call: impl FnOnce() + Send + 'static) {
        self.arrange(moment, What::Call(Box::new(call)));
    }

    /// Waits.
    pub(super) fn sleep(&self, time: Duration) -> Sleep {
        let time = u64::try_from(time.as_micros()).unwrap_or(u64::MAX / 2);
        Sleep { until: self.now() + time, arranged: false, scheduler: self.clone() }
    }

    /// Runs everything up to a moment. False when it does not come to rest.
    pub(super) fn run_until(&self, moment: u64) -> bool {
        loop {
            while let Some(id) = self.next_awake() {
                if !self.poll(id) {
                    return false;
                }
            }
            let due = {
                let mut inner = self.inner();
                match inner.arranged.peek() {
                    Some(Reverse(next)) if next.at <= moment => {
                        let Reverse(next) = inner.arranged.pop().expect("it was there");
                        inner.now = inner.now.max(next.at);
                        next.what
                    }
                    _ => {
                        inner.now = moment;
                        return true;
                    }
                }
            };
            match due {
                What::Wake(waker) => waker.wake(),
                What::Call(call) => call(),
            }
        }
    }

    fn next_awake(&self) -> Option<usize> {
        let mut awake = self.0.awake.lock().unwrap_or_else(PoisonError::into_inner);
        if awake.is_empty() {
            return None;
        }
        let place = if awake.len() == 1 { 0 } else { self.inner().random.index(awake.len()) };
        Some(awake.remove(place))
    }

    fn poll(&self, id: usize) -> bool {
        let task = {
            let mut inner = self.inner();
            inner.polls += 1;
            if inner.polls > MOST_POLLS {
                return false;
            }
            inner.tasks[id].take()
        };
        let Some(mut task) = task else { return true };
        let waker = Waker::from(Arc::new(Awaken { task: id, awake: self.0.awake.clone() }));
        let done = task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        if !done {
            self.inner().tasks[id] = Some(task);
        }
        true
    }
}

/// Waits until a moment.
pub(super) struct Sleep {
    until: u64,
    arranged: bool,
    scheduler: Scheduler,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.scheduler.now() >= self.until {
            return Poll::Ready(());
        }
        if !self.arranged {
            // What polls it stays the same: nothing here moves a future from one task to another.
            self.arranged = true;
            self.scheduler.arrange(self.until, What::Wake(context.waker().clone()));
        }
        Poll::Pending
    }
}
