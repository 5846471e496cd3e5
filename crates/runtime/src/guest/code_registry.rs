//! All guests of an engine whose code may be let go of, and who looks at them.
//!
//! Knows no code. Invariant: as long as there is a guest to be looked at, somebody looks.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use super::kept::Seen;
use crate::{engine::machine, sync::weak_list::WeakList};

/// What may be let go of.
pub(super) trait Unload: Send + Sync {
    /// Lets go of it, if it was not needed since this was asked the last time.
    fn look(&self) -> Seen;
}

/// All guests of a runtime with code in memory that may be let go of.
pub(crate) struct CodeRegistry {
    /// How often somebody looks: what nobody wanted between two looks goes. None where code stays.
    every: Option<Duration>,
    list: Mutex<List>,
}

struct List {
    guests: WeakList<dyn Unload>,
    /// Guests whose code was let go of since memory was given back to the system.
    unloaded: usize,
    /// Whether somebody looks.
    watched: bool,
}

/// Memory is given back to the system when so many guests were unloaded: for fewer it is not worth the time.
const WORTH_RETURNING: usize = 16;

impl CodeRegistry {
    pub(crate) fn new(every: Option<Duration>) -> Arc<Self> {
        let list = List { guests: WeakList::default(), unloaded: 0, watched: false };
        Arc::new(Self { every, list: Mutex::new(list) })
    }

    pub(super) fn look_after(self: &Arc<Self>, guest: Weak<dyn Unload>) {
        let Some(every) = self.every else { return };
        let mut list = self.list();
        list.guests.add(guest);
        if !mem::replace(&mut list.watched, true) {
            tokio::spawn(watch(Watch(Arc::downgrade(self)), every));
        }
    }

    /// Looks at every guest. Whether any are left to be looked at again.
    fn look(&self) -> bool {
        let guests = self.list().guests.take();
        let (mut staying, mut unloaded) = (Vec::new(), 0);
        for guest in guests {
            match guest.upgrade().map(|guest| guest.look()) {
                Some(Seen::InUse) => staying.push(guest),
                Some(Seen::LetGo) => unloaded += 1,
                Some(Seen::Bound) | None => {}
            }
        }
        if self.is_worth_returning(unloaded) {
            machine::return_freed_memory();
        }
        let mut list = self.list();
        list.guests.put_back(staying);
        list.watched = !list.guests.is_empty();
        list.watched
    }

    fn is_worth_returning(&self, unloaded: usize) -> bool {
        let mut list = self.list();
        list.unloaded += unloaded;
        let is_worth_it = list.unloaded >= WORTH_RETURNING;
        if is_worth_it {
            list.unloaded = 0;
        }
        is_worth_it
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever looks. The list must not believe that somebody does when the executor is gone.
struct Watch(Weak<CodeRegistry>);

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(registry) = self.0.upgrade() {
            registry.list().watched = false;
        }
    }
}

async fn watch(mut watch: Watch, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let Some(registry) = watch.0.upgrade() else { return };
        // Reads files, and unmaps what it lets go of.
        match tokio::task::spawn_blocking(move || registry.look()).await {
            Ok(true) => {}
            // Whoever is added next sees to it that somebody looks.
            Ok(false) => return watch.0 = Weak::new(),
            Err(error) => tracing::error!(%error, "looking for idle code failed"),
        }
    }
}
