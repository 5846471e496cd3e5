//! The host functions that components may import.

use wasmtime::{Engine, component::Linker};

use super::{blobstore, bus, config, imports, keyvalue, logging, messaging, state::ComponentState, wasi, wasi_http};
use crate::error::RuntimeError;

/// The host functions components may import; one per engine.
pub(crate) fn linker(engine: &Engine) -> Result<Linker<ComponentState>, RuntimeError> {
    let mut linker = Linker::new(engine);
    let linked = wasi::add_to_linker(&mut linker)
        .and_then(|()| wasi_http::add_to_linker(&mut linker))
        .and_then(|()| blobstore::add_to_linker(&mut linker))
        .and_then(|()| logging::add_to_linker(&mut linker))
        .and_then(|()| bus::add_to_linker(&mut linker, imports::calling))
        .and_then(|()| config::add_to_linker(&mut linker))
        .and_then(|()| keyvalue::add_to_linker(&mut linker))
        .and_then(|()| messaging::add_to_linker(&mut linker));
    linked.map_err(|error| RuntimeError::Link { reason: format!("{error:#}") })?;
    Ok(linker)
}

/// The host functions that components of WASI 0.3 may import; for its engine only.
pub(crate) fn newer_linker(engine: &Engine) -> Result<Linker<ComponentState>, RuntimeError> {
    let mut linker = linker(engine)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)
        .and_then(|()| wasmtime_wasi_http::p3::add_to_linker(&mut linker))
        .map_err(|error| RuntimeError::Link { reason: format!("{error:#}") })?;
    Ok(linker)
}
