//! The runtime: an engine with the host functions for both kinds of guests, a second one for components of WASI 0.3
//! where they run, and loading.
//!
//! Invariants: an async thread neither compiles nor links; what does not need the second engine never touches it.

mod load;

use std::sync::Arc;

use bytes::Bytes;
use contracts::Budget;
use tokio::sync::OnceCell;
use wasmtime::{Engine, Module, component::Component};

use crate::{
    actor::{identity::Identity, local_grants::LocalGrants},
    compiled::{CodeOrigin, Growth, compiler::Made, precompiled},
    engine::{Reservation, config::RuntimeConfig, machine::Machine, proposals, wasi_version},
    error::{LoadError, RuntimeError},
    guest::{Guest, platform::Platform},
    limits::GuestLimits,
};

/// The wasm engine with everything guests may import. Cheap to clone; one per process is enough.
#[derive(Clone)]
pub struct Runtime {
    platform: Arc<Platform>,
    /// For components of WASI 0.3, if they run here.
    newer: Option<Arc<Newer>>,
}

/// The engine that is made when the first component needs it.
struct Newer {
    config: RuntimeConfig,
    made: OnceCell<Arc<Platform>>,
}

/// However little memory there is, so much is for bodies of calls under way: a few of the largest that are allowed.
const LEAST_BODY_MEMORY: u64 = 64 << 20;

impl Runtime {
    /// Makes the engine, reserving what the configuration asks for or, with a line in the log, less.
    ///
    /// # Errors
    /// [`RuntimeError`] when not even allocation on demand works here.
    pub fn new(config: &RuntimeConfig) -> Result<Self, RuntimeError> {
        let platform = Arc::new(Platform::first(config)?);
        let eighth = Machine::here().memory / 8;
        Budget::bodies().set_limit(config.body_memory_bytes.unwrap_or(eighth).max(LEAST_BODY_MEMORY));
        let newer = || Arc::new(Newer { config: config.clone(), made: OnceCell::new() });
        Ok(Self { platform, newer: config.wasi_p3.then(newer) })
    }

    /// The engine this wasm runs on.
    pub(crate) async fn engine_of(&self, wasm: &Bytes) -> Result<Arc<Platform>, LoadError> {
        let Some(newer) = &self.newer else { return Ok(self.platform.clone()) };
        let (newer, first, wasm) = (newer.clone(), self.platform.clone(), wasm.clone());
        let is_newer = tokio::task::spawn_blocking(move || wasi_version::is_in(&wasm)).await;
        if !is_newer.map_err(|error| LoadError::HostFault { reason: error.to_string() })? {
            return Ok(first);
        }
        let config = newer.config.clone();
        let make = || async move {
            let made = tokio::task::spawn_blocking(move || Platform::second(&config, &first)).await;
            let made = made.map_err(|error| error.to_string()).and_then(|made| made.map_err(|error| error.to_string()));
            made.map(Arc::new).map_err(|reason| LoadError::HostFault { reason })
        };
        newer.made.get_or_try_init(make).await.cloned()
    }

    /// What was reserved at start, and how instances get their memory.
    #[must_use]
    pub fn reservation(&self) -> Reservation {
        self.platform.reservation
    }

    /// The engine, for benches which compare with it.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.platform.engine
    }

    /// Calls running now, over all actors.
    #[must_use]
    pub fn running(&self) -> u32 {
        let newer = self.newer.as_ref().and_then(|newer| newer.made.get());
        let running = |platform: &Platform| platform.schedule.ticker.running();
        running(&self.platform) + newer.map_or(0, |newer| running(newer))
    }

    /// Resolves when some actor has broken a limit since this resolved for the last time. For one who waits.
    pub async fn limit_broken(&self) {
        self.platform.limit_broken.notified().await;
    }

    /// Bytes of memory that all guests have now, and how many they may have.
    #[must_use]
    pub fn guest_memory(&self) -> (u64, u64) {
        let memory = &self.platform.memory;
        (memory.used(), memory.limit())
    }

    /// What was reserved for components of WASI 0.3. None before the first of them is loaded.
    #[must_use]
    pub fn newer_reservation(&self) -> Option<Reservation> {
        self.newer.as_ref()?.made.get().map(|newer| newer.reservation)
    }

    /// The code of a core module, for a linker of one's own; compiled unless it is at hand.
    ///
    /// # Errors
    /// [`LoadError::Invalid`] for what is no module.
    pub async fn compile_module(&self, wasm: &Bytes) -> Result<(Arc<Module>, CodeOrigin), LoadError> {
        let Made { code, origin, .. } = self.platform.compiler.code(wasm, Growth::Roomy).await?;
        Ok((code, origin))
    }

    /// The code of a component, for a linker of one's own; compiled unless it is at hand.
    ///
    /// # Errors
    /// [`LoadError::Invalid`] for what is no component.
    pub async fn compile_component(&self, wasm: &Bytes) -> Result<(Arc<Component>, CodeOrigin), LoadError> {
        let Made { code, origin, .. } = self.platform.compiler.code(wasm, Growth::Roomy).await?;
        Ok((code, origin))
    }

    /// Compiles ahead of time: a file with the wasm and its code in it, which [`Runtime::load`] takes like the wasm. The
    /// code counts only on this machine, which knows it again by the key of the code cache.
    ///
    /// # Errors
    /// [`LoadError::NoCodeCache`] without one, [`LoadError::Invalid`] for what is no wasm.
    pub async fn precompile(&self, wasm: Bytes) -> Result<Bytes, LoadError> {
        let original = precompiled::original_wasm(&wasm)?;
        let engine = self.engine_of(&original).await?;
        match engine.compiler.precompile(&wasm).await {
            Ok(made) => Ok(made),
            Err(error) => Err(self.explained(error, original).await),
        }
    }

    /// Makes a guest of a module or a component, precompiled or not, and checks that it can be called. Nothing of the
    /// guest runs yet.
    ///
    /// The signature is not looked at; that is the business of whoever has the claims. Dropping the future abandons
    /// the result, a compilation runs to its end.
    ///
    /// # Errors
    /// [`LoadError`] with all unknown imports by name, or whatever else is wrong.
    pub async fn load(&self, artifact: Bytes, identity: Identity, limits: GuestLimits) -> Result<Guest, LoadError> {
        self.load_local(artifact, identity, limits, LocalGrants::default()).await
    }

    /// Like [`Runtime::load`], for a component that whoever runs it by hand lets have something of this machine.
    ///
    /// # Errors
    /// As for [`Runtime::load`], and [`LoadError::Grant`] for what cannot be given.
    pub async fn load_local(
        &self,
        artifact: Bytes,
        identity: Identity,
        limits: GuestLimits,
        local: LocalGrants,
    ) -> Result<Guest, LoadError> {
        local.check()?;
        let wasm = precompiled::original_wasm(&artifact)?;
        let platform = self.engine_of(&wasm).await?;
        let loaded = load::guest(platform, artifact, identity, limits, local).await;
        match loaded {
            Ok(guest) => Ok(guest),
            Err(error) => Err(self.explained(error, wasm).await),
        }
    }

    /// An error of a load, or the better one for what does not run here.
    pub(crate) async fn explained(&self, error: LoadError, wasm: Bytes) -> LoadError {
        let has_newer = self.newer.is_some();
        let unexplained = error.clone();
        let explain = move || {
            let error = if has_newer { error } else { wasi_version::explained(error, &wasm) };
            proposals::explained(error, &wasm)
        };
        tokio::task::spawn_blocking(explain).await.unwrap_or(unexplained)
    }
}
