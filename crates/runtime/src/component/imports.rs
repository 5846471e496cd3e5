//! What components may import: one table, with the contract that each interface needs.
//!
//! Whoever links an interface lists it in the table of its own file and that table here. Knows no types of functions;
//! the linker compares those. Invariant: an import which nobody provides, or which the signed claims do not grant, is
//! refused at load, all of them by name at once.

use std::collections::BTreeSet;

use wasmtime::{
    Engine,
    component::{Component, types::ComponentItem},
};

use super::{
    blobstore, bus, config,
    exports::{is_newer, known_as},
    interface::Interface,
    keyvalue, logging, messaging, p3, wasi, wasi_http,
};
use crate::{engine::Wasi, error::LoadError, load};

/// The interfaces with functions of our own, file by file.
const OURS: &[&[Interface]] = &[
    blobstore::INTERFACES,
    logging::INTERFACES,
    bus::INTERFACES,
    config::INTERFACES,
    keyvalue::INTERFACES,
    messaging::INTERFACES,
];

/// The interfaces of WASI 0.2 which wasmtime's crates implement. Linked in every 0.2 version and without a grant, because language
/// runtimes import them unasked: calls that nothing was granted for are denied one by one.
const WASI: &[&[&str]] = &[wasi::INTERFACES, &wasi_http::INTERFACES];

/// The one of them which calls a provider, and its name in WASI 0.3.
const OUTGOING_HTTP: [&str; 2] = ["wasi:http/outgoing-handler", "wasi:http/client"];

/// Refuses a component that imports what this host does not have, or what its claims do not grant.
pub(super) fn check(
    engine: &Engine,
    component: &Component,
    grants: &BTreeSet<String>,
    wasi: Wasi,
) -> Result<(), LoadError> {
    let (mut unknown, mut not_granted) = (Vec::new(), Vec::new());
    for (name, import) in component.component_type().imports(engine) {
        let of_p2 = || WASI.iter().copied().flatten().any(|interface| known_as(name, interface));
        let of_p3 = || wasi == Wasi::P3 && p3::INTERFACES.iter().any(|interface| is_newer(name, interface));
        if of_p2() || of_p3() {
            continue;
        }
        let ours = OURS.iter().copied().flatten().find(|interface| interface.is(name));
        match (ours, import.ty) {
            (Some(interface), ComponentItem::ComponentInstance(instance)) => {
                let mut functions = Vec::new();
                functions
                    .extend(instance.exports(engine).filter(|(_, item)| is_function(&item.ty)).map(|(name, _)| name));
                let missing = functions.iter().filter(|function| !interface.functions.contains(function));
                unknown.extend(missing.map(|function| format!("{name}.{function}")));
                // An interface that is imported for its types alone gives access to nothing.
                let needs = interface.needs.filter(|contract| !functions.is_empty() && !grants.contains(*contract));
                not_granted.extend(needs.map(|contract| (name.to_owned(), contract.to_owned())));
            }
            // A type by itself is nothing anybody has to provide.
            (_, ComponentItem::Type(_)) => {}
            _ => unknown.push(name.to_owned()),
        }
    }
    load::refuse_unknown(unknown.into_iter())?;
    if not_granted.is_empty() { Ok(()) } else { Err(LoadError::NotGranted { imports: not_granted }) }
}

/// The contract that signed claims must grant before a component may import this interface, named with its version.
pub fn contract_of(import: &str) -> Option<&'static str> {
    OURS.iter().copied().flatten().find(|interface| interface.is(import)).and_then(|interface| interface.needs)
}

/// The interface of that name, given without a version, if its functions call somebody who can be chosen.
pub(super) fn calling(name: &str) -> Option<&'static str> {
    let mut ours = OURS.iter().copied().flatten().filter(|interface| interface.needs.is_some()).map(|ours| ours.name);
    if OUTGOING_HTTP.contains(&name) {
        return Some(OUTGOING_HTTP[0]);
    }
    ours.find(|interface| *interface == name)
}

fn is_function(item: &ComponentItem) -> bool {
    matches!(item, ComponentItem::ComponentFunc(_))
}
