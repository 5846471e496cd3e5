//! Command components of WASI 0.3: `wasi:cli/run`, and the interfaces of 0.3 beside those of 0.2.
//!
//! A program may start as one of 0.2 does and use 0.3 for some of its imports. Invariant: a program of 0.3 has come to its
//! end when nothing goes on in it any more.

use std::future::poll_fn;

use wasmtime::{
    Store,
    component::{Component, Linker},
};
use wasmtime_wasi::p3::bindings::CommandPre;

use super::{
    Program,
    component::{self, entry_point, mismatch},
};
use crate::{component::state::ComponentState, error::LoadError};

/// Checks a component and links it, whichever way it starts.
pub(super) fn link(linker: &Linker<ComponentState>, component: &Component) -> Result<Program, LoadError> {
    let engine = linker.engine();
    component::check_imports(engine, component, &["0.2.", "0.3."])?;
    let pre = linker.instantiate_pre(component).map_err(|error| mismatch(&error))?;
    if component::runs(engine, component, "0.3.") {
        return CommandPre::new(pre).map(Program::Newer).map_err(|error| entry_point(&error));
    }
    if component::runs(engine, component, "0.2.") {
        return component::of_0_2(pre).map(Program::Component);
    }
    Err(component::no_command("`wasi:cli/run@0.2` or `@0.3`"))
}

/// Runs the program to its end; false when it says that it failed.
pub(super) async fn run(pre: &CommandPre<ComponentState>, store: &mut Store<ComponentState>) -> wasmtime::Result<bool> {
    let command = pre.instantiate_async(&mut *store).await?;
    let run = store.run_concurrent(async |instance| {
        let ended = command.wasi_cli_run().call_run(instance).await?;
        poll_fn(|cx| instance.poll_no_interesting_tasks(cx)).await;
        wasmtime::error::Ok(ended.is_ok())
    });
    run.await?
}
