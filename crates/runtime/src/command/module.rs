//! Command modules: `_start`, and the functions of WASI preview 1 and of its older name.
//!
//! Invariant: whatever exit code the program gives is what comes out, not only those below 126.

use wasmtime::{Engine, ExternType, InstancePre, Linker, Module, Store};
use wasmtime_wasi::{I32Exit, WasiCtxBuilder};

use crate::{
    error::LoadError,
    limits::GuestLimits,
    load,
    module::{state::ModuleState, wasi},
};

const START: &str = "_start";
const WASI: [&str; 2] = ["wasi_snapshot_preview1", "wasi_unstable"];

/// Checks a module and links it.
pub(super) fn link(engine: &Engine, module: &Module) -> Result<InstancePre<ModuleState>, LoadError> {
    match module.get_export(START) {
        Some(ExternType::Func(ty)) if ty.params().len() == 0 && ty.results().len() == 0 => {}
        _ => {
            let reason = "the module exports no function `_start`, so it is not a command".to_owned();
            return Err(LoadError::EntryPoint { reason });
        }
    }
    let linker = linker(engine).map_err(|error| LoadError::HostFault { reason: format!("{error:#}") })?;
    check_imports(&linker, module)?;
    linker.instantiate_pre(module).map_err(|error| LoadError::ImportMismatch { reason: format!("{error:#}") })
}

fn linker(engine: &Engine) -> wasmtime::Result<Linker<ModuleState>> {
    let mut linker = Linker::new(engine);
    wasi::add_to_linker(&mut linker)?;
    wasi::add_older_to_linker(&mut linker)?;
    linker.allow_shadowing(true);
    for name in WASI {
        linker.func_wrap(name, "proc_exit", |code: i32| -> wasmtime::Result<()> { Err(I32Exit(code).into()) })?;
    }
    Ok(linker)
}

/// Names every import nobody provides, so that one attempt tells all.
fn check_imports(linker: &Linker<ModuleState>, module: &Module) -> Result<(), LoadError> {
    // Needed to ask a linker what it has; nothing ever runs in it.
    let state = ModuleState::of_program(GuestLimits::default(), &mut WasiCtxBuilder::new());
    let mut store = Store::new(linker.engine(), state);
    let unknown = |import: &wasmtime::ImportType<'_>| linker.get(&mut store, import.module(), import.name()).is_err();
    let names = module.imports().filter(unknown).map(|import| format!("{}.{}", import.module(), import.name()));
    load::refuse_unknown(names)
}

/// Runs the program to its end.
pub(super) async fn run(pre: &InstancePre<ModuleState>, store: &mut Store<ModuleState>) -> wasmtime::Result<()> {
    let instance = pre.instantiate_async(&mut *store).await?;
    let start = instance.get_typed_func::<(), ()>(&mut *store, START)?;
    start.call_async(&mut *store, ()).await
}
