//! `wasi:logging/logging`: the guest's own log lines.

use wasmtime::{StoreContextMut, component::Linker};

use super::ComponentState;
use crate::{call::HasCall, logs::Level};

/// The interface without its version, with its functions.
pub(super) const INTERFACE: (&str, &[&str]) = ("wasi:logging/logging", &["log"]);

/// The spellings of 0.82 and of the proposal.
const NAMES: [&str; 2] = ["wasi:logging/logging", "wasi:logging/logging@0.1.0-draft"];

pub(super) fn add_to_linker(linker: &mut Linker<ComponentState>) -> wasmtime::Result<()> {
    for name in NAMES {
        linker.instance(name)?.func_wrap("log", log)?;
    }
    Ok(())
}

fn log(
    mut store: StoreContextMut<'_, ComponentState>,
    (level, context, message): (Level, String, String),
) -> wasmtime::Result<()> {
    store.data_mut().call().logs().line(level, &context, &message);
    Ok(())
}
