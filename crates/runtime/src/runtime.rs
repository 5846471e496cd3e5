//! The runtime: an engine with the host functions for both kinds of guests, a second one for components of WASI 0.3
//! where they run, and loading.
//!
//! Invariants: an async thread neither compiles nor links; what does not need the second engine never touches it.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use claims::ActorId;
use contracts::Budget;
use tokio::sync::{Notify, OnceCell};
use wasmtime::{Engine, Module, component::Component};

use crate::{
    CodeOrigin, Guest, GuestLimits, LoadError, LocalGrants, Reservation, RuntimeConfig, RuntimeError,
    background::Background,
    breaches::Breaches,
    call::Actor,
    compiled::{CodeCache, CodeKey, Compiler, Growth, Made, Means, precompiled},
    component::{self, ComponentGuest, ComponentState},
    engine::{self, CodeSettings, Wasi},
    fairness::Fairness,
    guest::Body,
    idle::AllIdle,
    load,
    machine::Machine,
    memory::GuestMemory,
    module::{self, ModuleGuest, ModuleState},
    newer_wasi, proposals,
    resident::Residents,
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
    /// For components of WASI 0.3, if they run here.
    newer: Option<Arc<Newer>>,
}

/// The engine that is made when the first component needs it.
struct Newer {
    config: RuntimeConfig,
    made: OnceCell<Arc<Shared>>,
}

/// One engine, with all that belongs to it.
pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) wasi: Wasi,
    reservation: Reservation,
    pub(crate) memory_bytes: u64,
    pub(crate) table_elements: u64,
    modules: wasmtime::Linker<ModuleState>,
    components: wasmtime::component::Linker<ComponentState>,
    pub(crate) compiler: Compiler,
    pub(crate) idle: Arc<AllIdle>,
    pub(crate) residents: Arc<Residents>,
    pub(crate) ticker: Ticker,
    pub(crate) background: Background,
    pub(crate) fairness: Arc<Fairness>,
    memory: Arc<GuestMemory>,
    limit_broken: Arc<Notify>,
}

/// Code that is not linked yet.
pub(crate) enum GuestCode {
    Module(Arc<Module>),
    Component(Arc<Component>),
}

/// The same for bodies of calls under way: a few of the largest that are allowed.
const LEAST_BODY_MEMORY: u64 = 64 << 20;
/// However little memory there is, so much is for guests: one of any size that is usual.
const LEAST_GUEST_MEMORY: u64 = 128 << 20;

/// Where instances of a guest may be.
pub(crate) struct Places {
    pub(crate) max_instances: u32,
    pub(crate) idle: Arc<AllIdle>,
    pub(crate) wasi: Wasi,
}

impl Shared {
    fn first(config: &RuntimeConfig) -> Result<Self, RuntimeError> {
        let code_cache = config.code_cache.as_ref().and_then(CodeCache::open_or_warn).map(Arc::new);
        let background = Background::new(config.background_threads, config.foreground);
        let means = Means::new(config.compile_threads, config.compile_priority, &config.compile_bound, code_cache);
        let compiler = |engine: &Engine, code: CodeSettings| Compiler::new(engine, code, means);
        let half = Machine::here().memory / 2;
        let memory = GuestMemory::new(config.guest_memory_bytes.unwrap_or(half).max(LEAST_GUEST_MEMORY));
        Self::new(config, Wasi::P2, component::linker, compiler, background, (memory, Arc::default()))
    }

    /// A second engine, which shares the threads, the code cache and the memory of the first.
    fn second(config: &RuntimeConfig, first: &Self) -> Result<Self, RuntimeError> {
        let compiler = |engine: &Engine, code: CodeSettings| first.compiler.for_engine(engine, code);
        let (background, shared) = (first.background.clone(), (first.memory.clone(), first.limit_broken.clone()));
        Self::new(config, Wasi::P3, component::p3::linker, compiler, background, shared)
    }

    fn new(
        config: &RuntimeConfig,
        wasi: Wasi,
        components: impl FnOnce(&Engine) -> Result<wasmtime::component::Linker<ComponentState>, RuntimeError>,
        compiler: impl FnOnce(&Engine, CodeSettings) -> Compiler,
        background: Background,
        (memory, limit_broken): (Arc<GuestMemory>, Arc<Notify>),
    ) -> Result<Self, RuntimeError> {
        let (engine, reservation) = engine::build(config, wasi)?;
        Ok(Self {
            wasi,
            reservation,
            memory_bytes: config.memory_bytes,
            table_elements: u64::from(config.table_elements),
            modules: module::linker(&engine)?,
            components: components(&engine)?,
            compiler: compiler(&engine, CodeSettings::new(config, wasi, reservation)),
            idle: Arc::default(),
            residents: Residents::new(config.unload_code_after),
            ticker: Ticker::start(&engine, config.epoch_tick)?,
            background,
            fairness: Fairness::new(reservation.max_instances),
            memory,
            limit_broken,
            engine,
        })
    }

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
        let shared = Arc::new(Shared::first(config)?);
        let eighth = Machine::here().memory / 8;
        Budget::bodies().set_limit(config.body_memory_bytes.unwrap_or(eighth).max(LEAST_BODY_MEMORY));
        let newer = || Arc::new(Newer { config: config.clone(), made: OnceCell::new() });
        Ok(Self { shared, newer: config.wasi_p3.then(newer) })
    }

    /// The engine this wasm runs on.
    pub(crate) async fn engine_of(&self, wasm: &Bytes) -> Result<Arc<Shared>, LoadError> {
        let Some(newer) = &self.newer else { return Ok(self.shared.clone()) };
        let (newer, first, wasm) = (newer.clone(), self.shared.clone(), wasm.clone());
        let is_newer = tokio::task::spawn_blocking(move || newer_wasi::is_in(&wasm)).await;
        if !is_newer.map_err(|error| LoadError::HostFault { reason: error.to_string() })? {
            return Ok(first);
        }
        let config = newer.config.clone();
        let make = || async move {
            let made = tokio::task::spawn_blocking(move || Shared::second(&config, &first)).await;
            let made = made.map_err(|error| error.to_string()).and_then(|made| made.map_err(|error| error.to_string()));
            made.map(Arc::new).map_err(|reason| LoadError::HostFault { reason })
        };
        newer.made.get_or_try_init(make).await.cloned()
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
        let newer = self.newer.as_ref().and_then(|newer| newer.made.get());
        self.shared.ticker.running() + newer.map_or(0, |newer| newer.ticker.running())
    }

    /// Resolves when some actor has broken a limit since this resolved for the last time. For one who waits.
    pub async fn limit_broken(&self) {
        self.shared.limit_broken.notified().await;
    }

    /// Bytes of memory that all guests have now, and how many they may have.
    #[must_use]
    pub fn guest_memory(&self) -> (u64, u64) {
        let memory = &self.shared.memory;
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
        let Made { code, origin, .. } = self.shared.compiler.code(wasm, Growth::Roomy).await?;
        Ok((code, origin))
    }

    /// The code of a component, for a linker of one's own; compiled unless it is at hand.
    ///
    /// # Errors
    /// [`LoadError::Invalid`] for what is no component.
    pub async fn compile_component(&self, wasm: &Bytes) -> Result<(Arc<Component>, CodeOrigin), LoadError> {
        let Made { code, origin, .. } = self.shared.compiler.code(wasm, Growth::Roomy).await?;
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
        let shared = self.engine_of(&wasm).await?;
        let loaded = shared.load(artifact, identity, limits, local).await;
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
            let error = if has_newer { error } else { newer_wasi::explained(error, &wasm) };
            proposals::explained(error, &wasm)
        };
        tokio::task::spawn_blocking(explain).await.unwrap_or(unexplained)
    }
}

impl Shared {
    async fn load(
        self: Arc<Self>,
        artifact: Bytes,
        identity: Identity,
        mut limits: GuestLimits,
        local: LocalGrants,
    ) -> Result<Guest, LoadError> {
        limits.memory_bytes = limits.memory_bytes.min(self.memory_bytes);
        limits.table_elements = limits.table_elements.min(self.table_elements);
        let breaches = Breaches::new(self.limit_broken.clone());
        let actor = Arc::new(Actor { local, ..Actor::new(identity, limits, self.memory.share(), breaches) });
        let (code, key, origin) = if wasmparser::Parser::is_component(&precompiled::original_wasm(&artifact)?) {
            self.component(&artifact, &actor.limits).await?
        } else {
            self.module(&artifact, &actor.limits).await?
        };
        let body = self.link(code, &actor).await?;
        Ok(Guest::new(self, actor, body, key, origin))
    }

    async fn component(
        &self,
        artifact: &Bytes,
        limits: &GuestLimits,
    ) -> Result<(GuestCode, CodeKey, CodeOrigin), LoadError> {
        let mut made: Made<Component> = self.compiler.code(artifact, Growth::Roomy).await?;
        if made.code.resources_required().is_some_and(|needed| load::is_tight(&needed, limits)) {
            made = self.compiler.code(artifact, Growth::Exact).await?;
        }
        Ok((GuestCode::Component(made.code), made.key, made.origin))
    }

    async fn module(
        &self,
        artifact: &Bytes,
        limits: &GuestLimits,
    ) -> Result<(GuestCode, CodeKey, CodeOrigin), LoadError> {
        let mut made: Made<Module> = self.compiler.code(artifact, Growth::Roomy).await?;
        if load::is_tight(&made.code.resources_required(), limits) {
            made = self.compiler.code(artifact, Growth::Exact).await?;
        }
        Ok((GuestCode::Module(made.code), made.key, made.origin))
    }

    /// Links the code of an actor with the host functions.
    pub(crate) async fn link(self: &Arc<Self>, code: GuestCode, actor: &Arc<Actor>) -> Result<Body, LoadError> {
        let (shared, actor) = (self.clone(), actor.clone());
        let link = move || {
            let (max_instances, idle) = (shared.max_instances(), shared.idle.clone());
            let places = Places { max_instances, idle, wasi: shared.wasi };
            Ok(match code {
                GuestCode::Module(module) => {
                    Body::Module(ModuleGuest::load(&shared.modules, module, &actor, &places)?.into())
                }
                GuestCode::Component(component) => {
                    Body::Component(ComponentGuest::load(&shared.components, component, &actor, &places)?.into())
                }
            })
        };
        let linked = tokio::task::spawn_blocking(link).await;
        linked.map_err(|error| LoadError::HostFault { reason: error.to_string() })?
    }
}
