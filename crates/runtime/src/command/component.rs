//! Command components: `wasi:cli/run`, and the interfaces of WASI 0.2.

use wasmtime::{
    Engine, Store,
    component::{Component, InstancePre, Linker, types::ComponentItem},
};
use wasmtime_wasi::p2::bindings::CommandPre;

use crate::{component::state::ComponentState, error::LoadError, load};

/// Packages a command may import from.
const WASI: [&str; 7] = ["cli", "clocks", "filesystem", "http", "io", "random", "sockets"];

/// Checks a component and links it.
pub(super) fn link(
    linker: &Linker<ComponentState>,
    component: &Component,
) -> Result<CommandPre<ComponentState>, LoadError> {
    let engine = linker.engine();
    if !runs(engine, component, "0.2.") {
        return Err(no_command("`wasi:cli/run@0.2`"));
    }
    check_imports(engine, component, &["0.2."])?;
    of_0_2(linker.instantiate_pre(component).map_err(|error| mismatch(&error))?)
}

/// Whether it exports `wasi:cli/run` of a line.
pub(super) fn runs(engine: &Engine, component: &Component, line: &str) -> bool {
    let name = format!("wasi:cli/run@{line}");
    component.component_type().exports(engine).any(|(export, _)| export.starts_with(&name))
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
