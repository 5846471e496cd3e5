//! `wasi:keyvalue` over the contract `wasmcloud:keyvalue`: the draft that 0.82 had, and both drafts of 0.2.
//!
//! Invariant: every operation is one call over the link, counted and bounded as any other call out of a guest.

mod ask;
mod atomics;
mod batch;
mod drafts;
mod eventual;
mod store;

use contracts::keyvalue::CONTRACT;
use wasmtime::component::Linker;

use self::drafts::{DRAFT, DRAFT2, V01, V02};
use super::{interface::Interface, state::ComponentState};

/// What is linked here.
pub(super) const INTERFACES: &[Interface] = &[
    interface(eventual::ERROR, V01, eventual::ERROR_FUNCTIONS),
    interface(eventual::TYPES, V01, eventual::TYPES_FUNCTIONS),
    interface(eventual::EVENTUAL, V01, eventual::EVENTUAL_FUNCTIONS),
    interface(eventual::ATOMIC, V01, eventual::ATOMIC_FUNCTIONS),
    interface(store::NAME, V02, store::FUNCTIONS),
    interface(atomics::NAME, &[DRAFT], atomics::FUNCTIONS),
    interface(atomics::NAME, &[DRAFT2], atomics::FUNCTIONS_2),
    interface(batch::NAME, V02, batch::FUNCTIONS),
];

const fn interface(
    name: &'static str,
    versions: &'static [&'static str],
    functions: &'static [&'static str],
) -> Interface {
    Interface { name, versions, functions, needs: Some(CONTRACT) }
}

pub(super) fn add_to_linker(linker: &mut Linker<ComponentState>) -> wasmtime::Result<()> {
    eventual::add_to_linker(linker)?;
    store::add_to_linker(linker)?;
    atomics::add_to_linker(linker)?;
    batch::add_to_linker(linker)
}
