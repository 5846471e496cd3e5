//! The linked code of a guest: in memory while calls come, let go of after a while without any.
//!
//! What wasmtime keeps of a component is more than all the rest of an idle actor. The file in the code cache that it was
//! loaded from is held open instead, so that the next call finds it, whatever becomes of the cache. Knows nothing of
//! calls. Invariants: a guest that runs has its code; no code is let go of that could not be loaded again.

use std::sync::{Arc, Weak};

use tokio::sync::Mutex as AsyncMutex;

use super::{
    code_registry::Unload,
    kept::{Kept, Owned, Seen},
    linked::{Body, GuestCode, GuestKind},
    platform::Platform,
};
use crate::{
    actor::Actor,
    compiled::{live_code::Key, unloaded::Unloaded},
    error::LoadError,
};

/// The code of one guest.
pub(crate) struct CodeInMemory {
    platform: Arc<Platform>,
    actor: Arc<Actor>,
    kind: GuestKind,
    key: Key,
    body: Kept<Body, Arc<Unloaded>>,
    /// Held by whoever loads it again.
    loading: AsyncMutex<()>,
}

impl CodeInMemory {
    /// Code that was linked just now. It is looked after from here on.
    pub(super) fn new(platform: Arc<Platform>, actor: Arc<Actor>, body: Body, key: Key) -> Arc<Self> {
        let (kind, body, loading) = (body.kind(), Kept::new(body), AsyncMutex::default());
        let code = Arc::new(Self { platform, actor, kind, key, body, loading });
        code.platform.code.look_after(Arc::downgrade(&code) as Weak<dyn Unload>);
        code
    }

    /// The code, if it is in memory.
    pub(super) fn here(&self) -> Option<Body> {
        self.body.here()
    }

    /// The code for a call, if it is in memory.
    pub(super) fn wanted(&self) -> Option<Body> {
        self.body.wanted()
    }

    /// The code for a call, which is loaded again if need be. Dropping the future leaves that to the next call.
    ///
    /// # Errors
    /// [`LoadError`] when the system does not let it be loaded; the next call tries again.
    pub(super) async fn reload(self: &Arc<Self>) -> Result<Body, LoadError> {
        let _loading = self.loading.lock().await;
        let unloaded = match self.body.get() {
            Ok(body) => return Ok(body),
            Err(unloaded) => unloaded,
        };
        let compiler = &self.platform.compiler;
        let code = match self.kind {
            GuestKind::Module => GuestCode::Module(compiler.reload(unloaded).await?),
            GuestKind::Component => GuestCode::Component(compiler.reload(unloaded).await?),
        };
        let body = self.platform.link(code, &self.actor).await?;
        tracing::debug!(actor = self.actor.id(), "code was loaded again for a call");
        self.body.put_back(body.clone());
        self.platform.code.look_after(Arc::downgrade(self) as Weak<dyn Unload>);
        Ok(body)
    }

    fn unload(&self) -> Option<Arc<Unloaded>> {
        let compiler = &self.platform.compiler;
        let unloaded = match self.kind {
            GuestKind::Module => compiler.unload::<wasmtime::Module>(self.key),
            GuestKind::Component => compiler.unload::<wasmtime::component::Component>(self.key),
        };
        unloaded.map(Arc::new)
    }
}

impl Unload for CodeInMemory {
    fn look(&self) -> Seen {
        let seen = self.body.look(|| self.unload());
        let actor = self.actor.id();
        match seen {
            Seen::InUse => {}
            Seen::LetGo => tracing::debug!(actor, "idle code was let go of"),
            Seen::Bound => tracing::debug!(actor, "idle code stays in memory: the code cache does not have it"),
        }
        seen
    }
}

impl Owned for Body {
    fn owners(&self) -> usize {
        match self {
            Self::Module(module) => Arc::strong_count(module),
            Self::Component(component) => Arc::strong_count(component),
        }
    }
}
