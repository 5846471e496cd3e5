//! `wasmcloud:bus`: generic calls out of a component, and whom its interfaces call (protocol sections 6.2 and 6.3).
//!
//! Needs no grant by itself: whom a guest may call is decided call by call.

mod host;
mod lattice;
mod pending;
mod target;

use wasmtime::component::Linker;

use super::{interface::Interface, state::ComponentState};

/// What is linked here.
pub(super) const INTERFACES: &[Interface] = &[
    Interface { name: host::NAME, versions: &[""], functions: host::FUNCTIONS, needs: None },
    Interface { name: lattice::NAME, versions: &[""], functions: lattice::FUNCTIONS, needs: None },
];

/// `calling` knows the interfaces whose functions call somebody who can be chosen.
pub(super) fn add_to_linker(
    linker: &mut Linker<ComponentState>,
    calling: fn(&str) -> Option<&'static str>,
) -> wasmtime::Result<()> {
    host::add_to_linker(linker)?;
    lattice::add_to_linker(linker, calling)
}
