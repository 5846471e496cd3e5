//! WASI preview 1 for modules, with nothing granted.
//!
//! The context is made at the first WASI call of an instance, so a module that makes none pays nothing. Invariant: no
//! file, no directory, no environment, no socket; standard error goes to the log.

use wasmtime::Linker;
use wasmtime_wasi::{
    WasiCtxBuilder, p0,
    p1::{self, WasiP1Ctx},
    p2::pipe::MemoryInputPipe,
};

use super::state::ModuleState;
use crate::{
    actor::logs::Level,
    call::{HasCall, stdio::Output},
};

pub(crate) fn add_to_linker(linker: &mut Linker<ModuleState>) -> wasmtime::Result<()> {
    p1::add_to_linker_async(linker, context)
}

/// The same under the name it had before it had a version.
pub(crate) fn add_older_to_linker(linker: &mut Linker<ModuleState>) -> wasmtime::Result<()> {
    p0::add_to_linker_async(linker, context)
}

fn context(state: &mut ModuleState) -> &mut WasiP1Ctx {
    if state.wasi.is_none() {
        state.wasi = Some(Box::new(new_context(state)));
    }
    state.wasi.as_mut().expect("made above")
}

fn new_context(state: &mut ModuleState) -> WasiP1Ctx {
    let mut wasi = WasiCtxBuilder::new();
    wasi.arg("main.wasm");
    wasi.allow_blocking_current_thread(false).allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
    wasi.max_random_size(u64::from(state.call().actor.limits.payload_bytes));
    wasi.stderr(Output::log(state.call().logs().clone(), Level::Info, "stderr"));
    if let Some(streams) = &state.streams {
        wasi.arg(&streams.operation);
        wasi.stdin(MemoryInputPipe::new(streams.input.clone()));
        wasi.stdout(streams.output.clone());
    }
    wasi.build_p1()
}
