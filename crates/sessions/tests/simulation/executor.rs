//! Tasks, in an order that a seed decides, under a clock that is made up.
//!
//! One thread. A run depends on its seed and on nothing else that it can see. Tasks belong to groups, which end together:
//! that is a process that dies.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use crate::random::Random;

type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What runs together and ends together.
pub type Group = u64;

/// A cloneable handle to one world of tasks.
#[derive(Clone)]
pub struct Executor(Arc<Shared>);

struct Shared {
    began: Instant,
    state: Mutex<State>,
}

struct State {
    now: Duration,
    random: Random,
    next: u64,
    tasks: BTreeMap<u64, (Group, Option<Job>)>,
    ready: Vec<u64>,
    timers: BinaryHeap<Reverse<(Duration, u64)>>,
    wakers: BTreeMap<u64, Waker>,
}

impl Executor {
    pub fn new(seed: u64) -> Self {
        let state = State {
            now: Duration::ZERO,
            random: Random::new(seed),
            next: 0,
            tasks: BTreeMap::new(),
            ready: Vec::new(),
            timers: BinaryHeap::new(),
            wakers: BTreeMap::new(),
        };
        Self(Arc::new(Shared { began: Instant::now(), state: Mutex::new(state) }))
    }

    /// Time since the beginning.
    pub fn elapsed(&self) -> Duration {
        self.lock().now
    }

    pub fn now(&self) -> Instant {
        self.0.began + self.elapsed()
    }

    pub fn random<T>(&self, ask: impl FnOnce(&mut Random) -> T) -> T {
        ask(&mut self.lock().random)
    }

    pub fn spawn(&self, group: Group, job: impl Future<Output = ()> + Send + 'static) -> Handle {
        let mut state = self.lock();
        let id = state.next();
        state.tasks.insert(id, (group, Some(Box::pin(job))));
        state.ready.push(id);
        Handle { executor: self.clone(), id }
    }

    /// How many tasks of a group there are.
    pub fn running(&self, group: Group) -> usize {
        self.lock().tasks.values().filter(|(of, _)| *of == group).count()
    }

    /// Ends all tasks of a group where they stand.
    pub fn end(&self, group: Group) {
        let ended: Vec<_> = {
            let mut state = self.lock();
            let ids: Vec<u64> = state.tasks.iter().filter(|(_, (of, _))| *of == group).map(|(id, _)| *id).collect();
            ids.iter().map(|id| state.tasks.remove(id)).collect()
        };
        drop(ended);
    }

    pub fn sleep(&self, time: Duration) -> Sleep {
        Sleep { executor: self.clone(), until: self.elapsed() + time, timer: None }
    }

    /// Runs everything up to a time.
    pub fn run_until(&self, end: Duration) {
        loop {
            while let Some((id, mut job)) = self.next_ready() {
                let waker = Waker::from(Arc::new(Wakes { executor: self.clone(), id }));
                if job.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                    self.put_back(id, job);
                } else {
                    self.lock().tasks.remove(&id);
                }
            }
            let Some(waker) = self.next_timer(end) else { return };
            waker.into_iter().for_each(Waker::wake);
        }
    }

    fn next_ready(&self) -> Option<(u64, Job)> {
        let mut state = self.lock();
        while !state.ready.is_empty() {
            let count = state.ready.len();
            let chosen = state.random.below(count);
            let id = state.ready.swap_remove(chosen);
            if let Some(job) = state.tasks.get_mut(&id).and_then(|(_, job)| job.take()) {
                return Some((id, job));
            }
        }
        None
    }

    /// Unless the task was ended meanwhile, by itself.
    fn put_back(&self, id: u64, job: Job) {
        let mut state = self.lock();
        let ended = match state.tasks.get_mut(&id) {
            Some((_, place)) => place.replace(job),
            None => Some(job),
        };
        drop(state);
        drop(ended);
    }

    /// The next timer before a time, whose time it is then; none when there is none.
    fn next_timer(&self, end: Duration) -> Option<Option<Waker>> {
        let mut state = self.lock();
        match state.timers.peek() {
            Some(Reverse((time, _))) if *time <= end => {
                let Reverse((time, id)) = state.timers.pop().expect("it was seen");
                state.now = state.now.max(time);
                Some(state.wakers.remove(&id))
            }
            _ => {
                state.now = end;
                None
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("nobody panics with it")
    }
}

impl State {
    fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

struct Wakes {
    executor: Executor,
    id: u64,
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        let mut state = self.executor.lock();
        if !state.ready.contains(&self.id) {
            state.ready.push(self.id);
        }
    }
}

/// A task that runs.
pub struct Handle {
    executor: Executor,
    id: u64,
}

impl sessions::Task for Handle {
    fn abort(&self) {
        let ended = self.executor.lock().tasks.remove(&self.id);
        drop(ended);
    }
}

/// Waits for a time.
pub struct Sleep {
    executor: Executor,
    until: Duration,
    timer: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let executor = self.executor.clone();
        let mut state = executor.lock();
        if state.now >= self.until {
            return Poll::Ready(());
        }
        let timer = self.timer.unwrap_or_else(|| {
            let timer = state.next();
            let until = self.until;
            state.timers.push(Reverse((until, timer)));
            timer
        });
        state.wakers.insert(timer, context.waker().clone());
        drop(state);
        self.timer = Some(timer);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let waker = self.timer.and_then(|timer| self.executor.lock().wakers.remove(&timer));
        drop(waker);
    }
}
