//! The runtime: one engine, the host functions for both kinds of guests, and loading.
//!
//! Invariant: compiling happens on the blocking threads, so it never holds up a running actor.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use claims::ActorId;
use wasmtime::Engine;

use crate::{
    Guest, GuestLimits, LoadError, Reservation, RuntimeConfig, RuntimeError,
    call::Actor,
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
        let compiled = tokio::task::spawn_blocking(move || {
            let actor = Arc::new(Actor { identity, limits });
            let body = shared.compile(&wasm, &actor)?;
            Ok(Guest::new(shared, actor, body))
        });
        compiled.await.map_err(|error| LoadError::HostFault { reason: error.to_string() })?
    }
}

impl Shared {
    fn compile(&self, wasm: &[u8], actor: &Arc<Actor>) -> Result<Body, LoadError> {
        let max_instances = self.max_instances();
        if wasmparser::Parser::is_component(wasm) {
            let component = ComponentGuest::load(&self.components, wasm, actor, max_instances)?;
            Ok(Body::Component(Arc::new(component)))
        } else {
            ModuleGuest::load(&self.modules, wasm, actor, max_instances).map(Body::Module)
        }
    }
}
