//! The runtime: one engine, the host functions for both kinds of guests, and loading.
//!
//! Invariant: an async thread neither compiles nor links.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use claims::ActorId;
use wasmtime::{Engine, Module, component::Component};

use crate::{
    CodeOrigin, Guest, GuestLimits, LoadError, Reservation, RuntimeConfig, RuntimeError,
    call::Actor,
    compiled::{CompilePool, Compiler},
    component::{self, ComponentGuest, ComponentState},
    engine,
    guest::Body,
    module::{self, ModuleGuest, ModuleState},
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
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    engine: Engine,
    reservation: Reservation,
    memory_bytes: u64,
    table_elements: u64,
    modules: wasmtime::Linker<ModuleState>,
    components: wasmtime::component::Linker<ComponentState>,
    compiler: Arc<Compiler>,
    pub(crate) ticker: Ticker,
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
        let shared = Shared {
            reservation,
            memory_bytes: config.memory_bytes,
            table_elements: u64::from(config.table_elements),
            modules: module::linker(&engine)?,
            components: component::linker(&engine)?,
            compiler: Compiler::new(&engine, CompilePool::new(config.compile_threads)),
            ticker: Ticker::start(&engine, config.epoch_tick)?,
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

    /// Compiles a module or a component and checks that it can be called. Nothing of the guest runs yet.
    ///
    /// The signature is not looked at; that is the business of whoever has the claims. Dropping the future abandons
    /// the result, the compilation itself runs to its end.
    ///
    /// # Errors
    /// [`LoadError`] with all unknown imports by name, or whatever else is wrong.
    pub async fn load(&self, wasm: Bytes, identity: Identity, mut limits: GuestLimits) -> Result<Guest, LoadError> {
        let shared = self.shared.clone();
        limits.memory_bytes = limits.memory_bytes.min(shared.memory_bytes);
        limits.table_elements = limits.table_elements.min(shared.table_elements);
        let actor = Arc::new(Actor::new(identity, limits));
        if wasmparser::Parser::is_component(&wasm) {
            let (component, _origin) = self.compile_component(&wasm).await?;
            linked(move || {
                let guest = ComponentGuest::load(&shared.components, component, &actor, shared.max_instances())?;
                Ok(Guest::new(shared, actor, Body::Component(Arc::new(guest))))
            })
            .await
        } else {
            let (module, _origin) = self.compile_module(&wasm).await?;
            linked(move || {
                let guest = ModuleGuest::load(&shared.modules, module, &actor, shared.max_instances())?;
                Ok(Guest::new(shared, actor, Body::Module(guest)))
            })
            .await
        }
    }
}

async fn linked(link: impl FnOnce() -> Result<Guest, LoadError> + Send + 'static) -> Result<Guest, LoadError> {
    let linked = tokio::task::spawn_blocking(link).await;
    linked.map_err(|error| LoadError::HostFault { reason: error.to_string() })?
}
