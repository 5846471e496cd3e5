//! `wasi:http` for components: linked as it is, with calls out that go over a contract ([`super::outgoing_http`]).

use wasmtime::component::Linker;
use wasmtime_wasi_http::{WasiHttpCtxView, WasiHttpView, p2::add_only_http_to_linker_async};

use super::state::ComponentState;

/// The interfaces linked here, without their version.
pub(super) const INTERFACES: [&str; 2] = ["wasi:http/outgoing-handler", "wasi:http/types"];

pub(super) fn add_to_linker(linker: &mut Linker<ComponentState>) -> wasmtime::Result<()> {
    add_only_http_to_linker_async(linker)
}

impl WasiHttpView for ComponentState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.hooks.targets = self.targets.clone();
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}
