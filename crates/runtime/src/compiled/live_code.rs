//! Compiled code that is alive in this process, by its wasm.
//!
//! Holds it weakly: the last guest of a wasm takes its code along. Invariant: of one wasm there is one compiled code at
//! a time, and whoever asks while it is being made waits for it.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use super::{Digest, Growth};

/// Code is told apart by its wasm and how it was compiled.
pub(crate) type Key = (Digest, Growth);

type Place<T> = Arc<AsyncMutex<Weak<T>>>;

pub(crate) struct LiveCode<T> {
    places: Mutex<Places<T>>,
}

struct Places<T> {
    by_key: HashMap<Key, Place<T>>,
    /// Places that belong to nobody any more are looked for at this size.
    sweep_at: usize,
}

/// What the live has for a wasm.
pub(super) enum Found<T> {
    /// Code that is alive.
    Alive(Arc<T>),
    /// Nothing; it is on the caller to make it.
    Empty(Making<T>),
}

/// The place of a wasm whose code is being made. Dropping it lets the next one try.
pub(super) struct Making<T>(OwnedMutexGuard<Weak<T>>);

const FIRST_SWEEP: usize = 64;

impl<T> LiveCode<T> {
    pub(super) fn new() -> Self {
        Self { places: Mutex::new(Places { by_key: HashMap::new(), sweep_at: FIRST_SWEEP }) }
    }

    /// What is there, once nobody is making it.
    pub(super) async fn get(&self, key: Key) -> Found<T> {
        let place = self.place(key).lock_owned().await;
        match place.upgrade() {
            Some(code) => Found::Alive(code),
            None => Found::Empty(Making(place)),
        }
    }

    fn place(&self, key: Key) -> Place<T> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if places.by_key.len() >= places.sweep_at {
            places.sweep();
        }
        places.by_key.entry(key).or_default().clone()
    }
}

impl<T> Places<T> {
    fn sweep(&mut self) {
        self.by_key.retain(|_, place| {
            // A place that is locked is in use; one with more owners is about to be.
            Arc::strong_count(place) > 1 || place.try_lock().is_ok_and(|code| code.strong_count() > 0)
        });
        self.by_key.shrink_to_fit();
        self.sweep_at = FIRST_SWEEP.max(2 * self.by_key.len());
    }
}

impl<T> Making<T> {
    pub(super) fn done(mut self, code: T) -> Arc<T> {
        let code = Arc::new(code);
        drop(mem::replace(&mut *self.0, Arc::downgrade(&code)));
        code
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn key(number: usize) -> Key {
        (Digest::of(&number.to_le_bytes()), Growth::Roomy)
    }

    async fn make(live: &LiveCode<usize>, number: usize) -> Arc<usize> {
        match live.get(key(number)).await {
            Found::Alive(_) => panic!("{number} is not there yet"),
            Found::Empty(making) => making.done(number),
        }
    }

    #[tokio::test]
    async fn code_is_shared_while_somebody_has_it() {
        let live = LiveCode::new();
        let first = make(&live, 1).await;
        let Found::Alive(second) = live.get(key(1)).await else { panic!("it is alive") };
        assert!(Arc::ptr_eq(&first, &second));
        drop((first, second));
        assert!(matches!(live.get(key(1)).await, Found::Empty(_)), "nobody has it any more");
    }

    #[tokio::test]
    async fn who_asks_while_it_is_being_made_waits_and_whoever_gives_up_lets_the_next_one_try() {
        let live = LiveCode::new();
        let Found::Empty(making) = live.get(key(1)).await else { panic!("it is empty") };
        let mut second = std::pin::pin!(live.get(key(1)));
        assert!(second.as_mut().now_or_never().is_none(), "it waits");
        drop(making);
        let Found::Empty(making) = second.await else { panic!("the first gave up") };
        let code = making.done(7);
        assert!(matches!(live.get(key(1)).await, Found::Alive(alive) if Arc::ptr_eq(&alive, &code)));
    }

    #[tokio::test]
    async fn ten_thousand_that_came_and_went_leave_nothing_behind() {
        let live = LiveCode::new();
        let kept = make(&live, 0).await;
        for number in 1..10_000 {
            drop(make(&live, number).await);
        }
        let places = live.places.lock().expect("no panic").by_key.len();
        assert!(places <= FIRST_SWEEP, "{places}");
        assert!(matches!(live.get(key(0)).await, Found::Alive(code) if Arc::ptr_eq(&code, &kept)));
    }
}
