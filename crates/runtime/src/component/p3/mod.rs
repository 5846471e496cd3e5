//! WASI 0.3 for components, on the engine that has it, beside everything components of 0.2 may import.
//!
//! What is granted is decided where it is for 0.2: in the WASI context, the table of contracts and the way out. Invariant:
//! no interface in here gives more than its older form does.

mod answer;
mod piece;
mod serve;
pub(super) mod service;
mod shared_instance;
mod sharing;

use wasmtime::Store;

use super::state::ComponentState;
use crate::call::HasCall;

/// Every interface that is linked for it, without its version. Like those of 0.2 they need no grant: calls that nothing was granted
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

/// Bounds what a guest may have going on at once: tasks, streams and futures count like resource handles.
pub(super) fn limit(store: &mut Store<ComponentState>) {
    let handles = store.data_mut().call().actor.limits.component_handles as usize;
    if let Some(going_on) = store.concurrent_resource_table() {
        going_on.set_max_capacity(handles);
    }
}
