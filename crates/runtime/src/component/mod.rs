//! Components: loading them and running calls (protocol section 6).
//!
//! Entry points in order: `wasi:http/handler` and `wasi:http/incoming-handler` for HTTP, `wasmcloud:bus/guest`,
//! `wasi:cli/run`. Knows nothing of admission. Invariant: an instance serves one call unless the actor chose reuse, and none after one that did not end
//! well.

mod blobstore;
mod body;
mod bus;
pub(crate) mod clock;
mod config;
pub(crate) mod http;
pub(crate) mod imports;
mod keyvalue;
mod logging;
mod messaging;
mod outgoing;
pub(crate) mod p3;
mod reuse;
mod running;
mod targets;
mod wasi;

use std::{any::Any, mem, sync::Arc};

use bytes::Bytes;
use contracts::{CallError, messaging::HANDLE_MESSAGE};
use wasmtime::{
    Engine,
    component::{Component, ComponentExportIndex, Instance, InstancePre, Linker, ResourceTable},
};
use wasmtime_wasi::{I32Exit, WasiCtx};
use wasmtime_wasi_http::{
    WasiHttpCtx,
    p2::{
        bindings::{Proxy, ProxyPre},
        body::{HostOutgoingBody, StreamContext},
    },
};

use self::{
    messaging::BrokerMessage,
    reuse::{Place, Waiting},
};
use crate::{
    CallContext, LoadError, RuntimeError,
    call::{Actor, CallState, HasCall},
    engine::Wasi,
    error::{Failed, call_error, unreadable},
    idle::Idle,
    load,
    runtime::Places,
};

/// Store data of a component.
pub(crate) struct ComponentState {
    call: CallState,
    table: ResourceTable,
    wasi: Option<Box<WasiCtx>>,
    http: WasiHttpCtx,
    hooks: outgoing::Outgoing,
    streams: Option<wasi::Streams>,
    targets: targets::Targets,
}

impl ComponentState {
    fn new(actor: &Arc<Actor>, context: CallContext) -> Self {
        let mut call = CallState::new(actor.clone(), context);
        let mut table = ResourceTable::new();
        table.set_max_capacity(actor.limits.component_handles as usize);
        let hooks = outgoing::Outgoing::new(&mut call);
        Self { call, table, wasi: None, http: WasiHttpCtx::new(), hooks, streams: None, targets: Default::default() }
    }
}

impl Drop for ComponentState {
    /// A body the guest did not finish, because it failed, was stopped or forgot, must not look like a complete one.
    fn drop(&mut self) {
        for entry in self.table.iter_mut() {
            if let Some(body) = (entry as &mut dyn Any).downcast_mut::<HostOutgoingBody>() {
                let (nothing, _) = HostOutgoingBody::new(StreamContext::Response, None, 1, 1);
                mem::replace(body, nothing).abort();
            }
        }
    }
}

impl HasCall for ComponentState {
    fn call(&mut self) -> &mut CallState {
        &mut self.call
    }
}

/// The host functions components may import; one per engine.
pub(crate) fn linker(engine: &Engine) -> Result<Linker<ComponentState>, RuntimeError> {
    let mut linker = Linker::new(engine);
    let linked = wasi::add_to_linker(&mut linker)
        .and_then(|()| http::add_to_linker(&mut linker))
        .and_then(|()| blobstore::add_to_linker(&mut linker))
        .and_then(|()| logging::add_to_linker(&mut linker))
        .and_then(|()| bus::add_to_linker(&mut linker))
        .and_then(|()| config::add_to_linker(&mut linker))
        .and_then(|()| keyvalue::add_to_linker(&mut linker))
        .and_then(|()| messaging::add_to_linker(&mut linker));
    linked.map_err(|error| RuntimeError::Link { reason: format!("{error:#}") })?;
    Ok(linker)
}

/// A loaded component.
pub(crate) struct ComponentGuest {
    engine: Engine,
    /// Whoever loads the same wasm finds it while this is alive.
    _code: Arc<Component>,
    pre: InstancePre<ComponentState>,
    http: Option<ProxyPre<ComponentState>>,
    /// Answers HTTP requests instead of `http`; only on the engine for WASI 0.3.
    service: Option<p3::Service>,
    message: Option<Entry>,
    /// Takes the messages of subscriptions instead of `message`.
    handler: Option<Entry>,
    wasi: Wasi,
    max_instances: u32,
    idle_http: Waiting<Proxy>,
    idle_messages: Waiting<Instance>,
}

/// How a component takes messages.
enum Entry {
    /// `wasmcloud:bus/guest.call`.
    Guest(ComponentExportIndex),
    /// `wasi:cli/run.run`.
    Run(ComponentExportIndex),
    /// `wasmcloud:messaging/handler.handle-message`.
    Handler(ComponentExportIndex),
}

impl ComponentGuest {
    /// Checks and links.
    pub(crate) fn load(
        linker: &Linker<ComponentState>,
        component: Arc<Component>,
        actor: &Arc<Actor>,
        places: &Places,
    ) -> Result<Self, LoadError> {
        let engine = linker.engine();
        if let Some(needed) = component.resources_required() {
            load::check_resources(&needed, &actor.limits)?;
        }
        imports::check(engine, &component, &actor.identity.grants, places.wasi)?;
        let pre = linker
            .instantiate_pre(&component)
            .map_err(|error| LoadError::ImportMismatch { reason: format!("{error:#}") })?;
        let http = match export(engine, &component, "wasi:http/incoming-handler") {
            Some(_) => Some(ProxyPre::new(pre.clone()).map_err(|error| entry_point(&error))?),
            None => None,
        };
        let service = match places.wasi {
            Wasi::P2 => None,
            Wasi::P3 => p3::Service::of(&pre, &component, actor, places)?,
        };
        let (message, handler) = (Entry::of(engine, &component), Entry::handler(engine, &component));
        if http.is_none() && service.is_none() && message.is_none() && handler.is_none() {
            return Err(LoadError::EntryPoint {
                reason: "the component exports none of `wasi:http/incoming-handler@0.2`, `wasmcloud:bus/guest`, \
                         `wasmcloud:messaging/handler@0.2` and `wasi:cli/run@0.2`, nor, where WASI 0.3 is on, \
                         `wasi:http/handler@0.3` and `wasi:cli/run@0.3`"
                    .to_owned(),
            });
        }
        Ok(Self {
            engine: engine.clone(),
            _code: component,
            pre,
            http,
            service,
            message,
            handler,
            wasi: places.wasi,
            max_instances: places.max_instances,
            idle_http: Idle::new(&actor.limits, &places.idle),
            idle_messages: Idle::new(&actor.limits, &places.idle),
        })
    }

    pub(crate) fn serves_http(&self) -> bool {
        self.http.is_some() || self.service.is_some()
    }

    /// Runs one message: argument on standard input, result on standard output.
    pub(crate) async fn call(
        &self,
        actor: &Arc<Actor>,
        operation: &str,
        payload: Bytes,
        context: CallContext,
    ) -> Result<Bytes, CallError> {
        let handler = self.handler.as_ref().filter(|_| operation == HANDLE_MESSAGE);
        let Some(entry) = handler.or(self.message.as_ref()) else {
            let target = actor.id().to_owned();
            return Err(CallError::Unsupported { target, operation: operation.to_owned() });
        };
        let message = match entry {
            Entry::Handler(_) => Some(BrokerMessage::decode(&payload)?),
            Entry::Guest(_) | Entry::Run(_) => None,
        };
        // A command is over when it has run.
        let none = Idle::none();
        let waiting = if matches!(entry, Entry::Run(_)) { &none } else { &self.idle_messages };
        let mut place = self.place(waiting, context, |context| ComponentState::new(actor, context));
        let output = place.store.data_mut().take_message(operation, payload);
        let ended = match self.run(&mut place, entry, operation, message).await {
            Ok(ended) => ended,
            Err(error) => {
                place.instance = None;
                match error.downcast_ref::<I32Exit>() {
                    Some(I32Exit(0)) => Ok(()),
                    Some(I32Exit(code)) => Err(format!("operation failed with exit code `{code}`")),
                    None => return Err(self.failed(&error, place.store.data_mut().call(), operation)),
                }
            }
        };
        match ended {
            Ok(()) => {
                place.park(waiting);
                Ok(output.take())
            }
            Err(message) => Err(CallError::Reported { message }),
        }
    }

    async fn run(
        &self,
        place: &mut Place<Instance>,
        entry: &Entry,
        operation: &str,
        message: Option<BrokerMessage>,
    ) -> wasmtime::Result<Result<(), String>> {
        let Place { store, instance, .. } = place;
        let instance = match instance {
            Some(instance) => instance,
            None => instance.insert(self.pre.instantiate_async(&mut *store).await?),
        };
        match entry {
            Entry::Guest(index) => {
                let call = instance.get_typed_func::<(&str,), (Result<(), String>,)>(&mut *store, index)?;
                Ok(call.call_async(&mut *store, (operation,)).await.map_err(unreadable)?.0)
            }
            Entry::Run(index) => {
                let run = instance.get_typed_func::<(), (Result<(), ()>,)>(&mut *store, index)?;
                let ended = run.call_async(&mut *store, ()).await.map_err(unreadable)?.0;
                Ok(ended.map_err(|()| "operation failed".to_owned()))
            }
            Entry::Handler(index) => {
                let message = message.expect("decoded for this entry");
                messaging::handle(instance, store, index, message).await
            }
        }
    }

    fn failed(&self, error: &wasmtime::Error, call: &CallState, operation: &str) -> CallError {
        let actor = call.actor.id();
        let (breach, max_instances) = (call.limiter.breach(), self.max_instances);
        call_error(error, Failed { actor, operation, breach, max_instances })
    }
}

impl Entry {
    fn of(engine: &Engine, component: &Component) -> Option<Self> {
        let function = |interface: &str, name: &str| function(engine, component, interface, name);
        let guest = function("wasmcloud:bus/guest", "call").map(Self::Guest);
        let run = || function("wasi:cli/run", "run").or_else(|| p3::function(engine, component, "wasi:cli/run", "run"));
        guest.or_else(|| run().map(Self::Run))
    }

    fn handler(engine: &Engine, component: &Component) -> Option<Self> {
        function(engine, component, &format!("{}@0.2.0", messaging::HANDLER), "handle-message").map(Self::Handler)
    }
}

fn function(engine: &Engine, component: &Component, interface: &str, name: &str) -> Option<ComponentExportIndex> {
    let interface = export(engine, component, interface)?;
    let interface = component.get_export_index(None, interface.as_str())?;
    component.get_export_index(Some(&interface), name)
}

fn entry_point(error: &wasmtime::Error) -> LoadError {
    LoadError::EntryPoint { reason: format!("an entry point has the wrong type: {error:#}") }
}

/// The full name of an exported interface, whatever its 0.2 version.
fn export(engine: &Engine, component: &Component, interface: &str) -> Option<String> {
    let ty = component.component_type();
    ty.exports(engine).map(|(name, _)| name).find(|name| imports::known_as(name, interface)).map(str::to_owned)
}
