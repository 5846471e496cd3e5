//! Command components: `wasi:cli/run`, and the interfaces of WASI 0.2.

use wasmtime::{
    Engine, Store,
    component::{Component, InstancePre, Linker, ResourceTable, types::ComponentItem},
};
use wasmtime_wasi::{
    WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView,
    p2::{self, bindings::CommandPre},
};

use wasmtime_wasi_http::{WasiHttpCtx, p2::add_only_http_to_linker_async};

use super::{
    http::NoRequests,
    run::{HasRun, Run},
};
use crate::{error::LoadError, load};

/// Packages a command may import from.
const WASI: [&str; 7] = ["cli", "clocks", "filesystem", "http", "io", "random", "sockets"];

/// Store data of a component.
pub(super) struct ComponentState {
    wasi: WasiCtx,
    pub(super) table: ResourceTable,
    pub(super) http: WasiHttpCtx,
    pub(super) requests: NoRequests,
    run: Run,
}

impl ComponentState {
    pub(super) fn new(wasi: &mut WasiCtxBuilder, run: Run) -> Self {
        let (table, http) = (ResourceTable::new(), WasiHttpCtx::new());
        Self { wasi: wasi.build(), table, http, requests: NoRequests, run }
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
    if !runs(engine, component, "0.2.") {
        return Err(no_command("`wasi:cli/run@0.2`"));
    }
    check_imports(engine, component, &["0.2."])?;
    of_0_2(linker(engine)?.instantiate_pre(component).map_err(|error| mismatch(&error))?)
}

/// Whether it exports `wasi:cli/run` of a line.
pub(super) fn runs(engine: &Engine, component: &Component, line: &str) -> bool {
    let name = format!("wasi:cli/run@{line}");
    component.component_type().exports(engine).any(|(export, _)| export.starts_with(&name))
}

/// The functions of WASI 0.2.
pub(super) fn linker(engine: &Engine) -> Result<Linker<ComponentState>, LoadError> {
    let mut linker = Linker::new(engine);
    p2::add_to_linker_async(&mut linker)
        .and_then(|()| add_only_http_to_linker_async(&mut linker))
        .map_err(|error| host_fault(&error))?;
    Ok(linker)
}

/// A component that starts as one of WASI 0.2 does.
pub(super) fn of_0_2(pre: InstancePre<ComponentState>) -> Result<CommandPre<ComponentState>, LoadError> {
    CommandPre::new(pre).map_err(|error| entry_point(&error))
}

/// Names every import nobody provides, given the lines of WASI there are.
pub(super) fn check_imports(engine: &Engine, component: &Component, lines: &[&str]) -> Result<(), LoadError> {
    let ty = component.component_type();
    let unknown = ty.imports(engine).filter(|(name, import)| !is_known(name, &import.ty, lines));
    load::refuse_unknown(unknown.map(|(name, _)| name.to_owned()))
}

fn is_known(name: &str, import: &ComponentItem, lines: &[&str]) -> bool {
    // A type by itself is nothing anybody has to provide.
    let wasi = || {
        let (package, rest) = name.strip_prefix("wasi:")?.split_once('/')?;
        let (_, version) = rest.split_once('@')?;
        Some(WASI.contains(&package) && lines.iter().any(|line| version.starts_with(line)))
    };
    matches!(import, ComponentItem::Type(_)) || wasi() == Some(true)
}

pub(super) fn no_command(missing: &str) -> LoadError {
    LoadError::EntryPoint { reason: format!("the component exports no {missing}, so it is not a command") }
}

pub(super) fn host_fault(error: &wasmtime::Error) -> LoadError {
    LoadError::HostFault { reason: format!("{error:#}") }
}

pub(super) fn mismatch(error: &wasmtime::Error) -> LoadError {
    LoadError::ImportMismatch { reason: format!("{error:#}") }
}

pub(super) fn entry_point(error: &wasmtime::Error) -> LoadError {
    LoadError::EntryPoint { reason: format!("the entry point has the wrong type: {error:#}") }
}

/// Runs the program to its end; false when it says that it failed.
pub(super) async fn run(pre: &CommandPre<ComponentState>, store: &mut Store<ComponentState>) -> wasmtime::Result<bool> {
    let command = pre.instantiate_async(&mut *store).await?;
    let ended = command.wasi_cli_run().call_run(&mut *store).await?;
    Ok(ended.is_ok())
}
