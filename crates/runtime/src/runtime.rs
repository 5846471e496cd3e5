//! The runtime: one engine, the host functions for both kinds of guests, and loading.
//!
//! Invariant: an async thread neither compiles nor links.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use claims::ActorId;
use wasmtime::{Engine, Module, component::Component};

use crate::{
    CodeOrigin, Guest, GuestLimits, LoadError, LocalGrants, Reservation, RuntimeConfig, RuntimeError,
    background::Background,
    call::Actor,
    compiled::{CodeCache, CompilePool, Compiler, precompiled},
    component::{self, ComponentGuest, ComponentState},
    engine,
    guest::Body,
    idle::AllIdle,
    module::{self, ModuleGuest, ModuleState},
    newer_wasi,
    ticker::Ticker,
};

/// Who a guest is, as its signed claims say.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Public key of the actor.
    pub id: ActorId,
    /// Its name, for people.
    pub name: String,
    /// The contract ids its claims grant.
    pub grants: BTreeSet<String>,
}

/// The wasm engine with everything guests may import. Cheap to clone; one per process is enough.
#[derive(Clone)]
pub struct Runtime {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) engine: Engine,
    reservation: Reservation,
    pub(crate) memory_bytes: u64,
    pub(crate) table_elements: u64,
    modules: wasmtime::Linker<ModuleState>,
    components: wasmtime::component::Linker<ComponentState>,
    compiler: Compiler,
    pub(crate) idle: Arc<AllIdle>,
    pub(crate) ticker: Ticker,
    pub(crate) background: Background,
}

/// Where instances of a guest may be.
pub(crate) struct Places {
    pub(crate) max_instances: u32,
    pub(crate) idle: Arc<AllIdle>,
}

impl Shared {
    /// Instances that may be alive at once over all actors.
    pub(crate) fn max_instances(&self) -> u32 {
        self.reservation.max_instances
    }
}

impl Runtime {
    /// Makes the engine, reserving what the configuration asks for or, with a line in the log, less.
    ///
    /// # Errors
    /// [`RuntimeError`] when not even allocation on demand works here.
    pub fn new(config: &RuntimeConfig) -> Result<Self, RuntimeError> {
        let (engine, reservation) = engine::build(config)?;
        let code_cache = config.code_cache.as_ref().and_then(CodeCache::open_or_warn).map(Arc::new);
        let shared = Shared {
            reservation,
            memory_bytes: config.memory_bytes,
            table_elements: u64::from(config.table_elements),
            modules: module::linker(&engine)?,
            components: component::linker(&engine)?,
            compiler: Compiler::new(&engine, CompilePool::new(config.compile_threads), code_cache),
            idle: Arc::default(),
            ticker: Ticker::start(&engine, config.epoch_tick)?,
            background: Background::new(config.background_threads),
            engine,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// What was reserved at start, and how instances get their memory.
    #[must_use]
    pub fn reservation(&self) -> Reservation {
        self.shared.reservation
    }

    /// The engine, for benches which compare with it.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.shared.engine
    }

    /// Calls running now, over all actors.
    #[must_use]
    pub fn running(&self) -> u32 {
        self.shared.ticker.running()
    }

    /// The code of a core module, for a linker of one's own; compiled unless it is at hand.
    ///
    /// # Errors
    /// [`LoadError::Invalid`] for what is no module.
    pub async fn compile_module(&self, wasm: &Bytes) -> Result<(Arc<Module>, CodeOrigin), LoadError> {
        self.shared.compiler.module(wasm).await
    }

    /// The code of a component, for a linker of one's own; compiled unless it is at hand.
    ///
    /// # Errors
    /// [`LoadError::Invalid`] for what is no component.
    pub async fn compile_component(&self, wasm: &Bytes) -> Result<(Arc<Component>, CodeOrigin), LoadError> {
        self.shared.compiler.component(wasm).await
    }

    /// Compiles ahead of time: a file with the wasm and its code in it, which [`Runtime::load`] takes like the wasm. The
    /// code counts only on this machine, which knows it again by the key of the code cache.
    ///
    /// # Errors
    /// [`LoadError::NoCodeCache`] without one, [`LoadError::Invalid`] for what is no wasm.
    pub async fn precompile(&self, wasm: Bytes) -> Result<Bytes, LoadError> {
        self.shared.compiler.precompile(&wasm).await
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
        let loaded = self.load_any(artifact, identity, limits, local).await;
        loaded.map_err(|error| newer_wasi::explained(error, &wasm))
    }

    async fn load_any(
        &self,
        artifact: Bytes,
        identity: Identity,
        mut limits: GuestLimits,
        local: LocalGrants,
    ) -> Result<Guest, LoadError> {
        let shared = self.shared.clone();
        limits.memory_bytes = limits.memory_bytes.min(shared.memory_bytes);
        limits.table_elements = limits.table_elements.min(shared.table_elements);
        let actor = Arc::new(Actor { local, ..Actor::new(identity, limits) });
        let places = Places { max_instances: shared.max_instances(), idle: shared.idle.clone() };
        if wasmparser::Parser::is_component(&precompiled::original_wasm(&artifact)?) {
            let (component, origin) = self.compile_component(&artifact).await?;
            linked(move || {
                let guest = ComponentGuest::load(&shared.components, component, &actor, &places)?;
                Ok(Guest::new(shared, actor, Body::Component(Arc::new(guest)), origin))
            })
            .await
        } else {
            let (module, origin) = self.compile_module(&artifact).await?;
            linked(move || {
                let guest = ModuleGuest::load(&shared.modules, module, &actor, &places)?;
                Ok(Guest::new(shared, actor, Body::Module(guest), origin))
            })
            .await
        }
    }
}

async fn linked(link: impl FnOnce() -> Result<Guest, LoadError> + Send + 'static) -> Result<Guest, LoadError> {
    let linked = tokio::task::spawn_blocking(link).await;
    linked.map_err(|error| LoadError::HostFault { reason: error.to_string() })?
}
