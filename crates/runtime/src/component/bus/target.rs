//! Whom a guest names: a link of its own, or an actor.

use wasmtime::component::{ComponentType, Lift};

use crate::component::targets::{DEFAULT_LINK, Target};

#[derive(Clone, Debug, ComponentType, Lift)]
#[component(variant)]
pub(super) enum ActorIdentifier {
    #[component(name = "public-key")]
    PublicKey(String),
    #[component(name = "alias")]
    Alias(String),
}

#[derive(Clone, Debug, ComponentType, Lift)]
#[component(variant)]
pub(super) enum TargetEntity {
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
