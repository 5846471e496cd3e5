//! A thing that is in memory while it is wanted, and otherwise somewhere it can be fetched from.
//!
//! Knows neither code nor files. Invariants: whoever finds it in memory has it, and it is not let go of beneath them; what
//! was asked for since the last look stays until the next.

use std::{
    mem,
    sync::{PoisonError, atomic::Ordering::SeqCst},
};

use crate::sync::{AtomicBool, RwLock};

/// Something whose owners can be counted.
pub(super) trait Owned: Clone {
    fn owners(&self) -> usize;
}

/// `M` in memory, or `F` to fetch it from.
pub(super) struct Kept<M, F> {
    place: RwLock<Place<M, F>>,
    /// Whether it was asked for since the last look.
    wanted: AtomicBool,
}

enum Place<M, F> {
    Memory(M),
    Elsewhere(F),
}

/// What a look came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// It is needed, or was lately. It is to be looked at again.
    InUse,
    /// It was let go of.
    LetGo,
    /// It stays in memory for good.
    Bound,
}

impl<M: Owned, F: Clone> Kept<M, F> {
    pub(super) fn new(thing: M) -> Self {
        Self { place: RwLock::new(Place::Memory(thing)), wanted: AtomicBool::new(true) }
    }

    /// The thing, if it is in memory.
    pub(super) fn here(&self) -> Option<M> {
        self.get().ok()
    }

    /// The thing for somebody who needs it, if it is in memory.
    pub(super) fn wanted(&self) -> Option<M> {
        // Written only where that makes a difference: every thread that calls reads it.
        if !self.wanted.load(SeqCst) {
            self.wanted.store(true, SeqCst);
        }
        self.here()
    }

    /// The thing, else what to fetch it from.
    pub(super) fn get(&self) -> Result<M, F> {
        match &*self.place.read().unwrap_or_else(PoisonError::into_inner) {
            Place::Memory(thing) => Ok(thing.clone()),
            Place::Elsewhere(from) => Err(from.clone()),
        }
    }

    /// Has it in memory again.
    pub(super) fn put_back(&self, thing: M) {
        *self.place.write().unwrap_or_else(PoisonError::into_inner) = Place::Memory(thing);
    }

    /// Lets go of it unless it was asked for since the last look. `fetch` says what to fetch it from; none keeps it.
    pub(super) fn look(&self, fetch: impl FnOnce() -> Option<F>) -> Seen {
        let in_use = || self.place.read().unwrap_or_else(PoisonError::into_inner).is_in_use();
        if self.wanted.swap(false, SeqCst) || in_use() {
            return Seen::InUse;
        }
        let Some(from) = fetch() else { return Seen::Bound };
        let mut place = self.place.write().unwrap_or_else(PoisonError::into_inner);
        // A caller that set the flag or took the thing before this lock was taken is seen here; one that comes later waits
        // for the lock, and finds what to fetch it from.
        if self.wanted.load(SeqCst) || place.is_in_use() {
            return Seen::InUse;
        }
        let idle = mem::replace(&mut *place, Place::Elsewhere(from));
        drop(place);
        drop(idle);
        Seen::LetGo
    }
}

impl<M: Owned, F> Place<M, F> {
    /// Whether it is in memory, and not only here.
    fn is_in_use(&self) -> bool {
        matches!(self, Self::Memory(thing) if thing.owners() > 1)
    }
}

#[cfg(test)]
mod models;
