//! `wasi:logging/logging`: the guest's own log lines.

use wasmtime::{StoreContextMut, component::Linker};

use super::{interface::Interface, state::ComponentState};
use crate::{actor::logs::Level, call::HasCall};

const NAME: &str = "wasi:logging/logging";

/// The spellings of 0.82 and of the proposal.
const VERSIONS: &[&str] = &["", "@0.1.0-draft"];

/// What is linked here.
pub(super) const INTERFACES: &[Interface] =
    &[Interface { name: NAME, versions: VERSIONS, functions: &["log"], needs: None }];

pub(super) fn add_to_linker(linker: &mut Linker<ComponentState>) -> wasmtime::Result<()> {
    for version in VERSIONS {
        linker.instance(&format!("{NAME}{version}"))?.func_wrap("log", log)?;
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
