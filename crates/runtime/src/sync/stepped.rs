//! The same locks and flags with a step around each operation, and what runs a model in many orders.
//!
//! Outside of a model they are those of the standard library. Invariant: nothing but a step decides which thread goes on.

use std::{
    cell::Cell,
    ops::{Deref, DerefMut},
    sync::{self, LockResult, PoisonError, RwLockReadGuard, RwLockWriteGuard, TryLockError, atomic::Ordering},
};

use shuttle::{Config, Runner, scheduler::RandomScheduler};

/// Orders in which a model is run.
const ORDERS: usize = 2_000;
/// A model that takes more steps waits for what never comes.
const MOST_STEPS: usize = 10_000;

thread_local! {
    static IN_A_MODEL: Cell<bool> = const { Cell::new(false) };
}

/// Runs a model in many orders. Its threads are those of [`shuttle::thread`].
pub(crate) fn in_every_order(model: impl Fn() + Send + Sync + 'static) {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            IN_A_MODEL.set(false);
        }
    }
    let mut config = Config::new();
    config.max_steps = shuttle::MaxSteps::FailAfter(MOST_STEPS);
    IN_A_MODEL.set(true);
    let _leave = Leave;
    Runner::new(RandomScheduler::new(ORDERS), config).run(model);
}

/// Lets another thread of the model go first.
pub(crate) fn step() {
    if IN_A_MODEL.get() && !std::thread::panicking() {
        shuttle::thread::yield_now();
    }
}

/// Tries until it succeeds, with a step before each attempt; outside of a model it waits.
fn locked<G>(attempt: impl Fn() -> Result<G, TryLockError<G>>, wait: impl FnOnce() -> LockResult<G>) -> LockResult<G> {
    while IN_A_MODEL.get() {
        step();
        match attempt() {
            Ok(guard) => return Ok(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Err(poisoned),
            Err(TryLockError::WouldBlock) => {}
        }
    }
    wait()
}

#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(sync::Mutex<T>);

/// Another thread may go first as soon as it is dropped.
pub(crate) struct MutexGuard<'a, T>(Option<sync::MutexGuard<'a, T>>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        match locked(|| self.0.try_lock(), || self.0.lock()) {
            Ok(guard) => Ok(MutexGuard(Some(guard))),
            Err(poisoned) => Err(PoisonError::new(MutexGuard(Some(poisoned.into_inner())))),
        }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("it is taken when this is dropped")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("it is taken when this is dropped")
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.0 = None;
        step();
    }
}

#[derive(Debug, Default)]
pub(crate) struct RwLock<T>(sync::RwLock<T>);

impl<T> RwLock<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(sync::RwLock::new(value))
    }

    pub(crate) fn read(&self) -> LockResult<RwLockReadGuard<'_, T>> {
        locked(|| self.0.try_read(), || self.0.read())
    }

    pub(crate) fn write(&self) -> LockResult<RwLockWriteGuard<'_, T>> {
        locked(|| self.0.try_write(), || self.0.write())
    }
}

#[derive(Debug, Default)]
pub(crate) struct AtomicBool(sync::atomic::AtomicBool);

impl AtomicBool {
    pub(crate) const fn new(value: bool) -> Self {
        Self(sync::atomic::AtomicBool::new(value))
    }

    pub(crate) fn load(&self, order: Ordering) -> bool {
        step();
        self.0.load(order)
    }

    pub(crate) fn store(&self, value: bool, order: Ordering) {
        step();
        self.0.store(value, order);
    }

    pub(crate) fn swap(&self, value: bool, order: Ordering) -> bool {
        step();
        self.0.swap(value, order)
    }
}

#[derive(Debug, Default)]
pub(crate) struct AtomicU32(sync::atomic::AtomicU32);

impl AtomicU32 {
    pub(crate) fn load(&self, order: Ordering) -> u32 {
        step();
        self.0.load(order)
    }

    pub(crate) fn fetch_add(&self, more: u32, order: Ordering) -> u32 {
        step();
        self.0.fetch_add(more, order)
    }

    pub(crate) fn fetch_sub(&self, less: u32, order: Ordering) -> u32 {
        step();
        self.0.fetch_sub(less, order)
    }
}
