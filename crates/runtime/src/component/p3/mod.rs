//! WASI 0.3 for components, on the engine that has it, beside everything components of 0.2 may import.
//!
//! What is granted is decided where it is for 0.2: in the WASI context, the table of contracts and the way out. Invariant:
//! no interface in here gives more than its older form does.

mod crowd;
mod http;
mod piece;
mod shared;

use wasmtime::{
    Engine, Store,
    component::{Component, ComponentExportIndex, Linker},
};

use super::ComponentState;
use crate::{RuntimeError, call::HasCall};

pub(super) use self::http::Service;

/// Every interface linked here, without its version. Like those of 0.2 they need no grant: calls that nothing was granted
/// for are denied one by one.
pub(super) const INTERFACES: &[&str] = &[
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:cli/types",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/system-clock",
    "wasi:clocks/types",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:http/client",
    "wasi:http/types",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
    "wasi:sockets/ip-name-lookup",
    "wasi:sockets/types",
];

/// The host functions that components of WASI 0.3 may import; for its engine only.
pub(crate) fn linker(engine: &Engine) -> Result<Linker<ComponentState>, RuntimeError> {
    let mut linker = super::linker(engine)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)
        .and_then(|()| wasmtime_wasi_http::p3::add_to_linker(&mut linker))
        .map_err(|error| RuntimeError::Link { reason: format!("{error:#}") })?;
    Ok(linker)
}

/// Bounds what a guest may have going on at once: tasks, streams and futures count like resource handles.
pub(super) fn limit(store: &mut Store<ComponentState>) {
    let handles = store.data_mut().call().actor.limits.component_handles as usize;
    if let Some(going_on) = store.concurrent_resource_table() {
        going_on.set_max_capacity(handles);
    }
}

/// Whether `name` is `interface` in a version of the line 0.3; drafts before it are something else.
pub(super) fn known_as(name: &str, interface: &str) -> bool {
    let patch = name.strip_prefix(interface).and_then(|version| version.strip_prefix("@0.3."));
    patch.is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A function of an exported interface, whatever its 0.3 version.
pub(super) fn function(
    engine: &Engine,
    component: &Component,
    interface: &str,
    name: &str,
) -> Option<ComponentExportIndex> {
    let ty = component.component_type();
    let interface = ty.exports(engine).map(|(name, _)| name).find(|name| known_as(name, interface))?;
    let interface = component.get_export_index(None, interface)?;
    component.get_export_index(Some(&interface), name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_0_3_is_what_is_meant_not_its_drafts() {
        let known = |name| known_as(name, "wasi:http/types");
        assert!(known("wasi:http/types@0.3.0") && known("wasi:http/types@0.3.12"));
        for other in ["wasi:http/types", "wasi:http/types@0.2.3", "wasi:http/types@0.3.0-rc-2025-09-16", "wasi:http/t"]
        {
            assert!(!known(other), "{other}");
        }
    }
}
