//! `wasmcloud:bus/lattice`: a guest chooses whom its interfaces call.
//!
//! Invariant: what a guest says about an interface that calls nobody changes nothing, and the log tells so.

use wasmtime::{
    StoreContextMut,
    component::{Linker, Resource, ResourceType},
};

use super::target::TargetEntity;
use crate::{actor::logs::Level, call::HasCall, component::state::ComponentState};

pub(super) const NAME: &str = "wasmcloud:bus/lattice";

pub(super) const FUNCTIONS: &[&str] = &[
    "[constructor]target-interface",
    "[static]target-interface.wasi-blobstore-blobstore",
    "[static]target-interface.wasi-keyvalue-atomic",
    "[static]target-interface.wasi-keyvalue-eventual",
    "[static]target-interface.wasi-logging-logging",
    "[static]target-interface.wasmcloud-messaging-consumer",
    "[static]target-interface.wasi-http-outgoing-handler",
    "set-target",
];

/// The static constructors with the interface that each names.
const NAMED: &[(&str, &str)] = &[
    ("wasi-blobstore-blobstore", "wasi:blobstore/blobstore"),
    ("wasi-keyvalue-atomic", "wasi:keyvalue/atomic"),
    ("wasi-keyvalue-eventual", "wasi:keyvalue/eventual"),
    ("wasi-logging-logging", "wasi:logging/logging"),
    ("wasmcloud-messaging-consumer", "wasmcloud:messaging/consumer"),
    ("wasi-http-outgoing-handler", "wasi:http/outgoing-handler"),
];

/// The resource `target-interface`: the name of an interface, without its version.
struct TargetInterface(String);

type Store<'a> = StoreContextMut<'a, ComponentState>;

pub(super) fn add_to_linker(
    linker: &mut Linker<ComponentState>,
    calling: fn(&str) -> Option<&'static str>,
) -> wasmtime::Result<()> {
    let mut lattice = linker.instance(NAME)?;
    lattice.resource("target-interface", ResourceType::host::<TargetInterface>(), |mut store, rep| {
        store.data_mut().table.delete(Resource::<TargetInterface>::new_own(rep))?;
        Ok(())
    })?;
    lattice.func_wrap("[constructor]target-interface", |mut store: Store<'_>, parts: (String, String, String)| {
        let (namespace, package, interface) = parts;
        named(&mut store, format!("{namespace}:{package}/{interface}"))
    })?;
    for (function, interface) in NAMED {
        let function = format!("[static]target-interface.{function}");
        lattice.func_wrap(&function, |mut store: Store<'_>, (): ()| named(&mut store, (*interface).to_owned()))?;
    }
    lattice.func_wrap("set-target", move |store: Store<'_>, arguments: SetTarget| set_target(store, arguments, calling))
}

fn named(store: &mut Store<'_>, interface: String) -> wasmtime::Result<(Resource<TargetInterface>,)> {
    Ok((store.data_mut().table.push(TargetInterface(interface))?,))
}

type SetTarget = (Option<TargetEntity>, Vec<Resource<TargetInterface>>);

fn set_target(
    mut store: Store<'_>,
    (target, interfaces): SetTarget,
    calling: fn(&str) -> Option<&'static str>,
) -> wasmtime::Result<()> {
    let state = store.data_mut();
    for interface in interfaces {
        let TargetInterface(name) = state.table.delete(interface)?;
        match calling(&name) {
            Some(name) => state.targets.set(name, target.clone().map(Into::into)),
            None => {
                let text = format!("a target for `{name:.200}` has no effect: no such interface calls anybody");
                state.call().logs().line(Level::Warn, "wasmcloud:bus", &text);
            }
        }
    }
    Ok(())
}
