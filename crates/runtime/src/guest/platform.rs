//! One engine with all that belongs to it: what links to it, who runs on it, what its guests have together.
//!
//! Knows no single guest. Invariant: what linking takes is done on a thread that may wait.

use std::sync::Arc;

use tokio::sync::Notify;
use wasmtime::Engine;

use super::{
    code_registry::CodeRegistry,
    linked::{Body, GuestCode},
};
use crate::{
    actor::Actor,
    compiled::{
        cache::CodeCache,
        compiler::{Compiler, Means},
    },
    component::{self, guest::ComponentGuest, state::ComponentState},
    engine::{self, CodeSettings, Reservation, Wasi, config::RuntimeConfig, machine::Machine},
    error::{LoadError, RuntimeError},
    instances::{places::Places, waiting::AllIdle},
    module::{self, ModuleGuest, state::ModuleState},
    schedule::{Schedule, background::Background, fairness::Fairness, guest_memory::GuestMemory, ticker::Ticker},
};

/// However little memory there is, so much is for guests: one of any size that is usual.
const LEAST_GUEST_MEMORY: u64 = 128 << 20;

/// One engine, with all that belongs to it.
pub(crate) struct Platform {
    pub(crate) engine: Engine,
    pub(crate) wasi: Wasi,
    pub(crate) reservation: Reservation,
    pub(crate) memory_bytes: u64,
    pub(crate) table_elements: u64,
    modules: wasmtime::Linker<ModuleState>,
    pub(crate) components: wasmtime::component::Linker<ComponentState>,
    pub(crate) compiler: Compiler,
    pub(crate) idle: Arc<AllIdle>,
    pub(crate) code: Arc<CodeRegistry>,
    pub(crate) schedule: Arc<Schedule>,
    pub(crate) memory: Arc<GuestMemory>,
    /// Told when an actor has broken a limit.
    pub(crate) limit_broken: Arc<Notify>,
}

impl Platform {
    pub(crate) fn first(config: &RuntimeConfig) -> Result<Self, RuntimeError> {
        let code_cache = config.code_cache.as_ref().and_then(CodeCache::open_or_warn).map(Arc::new);
        let background = Background::new(config.background_threads, config.foreground);
        let means = Means::new(config.compile_threads, config.compile_priority, &config.compile_bound, code_cache);
        let compiler = |engine: &Engine, code: CodeSettings| Compiler::new(engine, code, means);
        let half = Machine::here().memory / 2;
        let memory = GuestMemory::new(config.guest_memory_bytes.unwrap_or(half).max(LEAST_GUEST_MEMORY));
        Self::new(config, Wasi::P2, component::linker::linker, compiler, background, (memory, Arc::default()))
    }

    /// A second engine, which shares the threads, the code cache and the memory of the first.
    pub(crate) fn second(config: &RuntimeConfig, first: &Self) -> Result<Self, RuntimeError> {
        let compiler = |engine: &Engine, code: CodeSettings| first.compiler.for_engine(engine, code);
        let (background, shared) =
            (first.schedule.background.clone(), (first.memory.clone(), first.limit_broken.clone()));
        Self::new(config, Wasi::P3, component::linker::newer_linker, compiler, background, shared)
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
            code: CodeRegistry::new(config.unload_code_after),
            schedule: Arc::new(Schedule {
                ticker: Ticker::start(&engine, config.epoch_tick)?,
                background,
                fairness: Fairness::new(reservation.max_instances),
                max_instances: reservation.max_instances,
            }),
            memory,
            limit_broken,
            engine,
        })
    }

    /// Links the code of an actor with the host functions.
    pub(crate) async fn link(self: &Arc<Self>, code: GuestCode, actor: &Arc<Actor>) -> Result<Body, LoadError> {
        let (platform, actor) = (self.clone(), actor.clone());
        let link = move || {
            let (max_instances, idle) = (platform.schedule.max_instances, platform.idle.clone());
            let places = Places { max_instances, idle, wasi: platform.wasi };
            Ok(match code {
                GuestCode::Module(module) => {
                    Body::Module(ModuleGuest::load(&platform.modules, module, &actor, &places)?.into())
                }
                GuestCode::Component(component) => {
                    Body::Component(ComponentGuest::load(&platform.components, component, &actor, &places)?.into())
                }
            })
        };
        let linked = tokio::task::spawn_blocking(link).await;
        linked.map_err(|error| LoadError::HostFault { reason: error.to_string() })?
    }
}
