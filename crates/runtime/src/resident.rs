//! The linked code of a guest: in memory while calls come, let go of after a while without any.
//!
//! What wasmtime keeps of a component is more than all the rest of an idle actor. The file in the code cache that it was
//! loaded from is held open instead, so that the next call finds it, whatever becomes of the cache. Knows nothing of
//! calls. Invariants: a guest that runs has its code; no code is let go of that could not be loaded again.

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::sync::Mutex as AsyncMutex;

use crate::{
    LoadError,
    call::Actor,
    compiled::{CodeKey, Unloaded},
    guest::{Body, GuestKind},
    machine,
    runtime::{GuestCode, Shared},
};

/// The code of one guest.
pub(crate) struct Resident {
    runtime: Arc<Shared>,
    actor: Arc<Actor>,
    kind: GuestKind,
    key: CodeKey,
    place: RwLock<Place>,
    /// Whether somebody wanted it since the last look.
    wanted: AtomicBool,
    /// Held by whoever loads it again.
    loading: AsyncMutex<()>,
}

enum Place {
    Memory(Body),
    File(Arc<Unloaded>),
}

impl Resident {
    /// Code that was linked just now. It is looked after from here on.
    pub(crate) fn new(runtime: Arc<Shared>, actor: Arc<Actor>, body: Body, key: CodeKey) -> Arc<Self> {
        let (kind, place) = (body.kind(), RwLock::new(Place::Memory(body)));
        let (wanted, loading) = (AtomicBool::new(true), AsyncMutex::default());
        let resident = Arc::new(Self { runtime, actor, kind, key, place, wanted, loading });
        resident.runtime.residents.look_after(&resident);
        resident
    }

    /// The code, if it is in memory.
    pub(crate) fn here(&self) -> Option<Body> {
        match &*self.place.read().unwrap_or_else(PoisonError::into_inner) {
            Place::Memory(body) => Some(body.clone()),
            Place::File(_) => None,
        }
    }

    /// The code for a call, if it is in memory.
    pub(crate) fn wanted(&self) -> Option<Body> {
        // Written only where that makes a difference: every thread that calls reads it.
        if !self.wanted.load(SeqCst) {
            self.wanted.store(true, SeqCst);
        }
        self.here()
    }

    /// The code for a call, which is loaded again if need be. Dropping the future leaves that to the next call.
    ///
    /// # Errors
    /// [`LoadError`] when the system does not let it be loaded; the next call tries again.
    pub(crate) async fn reload(self: &Arc<Self>) -> Result<Body, LoadError> {
        let _loading = self.loading.lock().await;
        let unloaded = match &*self.place.read().unwrap_or_else(PoisonError::into_inner) {
            Place::Memory(body) => return Ok(body.clone()),
            Place::File(unloaded) => unloaded.clone(),
        };
        let compiler = &self.runtime.compiler;
        let code = match self.kind {
            GuestKind::Module => GuestCode::Module(compiler.reload(unloaded).await?),
            GuestKind::Component => GuestCode::Component(compiler.reload(unloaded).await?),
        };
        let body = self.runtime.link(code, &self.actor).await?;
        tracing::debug!(actor = self.actor.id(), "code was loaded again for a call");
        *self.place.write().unwrap_or_else(PoisonError::into_inner) = Place::Memory(body.clone());
        self.runtime.residents.look_after(self);
        Ok(body)
    }

    /// Lets go of the code if nobody has wanted it since the last look.
    fn look(&self) -> Seen {
        if self.wanted.swap(false, SeqCst) || self.is_in_use() {
            return Seen::InUse;
        }
        let compiler = &self.runtime.compiler;
        let unloaded = match self.kind {
            GuestKind::Module => compiler.unload::<wasmtime::Module>(self.key),
            GuestKind::Component => compiler.unload::<wasmtime::component::Component>(self.key),
        };
        let Some(unloaded) = unloaded else {
            tracing::debug!(actor = self.actor.id(), "idle code stays in memory: the code cache does not have it");
            return Seen::Bound;
        };
        let mut place = self.place.write().unwrap_or_else(PoisonError::into_inner);
        // Somebody may have come meanwhile; now nobody can.
        if self.wanted.load(SeqCst) || place.is_in_use() {
            return Seen::InUse;
        }
        let idle = mem::replace(&mut *place, Place::File(Arc::new(unloaded)));
        drop(place);
        drop(idle);
        tracing::debug!(actor = self.actor.id(), "idle code was let go of");
        Seen::Unloaded
    }

    fn is_in_use(&self) -> bool {
        self.place.read().unwrap_or_else(PoisonError::into_inner).is_in_use()
    }
}

impl Place {
    /// Whether it is in memory, and not only here.
    fn is_in_use(&self) -> bool {
        matches!(self, Self::Memory(body) if body.owners() > 1)
    }
}

/// What a look at a guest came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// Its code is needed, or was lately. It is to be looked at again.
    InUse,
    /// Its code was let go of.
    Unloaded,
    /// Its code stays in memory for good.
    Bound,
}

/// All guests of a runtime with code in memory that may be let go of.
pub(crate) struct Residents {
    /// How often somebody looks: what nobody wanted between two looks goes. None where code stays.
    every: Option<Duration>,
    list: Mutex<List>,
}

struct List {
    guests: Vec<Weak<Resident>>,
    /// Guests whose code was let go of since memory was given back to the system.
    unloaded: usize,
    /// Those that are gone are looked for at this length.
    sweep_at: usize,
    /// Whether somebody looks.
    watched: bool,
}

const FIRST_SWEEP: usize = 64;
/// Memory is given back to the system when so many guests were unloaded: for fewer it is not worth the time.
const WORTH_RETURNING: usize = 16;

impl Residents {
    pub(crate) fn new(every: Option<Duration>) -> Arc<Self> {
        let list = List { guests: Vec::new(), unloaded: 0, sweep_at: FIRST_SWEEP, watched: false };
        Arc::new(Self { every, list: Mutex::new(list) })
    }

    fn look_after(self: &Arc<Self>, resident: &Arc<Resident>) {
        let Some(every) = self.every else { return };
        let mut list = self.list();
        list.add(Arc::downgrade(resident));
        if !mem::replace(&mut list.watched, true) {
            tokio::spawn(watch(Watch(Arc::downgrade(self)), every));
        }
    }

    /// Looks at every guest. Whether any are left to be looked at again.
    fn look(&self) -> bool {
        let guests = mem::take(&mut self.list().guests);
        let (mut staying, mut unloaded) = (Vec::new(), 0);
        for guest in guests {
            match guest.upgrade().map(|guest| guest.look()) {
                Some(Seen::InUse) => staying.push(guest),
                Some(Seen::Unloaded) => unloaded += 1,
                Some(Seen::Bound) | None => {}
            }
        }
        if self.is_worth_returning(unloaded) {
            machine::return_freed_memory();
        }
        let mut list = self.list();
        list.guests.append(&mut staying);
        list.guests.shrink_to_fit();
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

impl List {
    fn add(&mut self, guest: Weak<Resident>) {
        if self.guests.len() >= self.sweep_at {
            self.guests.retain(|guest| guest.strong_count() > 0);
            self.sweep_at = FIRST_SWEEP.max(2 * self.guests.len());
        }
        self.guests.push(guest);
    }
}

/// Whoever looks. The list must not believe that somebody does when the executor is gone.
struct Watch(Weak<Residents>);

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(residents) = self.0.upgrade() {
            residents.list().watched = false;
        }
    }
}

async fn watch(mut watch: Watch, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let Some(residents) = watch.0.upgrade() else { return };
        // Reads files, and unmaps what it lets go of.
        match tokio::task::spawn_blocking(move || residents.look()).await {
            Ok(true) => {}
            // Whoever is added next sees to it that somebody looks.
            Ok(false) => return watch.0 = Weak::new(),
            Err(error) => tracing::error!(%error, "looking for idle code failed"),
        }
    }
}
