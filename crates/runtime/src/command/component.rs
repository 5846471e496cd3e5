//! Command components: `wasi:cli/run`, and the interfaces of WASI 0.2.

use wasmtime::{
    Engine, Store,
    component::{Component, Linker, ResourceTable, types::ComponentItem},
};
use wasmtime_wasi::{
    WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView,
    p2::{self, bindings::CommandPre},
};

use super::run::{HasRun, Run};
use crate::{LoadError, load};

/// Packages a command may import from, all of the line 0.2.
const WASI: [&str; 6] = ["cli", "clocks", "filesystem", "io", "random", "sockets"];

/// Store data of a component.
pub(super) struct ComponentState {
    wasi: WasiCtx,
    table: ResourceTable,
    run: Run,
}

impl ComponentState {
    pub(super) fn new(wasi: &mut WasiCtxBuilder, run: Run) -> Self {
        Self { wasi: wasi.build(), table: ResourceTable::new(), run }
    }
}

impl HasRun for ComponentState {
    fn run(&mut self) -> &mut Run {
        &mut self.run
    }
}

impl WasiView for ComponentState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// Checks a component and links it.
pub(super) fn link(engine: &Engine, component: &Component) -> Result<CommandPre<ComponentState>, LoadError> {
    let ty = component.component_type();
    if !ty.exports(engine).any(|(name, _)| name.starts_with("wasi:cli/run@0.2.")) {
        let reason = "the component exports no `wasi:cli/run@0.2`, so it is not a command".to_owned();
        return Err(LoadError::EntryPoint { reason });
    }
    let unknown = ty.imports(engine).filter(|(name, import)| !is_known(name, &import.ty));
    load::refuse_unknown(unknown.map(|(name, _)| name.to_owned()))?;
    let mut linker = Linker::new(engine);
    p2::add_to_linker_async(&mut linker).map_err(|error| LoadError::HostFault { reason: format!("{error:#}") })?;
    let pre = linker
        .instantiate_pre(component)
        .map_err(|error| LoadError::ImportMismatch { reason: format!("{error:#}") })?;
    CommandPre::new(pre)
        .map_err(|error| LoadError::EntryPoint { reason: format!("the entry point has the wrong type: {error:#}") })
}

fn is_known(name: &str, import: &ComponentItem) -> bool {
    // A type by itself is nothing anybody has to provide.
    let wasi = || {
        let (package, rest) = name.strip_prefix("wasi:")?.split_once('/')?;
        let (_, version) = rest.split_once('@')?;
        Some(WASI.contains(&package) && version.starts_with("0.2."))
    };
    matches!(import, ComponentItem::Type(_)) || wasi() == Some(true)
}

/// Runs the program to its end; false when it says that it failed.
pub(super) async fn run(pre: &CommandPre<ComponentState>, store: &mut Store<ComponentState>) -> wasmtime::Result<bool> {
    let command = pre.instantiate_async(&mut *store).await?;
    let ended = command.wasi_cli_run().call_run(&mut *store).await?;
    Ok(ended.is_ok())
}
