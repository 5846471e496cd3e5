//! A loaded component, and one message to it.
//!
//! Entry points in order: `wasi:http/handler` and `wasi:http/incoming-handler` for HTTP, `wasmcloud:bus/guest`,
//! `wasi:cli/run`. Invariant: an instance serves one call unless the actor chose reuse, and none after one that did not
//! end well.

use std::sync::Arc;

use bytes::Bytes;
use contracts::{CallError, messaging::HANDLE_MESSAGE};
use wasmtime::{
    Engine,
    component::{Component, ComponentExportIndex, Instance, InstancePre, Linker},
};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi_http::p2::bindings::{Proxy, ProxyPre};

use super::{
    exports::{entry_point, export, function, newer_function},
    imports,
    messaging::{self, BrokerMessage},
    p3::{self, service::Service},
    reuse::{Place, Waiting},
    state::ComponentState,
};
use crate::{
    actor::Actor,
    call::{CallState, HasCall, outbound::CallContext, store::store},
    engine::Wasi,
    error::{
        LoadError,
        ended::{Failed, Failure, failure, unreadable},
    },
    instances::{places::Places, waiting::Idle},
    load,
};

/// A loaded component.
pub(crate) struct ComponentGuest {
    engine: Engine,
    /// Whoever loads the same wasm finds it while this is alive.
    _code: Arc<Component>,
    pre: InstancePre<ComponentState>,
    pub(super) http: Option<ProxyPre<ComponentState>>,
    /// Answers HTTP requests instead of `http`; only on the engine for WASI 0.3.
    pub(super) service: Option<Service>,
    message: Option<Entry>,
    /// Takes the messages of subscriptions instead of `message`.
    handler: Option<Entry>,
    wasi: Wasi,
    max_instances: u32,
    pub(super) idle_http: Waiting<Proxy>,
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
            Wasi::P3 => Service::of(&pre, &component, actor, places)?,
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
    ) -> Result<Bytes, Failure> {
        let handler = self.handler.as_ref().filter(|_| operation == HANDLE_MESSAGE);
        let Some(entry) = handler.or(self.message.as_ref()) else {
            let target = actor.id().to_owned();
            return Err(CallError::Unsupported { target, operation: operation.to_owned() }.into());
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
            Err(message) => Err(CallError::Reported { message }.into()),
        }
    }

    /// Where the next call runs: with an instance that waits, else in a new store around `fresh`.
    pub(super) fn place<I: Send + 'static>(
        &self,
        waiting: &Waiting<I>,
        context: CallContext,
        fresh: impl FnOnce(CallContext) -> ComponentState,
    ) -> Place<I> {
        Place::find(waiting, context, |context| {
            let mut store = store(&self.engine, fresh(context));
            if self.wasi == Wasi::P3 {
                p3::limit(&mut store);
            }
            store
        })
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

    pub(super) fn failed(&self, error: &wasmtime::Error, call: &CallState, operation: &str) -> Failure {
        let actor = call.actor.id();
        let (breach, max_instances) = (call.limiter.breach(), self.max_instances);
        failure(error, Failed { actor, operation, breach, max_instances })
    }
}

impl Entry {
    fn of(engine: &Engine, component: &Component) -> Option<Self> {
        let function = |interface: &str, name: &str| function(engine, component, interface, name);
        let guest = function("wasmcloud:bus/guest", "call").map(Self::Guest);
        let run =
            || function("wasi:cli/run", "run").or_else(|| newer_function(engine, component, "wasi:cli/run", "run"));
        guest.or_else(|| run().map(Self::Run))
    }

    fn handler(engine: &Engine, component: &Component) -> Option<Self> {
        function(engine, component, &format!("{}@0.2.0", messaging::HANDLER), "handle-message").map(Self::Handler)
    }
}
