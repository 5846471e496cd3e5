//! `wasmcloud:bus`: generic calls out of a component, and whom its interfaces call (protocol sections 6.2 and 6.3).
//!
//! Needs no grant by itself: whom a guest may call is decided call by call.

mod host;
mod lattice;
mod pending;

use wasmtime::component::{ComponentType, Lift, Linker};

use super::{
    ComponentState,
    imports::Interface,
    targets::{DEFAULT_LINK, Target},
};

/// What is linked here.
pub(super) const INTERFACES: &[Interface] = &[
    Interface { name: host::NAME, versions: &[""], functions: host::FUNCTIONS, needs: None },
    Interface { name: lattice::NAME, versions: &[""], functions: lattice::FUNCTIONS, needs: None },
];

pub(super) fn add_to_linker(linker: &mut Linker<ComponentState>) -> wasmtime::Result<()> {
    host::add_to_linker(linker)?;
    lattice::add_to_linker(linker)
}

#[derive(Clone, Debug, ComponentType, Lift)]
#[component(variant)]
enum ActorIdentifier {
    #[component(name = "public-key")]
    PublicKey(String),
    #[component(name = "alias")]
    Alias(String),
}

#[derive(Clone, Debug, ComponentType, Lift)]
#[component(variant)]
enum TargetEntity {
    #[component(name = "link")]
    Link(Option<String>),
    #[component(name = "actor")]
    Actor(ActorIdentifier),
}

impl From<TargetEntity> for Target {
    fn from(target: TargetEntity) -> Self {
        match target {
            TargetEntity::Link(name) => Self::Link(name.unwrap_or_else(|| DEFAULT_LINK.to_owned())),
            TargetEntity::Actor(ActorIdentifier::PublicKey(name) | ActorIdentifier::Alias(name)) => Self::Actor(name),
        }
    }
}
