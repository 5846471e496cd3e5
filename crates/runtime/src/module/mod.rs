//! Core modules: loading them and running calls (protocol section 5).
//!
//! Knows nothing of admission and deadlines. Invariants: an instance serves one call unless the actor chose reuse, and
//! none after one that did not end well; the outcome of a call is decided in one place, [`ModuleGuest::outcome`].

mod abi;
mod builtin;
pub(crate) mod state;
pub(crate) mod wasi;

use std::sync::Arc;

use bytes::Bytes;
use contracts::CallError;
use futures_util::FutureExt;
use wasmtime::{
    Engine, ExternType, Instance, InstancePre, Linker, Module, ModuleExport, Store, TypedFunc, WasmParams, WasmResults,
};
use wasmtime_wasi::I32Exit;

use self::state::{ModuleState, Streams};
use crate::{
    actor::Actor,
    call::{HasCall, outbound::CallContext, stdio::Output, store::store},
    error::{
        LoadError, RuntimeError,
        ended::{Breach, Failed, Failure, failure},
    },
    instances::{
        places::Places,
        prepared::Prepared,
        waiting::{Idle, Warm},
    },
    load,
};

/// The host functions modules may import; one per engine.
pub(crate) fn linker(engine: &Engine) -> Result<Linker<ModuleState>, RuntimeError> {
    let mut linker = Linker::new(engine);
    let linked = abi::add_to_linker(&mut linker).and_then(|()| wasi::add_to_linker(&mut linker));
    linked.map_err(|error| RuntimeError::Link { reason: format!("{error:#}") })?;
    Ok(linker)
}

/// A loaded module.
pub(crate) struct ModuleGuest {
    engine: Engine,
    /// Whoever loads the same wasm finds it while this is alive.
    _code: Arc<Module>,
    pre: InstancePre<ModuleState>,
    memory: Option<ModuleExport>,
    /// `_start`, else `_initialize`.
    start: Option<ModuleExport>,
    guest_call: Option<ModuleExport>,
    max_instances: u32,
    idle: Idle<Started>,
    /// None where instances are reused, and for guests whose start is a function like any other.
    prepared: Option<Prepared<Store<ModuleState>, Started>>,
}

/// An instance whose start function has run.
struct Started {
    store: Store<ModuleState>,
    guest_call: GuestCall,
}

type GuestCall = TypedFunc<(u32, u32), u32>;

impl ModuleGuest {
    /// Whether it exports `__guest_call`.
    pub(crate) fn takes_calls(&self) -> bool {
        self.guest_call.is_some()
    }

    /// Checks and links.
    pub(crate) fn load(
        linker: &Linker<ModuleState>,
        module: Arc<Module>,
        actor: &Arc<Actor>,
        places: &Places,
    ) -> Result<Self, LoadError> {
        let engine = linker.engine();
        load::check_resources(&module.resources_required(), &actor.limits)?;
        check_imports(linker, &module, actor)?;
        let guest_call = export(&module, "__guest_call", "a function (i32, i32) -> i32", is_guest_call)?;
        let start = match export(&module, "_start", "a function without parameters and results", is_command)? {
            Some(start) => Some(start),
            // How reactors (for example of Go) spell it. Without `__guest_call` it would be nothing to call.
            None if guest_call.is_some() => {
                export(&module, "_initialize", "a function without parameters and results", is_command)?
            }
            None => None,
        };
        if start.is_none() && guest_call.is_none() {
            return Err(LoadError::EntryPoint {
                reason: "the module exports neither `__guest_call` nor `_start`".into(),
            });
        }
        let memory = export(&module, "memory", "a memory", |ty| matches!(ty, ExternType::Memory(_)))?;
        if memory.is_none() && module.imports().any(|import| import.module() == abi::MODULE) {
            return Err(LoadError::EntryPoint {
                reason: "the module imports `wasmbus` but exports no `memory`".into(),
            });
        }
        let pre = linker
            .instantiate_pre(&module)
            .map_err(|error| LoadError::ImportMismatch { reason: format!("{error:#}") })?;
        let (max_instances, idle) = (places.max_instances, Idle::new(&actor.limits, &places.idle));
        let prepares = start.is_none() && actor.limits.idle_instances > 0 && !idle.keeps_any();
        let prepared = prepares.then(|| Prepared::new(&places.idle));
        Ok(Self {
            engine: engine.clone(),
            _code: module,
            pre,
            memory,
            start,
            guest_call,
            max_instances,
            idle,
            prepared,
        })
    }

    /// Runs one call, in a fresh instance unless one waits. With the outcome comes an instance that has served its call,
    /// for [`ModuleGuest::leave`] or to be dropped.
    pub(crate) async fn call(
        &self,
        actor: &Arc<Actor>,
        operation: &str,
        payload: Bytes,
        context: CallContext,
    ) -> (Result<Bytes, Failure>, Option<Store<ModuleState>>) {
        let prepared = || Some(Warm { instance: self.prepared.as_ref()?.take()?, served: 0 });
        let (mut store, guest_call, served) = match self.idle.take().or_else(prepared) {
            Some(Warm { instance: Started { mut store, guest_call }, served }) => {
                store.data_mut().renew(context);
                store.set_epoch_deadline(1);
                (store, Some(guest_call), served)
            }
            None => (self.store(actor, operation, &payload, context), None, 0),
        };
        match self.run(&mut store, guest_call, operation, payload).await {
            Ok(ended) => {
                let outcome = Self::outcome(store.data_mut(), &ended).map_err(Failure::from);
                if self.idle.keeps_any()
                    && let (Ok(_), Ended::Returned(_, Some(guest_call))) = (&outcome, ended)
                {
                    store.data_mut().clear();
                    self.idle.park(Warm { instance: Started { store, guest_call }, served: served + 1 });
                    return (outcome, None);
                }
                (outcome, Some(store))
            }
            Err(error) => {
                let breach = store.data_mut().call().limiter.breach();
                let max_instances = self.max_instances;
                (Err(failure(&error, Failed { actor: actor.id(), operation, breach, max_instances })), None)
            }
        }
    }

    /// Leaves an instance after its call, to be ended later. Whether [`ModuleGuest::tend`] has to run.
    pub(crate) fn leave(&self, spent: Store<ModuleState>) -> bool {
        self.prepared.as_ref().is_some_and(|prepared| prepared.leave(spent))
    }

    /// Ends what was left, and has an instance ready for the next call.
    pub(crate) fn tend(&self, actor: &Arc<Actor>) {
        if let Some(prepared) = &self.prepared {
            prepared.tend(|| self.beforehand(actor));
        }
    }

    /// An instance for no call. None for a guest that fails without one, computes for long, or asks something before it has
    /// one.
    fn beforehand(&self, actor: &Arc<Actor>) -> Option<Started> {
        let mut store = self.store(actor, "", &Bytes::new(), CallContext::of_nobody());
        // The next tick may come at once, and says nothing about how long the guest computes.
        store.set_epoch_deadline(2);
        let Ok(Begun::Ready(guest_call)) = self.start(&mut store).now_or_never()? else { return None };
        (!store.data_mut().call().has_called_out()).then_some(Started { store, guest_call })
    }

    fn store(&self, actor: &Arc<Actor>, operation: &str, payload: &Bytes, context: CallContext) -> Store<ModuleState> {
        let streams = self.guest_call.is_none().then(|| Streams {
            operation: operation.into(),
            input: payload.clone(),
            output: Output::collect(actor.limits.response_bytes),
        });
        let mut state = ModuleState::new(actor, context);
        state.streams = streams;
        store(&self.engine, state)
    }

    /// `guest_call` is that of an instance which has been started.
    async fn run(
        &self,
        store: &mut Store<ModuleState>,
        guest_call: Option<GuestCall>,
        operation: &str,
        payload: Bytes,
    ) -> wasmtime::Result<Ended> {
        let guest_call = match guest_call {
            Some(guest_call) => guest_call,
            None => match self.start(store).await? {
                Begun::Ready(guest_call) => guest_call,
                Begun::Over(ended) => return Ok(ended),
            },
        };
        let lengths = (u32::try_from(operation.len())?, u32::try_from(payload.len())?);
        store.data_mut().request = Some((operation.into(), payload));
        match guest_call.call_async(&mut *store, lengths).await.map_err(exit_code) {
            Ok(code) => Ok(Ended::Returned(code, Some(guest_call))),
            Err(exit) => exit.map(Ended::Exited),
        }
    }

    async fn start(&self, store: &mut Store<ModuleState>) -> wasmtime::Result<Begun> {
        let instance = self.pre.instantiate_async(&mut *store).await?;
        if let Some(memory) = &self.memory {
            let memory = instance.get_module_export(&mut *store, memory).and_then(wasmtime::Extern::into_memory);
            store.data_mut().memory = memory;
        }
        if let Some(start) = &self.start {
            let start: TypedFunc<(), ()> = function(&instance, store, start)?;
            match start.call_async(&mut *store, ()).await.map_err(exit_code) {
                // `proc_exit(0)` is how some runtimes return from their main function.
                Ok(()) | Err(Ok(0)) => {}
                Err(Ok(code)) => return Ok(Begun::Over(Ended::Exited(code))),
                Err(Err(error)) => return Err(error),
            }
        }
        let Some(guest_call) = &self.guest_call else { return Ok(Begun::Over(Ended::Returned(SUCCESS, None))) };
        Ok(Begun::Ready(function(&instance, store, guest_call)?))
    }

    /// Protocol section 5.2, item 5: what a call that did not trap has come to.
    fn outcome(state: &mut ModuleState, ended: &Ended) -> Result<Bytes, CallError> {
        if let Some(message) = state.error.take() {
            return Err(CallError::Reported { message });
        }
        if let Some(message) = state.host_error.take() {
            return Err(CallError::Reported { message });
        }
        let code = match ended {
            Ended::Returned(SUCCESS, _) => None,
            Ended::Returned(code, _) => Some(code.cast_signed()),
            Ended::Exited(code) => Some(*code),
        };
        if let Some(code) = code {
            return Err(CallError::Reported { message: format!("operation failed with exit code `{code}`") });
        }
        if let Some(streams) = &state.streams {
            return Ok(streams.output.take());
        }
        Ok(state.response.take().unwrap_or_default())
    }
}

/// What `__guest_call` returns when all went well.
const SUCCESS: u32 = 1;

/// How a call that did not trap came to its end.
enum Ended {
    /// `__guest_call` returned this, and could be called again; or `_start` returned where there is nothing else.
    Returned(u32, Option<GuestCall>),
    /// The guest called `proc_exit`.
    Exited(i32),
}

/// What the start of an instance has come to.
enum Begun {
    /// It can be called.
    Ready(GuestCall),
    /// There is nothing more to call, or the guest called `proc_exit`.
    Over(Ended),
}

/// Tells `proc_exit` from all that really failed.
fn exit_code(error: wasmtime::Error) -> wasmtime::Result<i32> {
    match error.downcast_ref::<I32Exit>() {
        Some(I32Exit(code)) => Ok(*code),
        None => Err(error),
    }
}

fn is_guest_call(ty: &ExternType) -> bool {
    let ExternType::Func(ty) = ty else { return false };
    ty.params().len() == 2 && ty.results().len() == 1 && ty.params().chain(ty.results()).all(|ty| ty.is_i32())
}

fn is_command(ty: &ExternType) -> bool {
    matches!(ty, ExternType::Func(ty) if ty.params().len() == 0 && ty.results().len() == 0)
}

fn function<P: WasmParams, R: WasmResults>(
    instance: &Instance,
    store: &mut Store<ModuleState>,
    export: &ModuleExport,
) -> wasmtime::Result<TypedFunc<P, R>> {
    let function = instance.get_module_export(&mut *store, export).and_then(wasmtime::Extern::into_func);
    let function = function.ok_or_else(|| Breach::Abi("an export is not a function".to_owned()))?;
    function.typed(&*store)
}

fn export(
    module: &Module,
    name: &str,
    expected: &str,
    fits: impl Fn(&ExternType) -> bool,
) -> Result<Option<ModuleExport>, LoadError> {
    match module.get_export(name) {
        None => Ok(None),
        Some(ty) if fits(&ty) => Ok(module.get_export_index(name)),
        Some(_) => Err(LoadError::EntryPoint { reason: format!("the export `{name}` is not {expected}") }),
    }
}

/// Names every import nobody provides, so that one attempt tells all.
fn check_imports(linker: &Linker<ModuleState>, module: &Module, actor: &Arc<Actor>) -> Result<(), LoadError> {
    let mut store = Store::new(linker.engine(), ModuleState::new(actor, CallContext::of_nobody()));
    let unknown = |import: &wasmtime::ImportType<'_>| linker.get(&mut store, import.module(), import.name()).is_err();
    let names = module.imports().filter(unknown).map(|import| format!("{}.{}", import.module(), import.name()));
    load::refuse_unknown(names)
}
